//! Requests of a source to the host's networks and to its path.

use std::f64::consts::FRAC_PI_2;
use std::time::Instant;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use burn::tensor::{Int, Tensor, TensorData};
use sextant_plugin_api::abi::{self, Condition, DType, Network, TapKind};

use super::creation::from_data;
use super::spec::{inner, reshaped, same_dtype};
use super::{Checked, Context, Operands, Request, Spec, constant};
use crate::fault::Fault;
use crate::trace;
use sextant_model::diffusion::Path;

type D = Dispatch;

/// Rows of one pass; beyond it, a number is taken for a mistake.
const MAX_ROWS: usize = 1 << 20;

pub(super) fn forward<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    let (x, t) = (request.input(0), request.input(1));
    let attributes: abi::Forward = request.attributes.read()?;
    let list = |array, what| request.attributes.list::<u32>(array, MAX_ROWS, what);
    let depths = list(attributes.depths, "the depths")?;
    let kinds = list(attributes.kinds, "the kinds")?;
    let samples = list(attributes.rows, "the rows")?;
    let conditions = list(attributes.conditions, "the conditions")?;

    let network = Fault::code("network", attributes.network, Network::from_code(attributes.network))?;
    let refused = |reason: String| Err(Fault::Pass(reason));
    let Some(frozen) = context.networks.get(&network) else {
        return refused(match network {
            Network::Student => "the student is seen through taps only".into(),
            network => format!("the plan declares no tap of the {network:?} network"),
        });
    };
    if depths.is_empty() {
        return refused("no depth is asked for".into());
    }
    let taps = taps(&depths, &kinds)?;
    let declared = &frozen.depths;
    for tap in &taps {
        match tap {
            Tap::Block(depth) if !declared.contains(depth) => {
                return refused(format!(
                    "the plan declares depths {declared:?} of the {network:?} network, but not {depth}"
                ));
            }
            Tap::Output if !frozen.output => {
                return refused(format!(
                    "the plan does not declare the output of the {network:?} network"
                ));
            }
            _ => {}
        }
    }
    let config = frozen.network.config();
    let rows = samples.len();
    let wanted = [rows, config.in_channels, config.input_size, config.input_size];
    if x.dtype != DType::F32 || x.shape != wanted {
        return Err(Fault::Operand(format!("x_t must be f32 {wanted:?} for {rows} rows")));
    }
    if t.dtype != DType::F32 || t.shape != [rows] {
        return Err(Fault::Operand(format!("t must be f32 [{rows}]")));
    }
    if conditions.len() != rows {
        let found = conditions.len();
        return refused(format!("{found} conditions are given for {rows} rows"));
    }
    let labels = labels(&samples, &conditions, context)?;
    trace::forward(network, blocks(&taps), taps.contains(&Tap::Output), &samples);
    let tokens = vec![rows, config.tokens(), config.hidden_size];
    let output = |tap: &Tap| match tap {
        Tap::Block(_) => Spec::new(DType::F32, tokens.clone()),
        Tap::Output => Spec::new(DType::F32, wanted.to_vec()),
    };
    Ok(Checked {
        outputs: taps.iter().map(output).collect(),
        takes_empty: false,
        run: Box::new(move |operands, context| Ok(activations(operands, network, labels, &taps, context))),
    })
}

/// One activation of a frozen network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tap {
    /// Tokens after the block of this depth.
    Block(usize),
    /// The network's result.
    Output,
}

/// The activations that are asked for. Without kinds, as before version 1.2, all are blocks.
fn taps(depths: &[u32], kinds: &[u32]) -> Result<Vec<Tap>, Fault> {
    if !kinds.is_empty() && kinds.len() != depths.len() {
        let (found, wanted) = (kinds.len(), depths.len());
        return Err(Fault::Pass(format!("{found} kinds are given for {wanted} depths")));
    }
    let kinds = kinds.iter().copied().chain(std::iter::repeat(TapKind::Block as u32));
    let tap = |(depth, code): (&u32, u32)| match TapKind::from_code(code) {
        Some(TapKind::Block) => Ok(Tap::Block(*depth as usize)),
        Some(TapKind::Output) => Ok(Tap::Output),
        _ => Err(Fault::Pass(format!(
            "taps of kind {code} are not given: only blocks and the output are"
        ))),
    };
    depths.iter().zip(kinds).map(tap).collect()
}

/// Depths of the blocks among them, in their order.
fn blocks(taps: &[Tap]) -> Vec<usize> {
    let depth = |tap: &Tap| match tap {
        Tap::Block(depth) => Some(*depth),
        Tap::Output => None,
    };
    taps.iter().filter_map(depth).collect()
}

/// The label of each row, from what the host drew on the CPU.
fn labels(samples: &[u32], conditions: &[u32], context: &Context) -> Result<Vec<i64>, Fault> {
    let batch = context.labels.len();
    let label = |(sample, condition): (&u32, &u32)| {
        let sample = *sample as usize;
        if sample >= batch {
            return Err(Fault::Pass(format!(
                "row {sample} is asked for, but the batch has {batch} samples"
            )));
        }
        let condition = Fault::code("condition", *condition, Condition::from_code(*condition))?;
        Ok(match condition {
            Condition::Own => context.labels[sample],
            Condition::Null => context.null_class,
            Condition::Dropped => context.dropped[sample],
        })
    };
    samples.iter().zip(conditions).map(label).collect()
}

fn activations(
    mut operands: Operands,
    network: Network,
    mut labels: Vec<i64>,
    taps: &[Tap],
    context: &mut Context,
) -> Vec<DispatchTensor> {
    let started = Instant::now();
    let (mut x, mut t) = (inner(operands.take(0)), inner(operands.take(1)));
    let rows = labels.len();
    let padded = match context.pad_rows {
        true => padded_rows(rows, context.labels.len()),
        false => rows,
    };
    if padded > rows {
        let numbers: Vec<i64> = (0..padded).map(|row| if row < rows { row as i64 } else { 0 }).collect();
        let numbers = from_data(TensorData::new(numbers, [padded]), DType::Int, &context.device);
        x = D::float_select(x, 0, numbers.clone());
        t = D::float_select(t, 0, numbers);
        labels.resize(padded, labels[0]);
    }
    let labels = from_data(TensorData::new(labels, [padded]), DType::Int, &context.device);
    let frozen = context.networks.get(&network).expect("the check has seen it");
    let (x, t) = (Tensor::<4>::from_dispatch(x), Tensor::<1>::from_dispatch(t));
    let (labels, depths) = (Tensor::<1, Int>::from_dispatch(labels), blocks(taps));
    let (output, tokens) = match taps.contains(&Tap::Output) {
        true => {
            let whole = frozen.network.forward(x, t, labels, &depths);
            (Some(cut(whole.output, rows)), whole.taps)
        }
        false => (None, frozen.network.features(x, t, labels, &depths)),
    };
    let mut tokens = tokens.into_iter().map(|tokens| cut(tokens, rows));
    let activations = taps.iter().map(|tap| match tap {
        Tap::Block(_) => tokens.next().expect("one for each depth"),
        Tap::Output => output.clone().expect("the whole network ran"),
    });
    let activations = activations.collect();
    context.counters.rows += rows as u64;
    context.counters.padded_rows += (padded - rows) as u64;
    context.counters.calls += 1;
    context.counters.seconds += started.elapsed().as_secs_f64();
    activations
}

/// The first `rows` rows, without autodiff.
fn cut<const RANK: usize>(tensor: Tensor<RANK>, rows: usize) -> DispatchTensor {
    let tensor = match tensor.dims()[0] > rows {
        true => tensor.narrow(0, 0, rows),
        false => tensor,
    };
    inner(tensor.into_dispatch())
}

/// The next size of the ladder: powers of two up to the batch, then its multiples.
fn padded_rows(rows: usize, batch: usize) -> usize {
    match rows {
        rows if rows <= batch => rows.next_power_of_two().min(batch),
        rows => rows.next_multiple_of(batch.max(1)),
    }
}

pub(super) fn diffuse<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (x, n, t) = (request.input(0), request.input(1), request.input(2));
    x.needs_float("x")?;
    same_dtype(x, n)?;
    same_dtype(x, t)?;
    if x.rank() == 0 || x.shape != n.shape {
        return Err(Fault::Operand(
            "x and n must have one shape, whose first extent counts rows".into(),
        ));
    }
    if t.shape != x.shape[..1] {
        return Err(Fault::Operand(format!("t must have shape [{}]", x.shape[0])));
    }
    let mut column = vec![1; x.rank()];
    column[0] = x.shape[0];
    let dtype = t.dtype;
    Checked::one(x.with_shape(x.shape.clone()), move |mut operands, context| {
        let (x, n, t) = (operands.take(0), operands.take(1), operands.take(2));
        let [alpha, sigma, ..] = coefficients(t, dtype, context);
        let alpha = reshaped(alpha, column.clone().into());
        let sigma = reshaped(sigma, column.into());
        D::float_add(D::float_mul(x, alpha), D::float_mul(n, sigma))
    })
}

pub(super) fn path_coefficients<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let t = request.input(0).clone();
    t.needs_float("t")?;
    t.needs_rank("t", 1)?;
    Ok(Checked {
        outputs: vec![t.with_shape(t.shape.clone()); 4],
        takes_empty: false,
        run: Box::new(move |mut operands, context| Ok(coefficients(operands.take(0), t.dtype, context).into())),
    })
}

/// alpha, sigma and their derivatives at t, on the device: the formulas of [`Path::coefficients`].
fn coefficients(t: DispatchTensor, dtype: DType, context: &Context) -> [DispatchTensor; 4] {
    let scaled = |tensor, factor: f64| D::float_mul_scalar(tensor, Scalar::Float(factor));
    match context.path {
        Path::Linear => {
            let spec = Spec { dtype, ..Spec::of(&t) };
            let number = |value| constant(&spec, value, &context.device);
            let alpha = D::float_add_scalar(scaled(t.clone(), -1.0), Scalar::Float(1.0));
            [alpha, t, number(-1.0), number(1.0)]
        }
        Path::Cosine => {
            let angle = scaled(t, FRAC_PI_2);
            let (cos, sin) = (D::float_cos(angle.clone()), D::float_sin(angle));
            let (d_alpha, d_sigma) = (scaled(sin.clone(), -FRAC_PI_2), scaled(cos.clone(), FRAC_PI_2));
            [cos, sin, d_alpha, d_sigma]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_fill_up_to_a_small_ladder_of_sizes() {
        let sizes: Vec<usize> = (1..=14).map(|rows| padded_rows(rows, 6)).collect();
        assert_eq!(sizes, [1, 2, 4, 4, 6, 6, 12, 12, 12, 12, 12, 12, 18, 18]);
        let sizes: Vec<usize> = (1..=16).map(|rows| padded_rows(rows, 8)).collect();
        assert_eq!(sizes, [1, 2, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16]);
    }
}
