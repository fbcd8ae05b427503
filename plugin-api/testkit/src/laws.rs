//! Ready properties of losses, to be called from [`proptest::proptest!`] with generated arguments.
//!
//! Those of a distance take the loss as a function of its two sides, the guided and the target, `[B, T, D]` each, so that one
//! law serves a part, a source whose projector is made the identity ([`crate::Inputs::with_identity_projector`]), and
//! somebody's third variant of it. Those of a source take a [`Bench`].

use std::collections::BTreeSet;

use proptest::prelude::*;
use sextant_plugin_api::parts::Mask;
use sextant_plugin_api::{Condition, Error, Network, TimeRange};

use crate::{Bench, Inputs, Leaf, Outcome, Tap, Value};

/// Outcome of a law: that it held, or where it did not.
pub type Law = Result<(), TestCaseError>;

/// Relative error that float64 may make in a loss.
const ROUNDING: f64 = 1e-9;

fn answered(loss: Result<Vec<f64>, Error>) -> Result<Vec<f64>, TestCaseError> {
    loss.map_err(|error| TestCaseError::fail(error.to_string()))
}

/// Both agree to rounding, each sample.
///
/// # Errors
/// The law's.
pub fn equal(what: &str, found: &[f64], expected: &[f64]) -> Law {
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    for (sample, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a - b).abs() <= ROUNDING * b.abs().max(1.0);
        prop_assert!(close, "{what}: sample {sample} is {a}, it should be {b}");
    }
    Ok(())
}

/// A cosine loss: within [-1, 1] (not a sum); -1 at equality; unchanged when any token of either side is multiplied by a
/// positive number of its own (the cosine is a token's, over its channels). Tokens of zeros have no direction: none here.
///
/// # Errors
/// The law's.
pub fn cosine(loss: impl Fn(&Value, &Value) -> Result<Vec<f64>, Error>, a: &Value, b: &Value, factors: &[f64]) -> Law {
    let width = a.shape.last().copied().unwrap_or(1);
    let directed = |side: &Value| {
        side.data
            .chunks(width)
            .all(|token| token.iter().any(|v| v.abs() > 1e-3))
    };
    prop_assume!(directed(a) && directed(b));
    let base = answered(loss(a, b))?;
    for value in &base {
        prop_assert!(value.abs() <= 1.0 + ROUNDING, "a cosine loss of {value}");
    }
    equal("equal sides", &answered(loss(a, a))?, &vec![-1.0; base.len()])?;
    equal("scaled guided", &answered(loss(&a.scale_tokens(factors), b))?, &base)?;
    equal("scaled target", &answered(loss(a, &b.scale_tokens(factors)))?, &base)
}

/// A mean squared error: exactly 0 at the target; d^2 where every element is d away, however many there are.
///
/// # Errors
/// The law's.
pub fn squared_error(loss: impl Fn(&Value, &Value) -> Result<Vec<f64>, Error>, a: &Value, b: &Value, d: f64) -> Law {
    let batch = a.shape[0];
    prop_assert_eq!(answered(loss(a, a))?, vec![0.0; batch], "at the target");
    prop_assert!(answered(loss(a, b))?.iter().all(|value| *value >= 0.0));
    equal(
        "all d away",
        &answered(loss(a, &a.map(|v| v + d)))?,
        &vec![d * d; batch],
    )
}

/// Smooth-L1: 0 at the target; `d^2 / (2 beta)` up to `beta` and `d - beta/2` from it, in value and slope; even in d.
///
/// # Errors
/// The law's.
pub fn smooth_l1(loss: impl Fn(&Value, &Value) -> Result<Vec<f64>, Error>, beta: f64, a: &Value, d: f64) -> Law {
    let at = |d: f64| -> Result<f64, TestCaseError> {
        let values = answered(loss(a, &a.map(|v| v + d)))?;
        prop_assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < ROUNDING));
        Ok(values[0])
    };
    let piece = |d: f64| {
        if d.abs() < beta {
            d * d / (2.0 * beta)
        } else {
            d.abs() - beta / 2.0
        }
    };
    for d in [
        0.0,
        d,
        -d,
        d * beta,
        beta,
        -beta,
        beta * (1.0 - 1e-6),
        beta * (1.0 + 1e-6),
    ] {
        equal("smooth L1", &[at(d)?], &[piece(d)])?;
    }
    // The pieces meet with the slope 1 on both sides.
    let h = beta * 1e-4;
    let (below, above) = ((at(beta)? - at(beta - h)?) / h, (at(beta + h)? - at(beta)?) / h);
    prop_assert!(
        (below - 1.0).abs() < 1e-3 && (above - 1.0).abs() < 1e-6,
        "slopes {below} and {above}"
    );
    Ok(())
}

/// The losses under a mask of times, against those of the same step without one: the weights of [`Mask`], both ends inside,
/// and exactly 0 where nothing is guided.
///
/// # Errors
/// The law's.
pub fn time_mask(mask: Mask, range: (f64, f64), times: &[f32], masked: &[f64], unmasked: &[f64]) -> Law {
    let range = TimeRange::new(range.0, range.1).map_err(|error| TestCaseError::reject(error.to_string()))?;
    let inside: Vec<bool> = times.iter().map(|t| range.contains(*t)).collect();
    let (count, batch) = (inside.iter().filter(|i| **i).count() as f64, times.len() as f64);
    let weight = |inside: bool| match (mask, inside) {
        (Mask::Released, _) => count / batch,
        (_, false) => 0.0,
        (Mask::Sample, true) => 1.0,
        (Mask::Inside, true) => batch / count,
    };
    let expected: Vec<f64> = inside.iter().zip(unmasked).map(|(i, loss)| weight(*i) * loss).collect();
    for (i, (found, expected)) in masked.iter().zip(&expected).enumerate() {
        prop_assert!(
            *expected != 0.0 || *found == 0.0,
            "sample {i} at t = {} is outside, its loss {found}",
            times[i]
        );
    }
    equal(&format!("{mask:?} mask at {times:?}"), masked, &expected)
}

/// One pass of the teacher, on these samples and no others: each once with its own label, before dropout, then each once
/// without, at the step's own x_t and t. None where there are no samples.
///
/// # Errors
/// The law's.
pub fn guided_pass(outcome: &Outcome, inputs: &Inputs, samples: &[u32]) -> Law {
    if samples.is_empty() {
        prop_assert!(outcome.passes.is_empty(), "the teacher ran although no sample counts");
        return Ok(());
    }
    prop_assert_eq!(outcome.passes.len(), 1);
    let (pass, count) = (&outcome.passes[0], samples.len());
    prop_assert_eq!(pass.network, Network::Teacher);
    prop_assert_eq!(&pass.rows, &[samples, samples].concat());
    let conditions = [vec![Condition::Own; count], vec![Condition::Null; count]].concat();
    prop_assert_eq!(&pass.conditions, &conditions, "own label before dropout, then none");
    let rows: Vec<usize> = pass.rows.iter().map(|row| *row as usize).collect();
    prop_assert_eq!(&pass.x_t, &inputs.x_t.rows(&rows));
    let times: Vec<f64> = rows.iter().map(|row| f64::from(inputs.times[*row])).collect();
    prop_assert_eq!(&pass.t, &times);
    Ok(())
}

/// Guidance in feature space: the target of a loss that is 0 at it is the conditional feature at scale 1, the unconditional at
/// 0, and on the line through both in between and beyond. `loss` is a function of (scale, guided, conditional, unconditional).
///
/// # Errors
/// The law's.
pub fn feature_guidance(
    loss: impl Fn(f64, &[f64], &[f64], &[f64]) -> Result<Vec<f64>, Error>,
    conditional: &[f64],
    unconditional: &[f64],
    scale: f64,
) -> Law {
    let on_line = |w: f64| -> Vec<f64> {
        let both = conditional.iter().zip(unconditional);
        both.map(|(c, u)| u + w * (c - u)).collect()
    };
    let zero = |what: &str, values: Vec<f64>| equal(what, &values, &vec![0.0; values.len()]);
    zero("scale 1", answered(loss(1.0, conditional, conditional, unconditional))?)?;
    zero(
        "scale 0",
        answered(loss(0.0, unconditional, conditional, unconditional))?,
    )?;
    zero(
        "on the line",
        answered(loss(scale, &on_line(scale), conditional, unconditional))?,
    )?;
    // Elsewhere on it the loss is the square of the distance.
    let distance = conditional
        .iter()
        .zip(unconditional)
        .map(|(c, u)| (c - u).powi(2))
        .sum::<f64>();
    let expected = distance / conditional.len() as f64;
    let found = answered(loss(scale, &on_line(scale - 1.0), conditional, unconditional))?;
    equal("one unit of scale away", &found, &vec![expected; found.len()])
}

/// A gradient can flow to the student's tokens of these depths and to every trainable parameter, and to nothing else: not to
/// a target, not to a frozen parameter. For sources that guide blocks.
///
/// # Errors
/// The law's.
pub fn gradients(bench: &Bench, outcome: &Outcome, depths: &[u32]) -> Law {
    let taps = depths.iter().map(|depth| Leaf::Tap(Tap::Block(*depth)));
    let parameters = bench
        .declared()
        .parameters
        .iter()
        .filter(|parameter| parameter.trainable);
    let parameters = parameters.map(|parameter| Leaf::Parameter(parameter.name.clone()));
    let expected: BTreeSet<Leaf> = taps.chain(parameters).collect();
    prop_assert_eq!(&outcome.gradients, &expected);
    Ok(())
}

/// Checks what every source owes: a finite loss at any time from 0 to 1; the same step twice gives the same bits; and a
/// sample's loss follows it through a permuted batch, its draws too (a batch-coupled source is not asked that). The
/// real host's `sextant plugin check` tests these and more.
///
/// # Errors
/// The law's.
pub fn sound(bench: &Bench, inputs: &Inputs) -> Law {
    let ends: Vec<f32> = [0.0, 1.0].into_iter().cycle().take(inputs.batch()).collect();
    for inputs in [inputs, &inputs.clone().with_times(&ends)] {
        let loss = answered(bench.loss(inputs))?;
        prop_assert!(
            loss.iter().all(|v| v.is_finite()),
            "{loss:?} at times {:?}",
            inputs.times
        );
    }
    let loss = answered(bench.loss(inputs))?;
    prop_assert_eq!(&loss, &answered(bench.loss(inputs))?, "the same step again");
    if !bench.declared().batch_coupled {
        let backwards: Vec<usize> = (0..inputs.batch()).rev().collect();
        let mut permuted = answered(bench.loss(&inputs.rows(&backwards)))?;
        permuted.reverse();
        equal("a permuted batch", &permuted, &loss)?;
    }
    Ok(())
}
