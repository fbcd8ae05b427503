//! Gradients against central differences.

use rand::Rng;
use rand_distr::StandardNormal;

use crate::violation::{broken, discard};
use crate::{Case, Evidence, Harness, Input, Invariant, PluginUnderTest, Violation};
use sextant_data::Stream;

/// The larger of the two steps, relative to the length of the input.
const STEP: f64 = 1e-2;

/// A change of the loss that float32 may make up, relative to its size; changes are to be large beside it.
const ROUNDING: f64 = 2e-4;

/// See its sentence.
pub const FINITE_DIFFERENCES: Invariant = Invariant::new(
    "finite-differences",
    "Gradients agree with central differences of the loss, along a random direction leaned towards the gradient, \
     in float32, at features of order 1. Points where the loss is not smooth, or too flat for float32, say \
     nothing; nor does what disagrees in a source that detaches something, which differences cannot know.",
    examine,
)
.concluded(conclude);

fn examine(plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
    // What is compared is the formula. Features near 0 or far from it are for other laws: there a loss bends too fast.
    let case = &Case {
        magnitude: case.magnitude.clamp(0.3, 3.0),
        bf16: false,
        ..case.clone()
    };
    let mut harness = Harness::new(plugin, case)?;
    let outcome = harness.differentiate()?;
    let reached = Input::declared(harness.plan());
    let reached: Vec<&Input> = reached
        .iter()
        .filter(|input| outcome.gradients.contains_key(input))
        .collect();
    if reached.is_empty() {
        return Ok(());
    }
    let input = reached[case.numbers as usize % reached.len()];
    let gradient = &outcome.gradients[input];
    let Some(values) = harness.values(input) else {
        return Ok(());
    };
    let Some(direction) = direction(case, input, &values, gradient) else {
        return Ok(());
    };
    // Of the order of the numbers that the losses are made of, such as cosines and logarithms.
    let size = sum(&outcome.loss, f64::abs) + case.samples.len() as f64;
    let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
    // Where the loss is steep, steps are short: it changes by no more than a fraction.
    let largest_step = STEP.min(0.02 * size / slope.abs());
    let mut ratios = [0.0; 2];
    for (ratio, step) in ratios.iter_mut().zip([largest_step, 0.5 * largest_step]) {
        let mut at = |step: f64| -> Result<(Vec<f32>, f64), Violation> {
            let moved = values.iter().zip(&direction);
            let moved: Vec<f32> = moved.map(|(v, d)| (f64::from(*v) + step * d) as f32).collect();
            harness.set_values(input, moved.clone())?;
            Ok((moved, sum(&harness.guide()?.loss, |loss| loss)))
        };
        let ((ahead, above), (behind, below)) = (at(step)?, at(-step)?);
        // The way that was gone after rounding to float32, which for short steps is another.
        let way = ahead.iter().zip(&behind).map(|(a, b)| f64::from(*a) - f64::from(*b));
        let promised: f64 = way.zip(gradient).map(|(way, g)| way * f64::from(*g)).sum();
        if promised.abs() < ROUNDING * size {
            return Ok(());
        }
        *ratio = (above - below) / promised;
    }
    let [coarse, fine] = ratios;
    if !coarse.is_finite() || !fine.is_finite() || (coarse - fine).abs() > 0.02 * fine.abs().max(1.0) {
        return Ok(());
    }
    if (fine - 1.0).abs() <= 0.05 + 3.0 * (coarse - fine).abs() {
        evidence.saw("a point");
        return Ok(());
    }
    if outcome.trace.operations.contains("detach") {
        return Ok(());
    }
    broken(format!(
        "along one direction in {input} the loss changes {fine:.3} times as much as its gradient says"
    ))
}

fn conclude(_: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
    match evidence.count("a point") {
        0 => discard("no case had a gradient at a point that differences in float32 can judge"),
        _ => Ok(()),
    }
}

/// The sum of the losses, each mapped, in f64.
fn sum(losses: &[f32], map: impl Fn(f64) -> f64) -> f64 {
    losses.iter().map(|loss| map(f64::from(*loss))).sum()
}

/// A direction as long as the input: half random, so that a missing part of the gradient shows, half along the gradient,
/// so that its size does. None where there is no length.
fn direction(case: &Case, input: &Input, values: &[f32], gradient: &[f32]) -> Option<Vec<f64>> {
    let mut rng = Stream::new(case.numbers, "check/direction").at(&[]);
    // Probabilities stay positive if each changes in proportion.
    let weight = |value: f32| match input {
        Input::Attention(_) => f64::from(value),
        _ => 1.0,
    };
    let random: Vec<f64> = values
        .iter()
        .map(|value| rng.sample::<f64, _>(StandardNormal) * weight(*value))
        .collect();
    let along: Vec<f64> = gradient
        .iter()
        .zip(values)
        .map(|(g, v)| f64::from(*g) * weight(*v))
        .collect();
    let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
    // Biases begin at 0: their scale is that of what they are added to.
    let scale = match (length(&values), input) {
        (0.0, Input::Parameter(_)) => 0.1 * (values.len() as f64).sqrt(),
        (scale, _) => scale,
    };
    let lengths = [scale, length(&random), length(&along)];
    if lengths.iter().any(|length| !length.is_normal()) {
        return None;
    }
    let half = scale * std::f64::consts::FRAC_1_SQRT_2;
    let direction = random.iter().zip(&along);
    Some(
        direction
            .map(|(r, a)| half * (r / lengths[1] + a / lengths[2]))
            .collect(),
    )
}
