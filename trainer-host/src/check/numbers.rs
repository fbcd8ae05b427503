//! The values of a case's tensors.

use burn::tensor::{Device, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;

use super::case::Case;
use super::field::FieldShape;
use crate::data::Stream;
use crate::guidance::plan::{Initial, ParameterPlan};
use crate::guidance::{SourceParams, Sources};

/// Beyond as many values, a tensor repeats those before: a projector of the published width has millions, and a check draws
/// it anew for each case. A prime, so that no two rows are alike.
const PERIOD: usize = 65_521;

/// A batch field `[B, …]`: features, or probabilities over the last extent.
pub fn field(case: &Case, field: &FieldShape) -> Vec<f32> {
    let (shape, what) = (field.shape(case), format!("field/{}", field.name));
    let width = shape.iter().product();
    match field.probabilities() {
        true => probabilities(case, &what, width, *shape.last().unwrap_or(&1)),
        false => features(case, &what, width),
    }
}

/// Standard normal values, `[B, width]`: each row a function of what they are for and of its sample.
pub fn normal(case: &Case, what: &str, width: usize) -> Vec<f32> {
    let stream = Stream::new(case.numbers, &format!("check/{what}"));
    let mut values = Vec::with_capacity(width * case.samples.len());
    for sample in &case.samples {
        let mut rng = stream.at(&[sample.id]);
        values.extend((0..width).map(|_| rng.sample::<f32, _>(StandardNormal)));
    }
    values
}

/// Values like those of activations: normal, of the case's magnitude, rounded as bfloat16 rounds where the case says so.
pub fn features(case: &Case, what: &str, width: usize) -> Vec<f32> {
    let mut values = normal(case, what, width);
    for value in &mut values {
        *value *= case.magnitude;
        if case.bf16 {
            *value = to_bf16(*value);
        }
    }
    values
}

/// Probabilities over the last extent: a softmax of normal values.
pub fn probabilities(case: &Case, what: &str, width: usize, last: usize) -> Vec<f32> {
    let mut values = normal(case, what, width);
    for row in values.chunks_mut(last.max(1)) {
        row.iter_mut().for_each(|value| *value = value.exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= sum);
    }
    values
}

/// A parameter: begun as the plan says, from the case's seed, plus the case's noise.
fn parameter(case: &Case, plan: &ParameterPlan) -> Vec<f32> {
    let count: usize = plan.shape.iter().product();
    let fan_in: usize = plan.shape[1..].iter().product();
    let fan_out = plan.shape[0];
    let drawn = |purpose: &str, deviation: f64| {
        let mut rng = Stream::new(case.seed, &format!("check/parameter/{purpose}/{}", plan.name)).at(&[]);
        let tile: Vec<f32> = (0..count.min(PERIOD))
            .map(|_| (rng.sample::<f64, _>(StandardNormal) * deviation) as f32)
            .collect();
        tile.into_iter().cycle().take(count).collect::<Vec<f32>>()
    };
    let mut values = match &plan.initial {
        Initial::Constant(value) => vec![*value as f32; count],
        Initial::Values(values) => values.clone(),
        Initial::Normal(deviation) => drawn("initial", *deviation),
        // The deviations of uniform draws.
        Initial::Uniform(bound) => drawn("initial", bound / 3f64.sqrt()),
        Initial::XavierUniform => {
            let field: usize = plan.shape.iter().skip(2).product();
            let outputs = fan_out * field;
            drawn("initial", (2.0 / (fan_in + outputs) as f64).sqrt())
        }
    };
    if case.parameter_noise > 0.0 {
        // Weights are scaled by their inputs, so that what they give is of the noise's size.
        let deviation = f64::from(case.parameter_noise) / (fan_in.max(1) as f64).sqrt();
        for (value, noise) in values.iter_mut().zip(drawn("noise", deviation)) {
            *value += noise;
        }
    }
    values
}

/// The parameters of a source, each as [`parameter`] has it.
pub fn parameters(case: &Case, sources: &Sources, device: &Device) -> SourceParams {
    let mut parameters = SourceParams::default();
    for (name, plan) in sources.plans() {
        let value = |plan: &ParameterPlan| TensorData::new(parameter(case, plan), plan.shape.clone());
        parameters.add_with(name, &plan.parameters, value, device);
    }
    parameters
}

/// The nearest number that bfloat16 has; ties to even.
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_follow_a_sample_through_the_batch() {
        let case = Case::plain();
        let (values, reversed) = (normal(&case, "x", 3), normal(&case.reversed(), "x", 3));
        assert_eq!(values[..3], reversed[3..]);
        assert_ne!(values[..3], values[3..]);
    }

    #[test]
    fn should_round_to_bfloat16() {
        assert_eq!(to_bf16(1.0), 1.0);
        assert_eq!(to_bf16(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(to_bf16(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(to_bf16(-2.7), -2.703125);
    }

    #[test]
    fn should_give_probabilities() {
        let values = probabilities(&Case::plain(), "attention", 12, 4);
        for row in values.chunks(4) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row.iter().all(|p| *p > 0.0));
        }
    }
}
