//! Gradients against central differences.

use rand::Rng;
use rand_distr::StandardNormal;

use super::gradients::inputs;
use crate::check::{Break, Case, Evidence, Input, Invariant, Scene, Subject};
use crate::data::Stream;

/// The larger of the two steps, relative to the length of the input.
const STEP: f64 = 1e-2;

/// See its sentence.
pub struct FiniteDifferences;

impl Invariant for FiniteDifferences {
    fn name(&self) -> &'static str {
        "finite-differences"
    }

    fn sentence(&self) -> &'static str {
        "Gradients agree with central differences of the loss, along a random direction leaned towards the gradient, in \
         float32. Points where the loss is not smooth, or too flat for float32, say nothing; nor does an input that the \
         source detaches somewhere, which differences cannot know."
    }

    fn examine(&self, subject: &Subject, case: &Case, evidence: &mut Evidence) -> Result<(), Break> {
        let mut scene = Scene::new(subject, case)?;
        let outcome = scene.differentiate()?;
        let reached = inputs(scene.plan());
        let reached: Vec<&Input> = reached
            .iter()
            .filter(|input| outcome.gradients.contains_key(input))
            .collect();
        if reached.is_empty() {
            return Ok(());
        }
        let input = reached[case.numbers as usize % reached.len()];
        let gradient = &outcome.gradients[input];
        let Some(values) = scene.values(input) else {
            return Ok(());
        };
        let Some(direction) = direction(case, input, &values, gradient) else {
            return Ok(());
        };
        let wanted: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
        let mut differences = [0.0; 2];
        let mut size = 0f64;
        for (difference, step) in differences.iter_mut().zip([STEP, 0.5 * STEP]) {
            let mut at = |step: f64| -> Result<f64, Break> {
                let moved = values.iter().zip(&direction);
                scene.set_values(input, moved.map(|(v, d)| (f64::from(*v) + step * d) as f32).collect())?;
                let loss = scene.guide()?.loss;
                size = size.max(loss.iter().map(|loss| f64::from(loss.abs())).sum());
                Ok(loss.iter().map(|loss| f64::from(*loss)).sum())
            };
            *difference = (at(step)? - at(-step)?) / (2.0 * step);
        }
        let [coarse, fine] = differences;
        let largest = wanted.abs().max(coarse.abs()).max(fine.abs());
        // Losses come from numbers of order 1, such as cosines and logarithms, or larger, and are rounded as those are.
        let noise = 1e-6 * (size + case.samples.len() as f64) / STEP;
        let rough = (coarse - fine).abs() > 0.05 * largest;
        if !largest.is_finite() || rough || noise > 0.02 * largest {
            return Ok(());
        }
        // Two steps give the limit to fourth order (Richardson).
        let found = (4.0 * fine - coarse) / 3.0;
        if (found - wanted).abs() <= 0.02 * largest + 2.0 * (coarse - fine).abs() + 5.0 * noise {
            evidence.saw("a point");
            return Ok(());
        }
        if outcome.trace.operations.contains("detach") {
            return Ok(());
        }
        Err(Break::broken(format!(
            "along one direction in {input} the loss changes by {found:.6}, but its gradient says {wanted:.6}"
        )))
    }

    fn conclude(&self, _: &Subject, evidence: &Evidence) -> Result<(), Break> {
        match evidence.count("a point") {
            0 => Err(Break::Discard(
                "no case had a gradient at a point that differences in float32 can judge".into(),
            )),
            _ => Ok(()),
        }
    }
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
