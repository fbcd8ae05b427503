//! The answer of a source in one case, read back to the CPU.

use std::collections::BTreeMap;
use std::fmt;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor, TensorData};

use super::violation::{Violation, broken};
use sextant_guidance::plan::{Network, TapKind};
use sextant_guidance::{SourcePlan, Trace};

/// A tensor that a gradient might reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// The student's tokens at a depth.
    Tap(usize),
    /// The student's attention probabilities at a depth.
    Attention(usize),
    /// The student's output.
    Output,
    /// Clean latents.
    X,
    /// Noise.
    Noise,
    /// The student's input.
    Xt,
    /// Times.
    T,
    /// Velocity of the path.
    Velocity,
    /// A batch field.
    Field(String),
    /// A parameter of the source's own.
    Parameter(String),
}

impl Input {
    /// Those that a plan lets a gradient reach: declared taps and trainable parameters.
    pub(super) fn declared(plan: &SourcePlan) -> Vec<Self> {
        let taps = plan.taps.iter().filter(|tap| tap.network == Network::Student);
        let taps = taps.map(|tap| match tap.kind {
            TapKind::Block => Self::Tap(tap.depth),
            TapKind::Attention => Self::Attention(tap.depth),
            TapKind::Output => Self::Output,
        });
        let parameters = plan.parameters.iter().filter(|parameter| parameter.trainable);
        taps.chain(parameters.map(|parameter| Self::Parameter(parameter.name.clone())))
            .collect()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(depth) => write!(f, "the student's tokens at depth {depth}"),
            Self::Attention(depth) => write!(f, "the student's attention at depth {depth}"),
            Self::Output => f.write_str("the student's output"),
            Self::X => f.write_str("x"),
            Self::Noise => f.write_str("the noise"),
            Self::Xt => f.write_str("x_t"),
            Self::T => f.write_str("t"),
            Self::Velocity => f.write_str("the velocity"),
            Self::Field(name) => write!(f, "the batch field `{name}`"),
            Self::Parameter(name) => write!(f, "parameter `{name}`"),
        }
    }
}

/// One answer of a source.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Loss per sample: B.
    pub loss: Vec<f32>,
    /// Weight on the denoising loss per sample: B.
    pub denoising_weight: Option<Vec<f32>>,
    /// Metrics, by name.
    pub metrics: BTreeMap<String, f32>,
    /// New values of buffers, by name.
    pub buffers: BTreeMap<String, TensorData>,
    /// Gradient of the sum of the losses, row-major, for each input that it reached. Empty unless it was asked for.
    pub gradients: BTreeMap<Input, Vec<f32>>,
    /// Calls of the host.
    pub trace: Trace,
}

impl Outcome {
    /// The gradient with respect to one input; none if it does not depend on it.
    pub fn gradient(&self, input: &Input) -> Option<&[f32]> {
        self.gradients.get(input).map(Vec::as_slice)
    }

    /// Compares all values to the last bit, but for gradients and trace.
    ///
    /// # Errors
    /// Names the first that differs. `how` says what the other answer is, as in "a second time".
    pub fn same_bits(&self, other: &Self, how: &str) -> Result<(), Violation> {
        same_bits("the loss", &self.loss, &other.loss, how)?;
        let weight = |outcome: &Self| outcome.denoising_weight.clone().unwrap_or_default();
        same_bits("the weight on the denoising loss", &weight(self), &weight(other), how)?;
        let names = |outcome: &Self| outcome.metrics.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(other) {
            return broken(format!(
                "the metrics are {:?}, and {how} {:?}",
                names(self),
                names(other)
            ));
        }
        for (name, value) in &self.metrics {
            same_bits(&format!("metric `{name}`"), &[*value], &[other.metrics[name]], how)?;
        }
        if self.buffers != other.buffers {
            let names: Vec<_> = self.buffers.keys().collect();
            return broken(format!("new values of the buffers {names:?} differ {how}"));
        }
        Ok(())
    }
}

/// Compares two lists of numbers to the last bit.
pub(super) fn same_bits(what: &str, a: &[f32], b: &[f32], how: &str) -> Result<(), Violation> {
    if a.len() != b.len() {
        return broken(format!("{what} has {} numbers, and {how} {}", a.len(), b.len()));
    }
    match a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits()) {
        None => Ok(()),
        Some(i) => broken(format!("{what}[{i}] is {:?}, and {how} {:?}", a[i], b[i])),
    }
}

/// Compares two lists of losses as far as float32 can tell: products of other sizes add up in another order.
pub(super) fn close(what: &str, a: &[f32], b: &[f32], tolerance: f64, how: &str) -> Result<(), Violation> {
    let largest = a.iter().chain(b).fold(0f64, |most, v| most.max(f64::from(v.abs())));
    let floor = 0.1 * tolerance * largest + 1e-6;
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let (x, y) = (f64::from(*a), f64::from(*b));
        let near = (x - y).abs() <= tolerance * x.abs().max(y.abs()) + floor;
        // NaN is near nothing.
        if !near {
            return broken(format!("{what}[{i}] is {a:?}, and {how} {b:?}"));
        }
    }
    Ok(())
}

/// Gradients by parameter: as a backward pass leaves them, or as an optimiser gets them.
pub(super) trait Given {
    fn of<const D: usize>(&self, param: &Param<Tensor<D>>) -> Option<Tensor<D>>;
}

impl Given for Gradients {
    fn of<const D: usize>(&self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        param.val().grad(self)
    }
}

impl Given for GradientsParams {
    fn of<const D: usize>(&self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        self.get::<D>(param.id)
    }
}

/// The gradients of the trained parameters of a module, by path; none where a parameter has none.
pub(super) fn gradients(module: &impl Module, given: &impl Given) -> BTreeMap<String, Option<Vec<f32>>> {
    let mut visitor = Visitor {
        given,
        path: Vec::new(),
        found: BTreeMap::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// The [`gradients`] that there are.
pub(super) fn reached(module: &impl Module, given: &impl Given) -> BTreeMap<String, Vec<f32>> {
    let all = gradients(module, given).into_iter();
    all.filter_map(|(path, gradient)| Some((path, gradient?))).collect()
}

struct Visitor<'a, G> {
    given: &'a G,
    path: Vec<String>,
    found: BTreeMap<String, Option<Vec<f32>>>,
}

impl<G: Given> ModuleVisitor for Visitor<'_, G> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().is_require_grad() {
            let gradient = self.given.of(param).map(read);
            self.found.insert(self.path.join("."), gradient);
        }
    }
}

/// A tensor's elements, row-major. A synchronisation.
pub(super) fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    match tensor.shape().num_elements() {
        0 => Vec::new(),
        _ => floats(&tensor.into_data()),
    }
}

/// The elements of any type as f32.
pub(super) fn floats(data: &TensorData) -> Vec<f32> {
    match data.as_slice::<f32>() {
        Ok(values) => values.to_vec(),
        Err(_) => data.iter::<f32>().collect(),
    }
}

/// Compares two sets of tensors by name to the last bit, as far as `b` has a counterpart.
pub(super) fn same_tensors(
    a: &BTreeMap<String, TensorData>,
    b: &BTreeMap<String, TensorData>,
    how: &str,
) -> Result<(), Violation> {
    for (name, value) in a {
        if let Some(other) = b.get(name)
            && value.as_bytes() != other.as_bytes()
        {
            same_bits(name, &floats(value), &floats(other), how)?;
        }
    }
    Ok(())
}
