//! Initial values of parameters and buffers, drawn on the CPU.

use burn::tensor::TensorData;
use rand::Rng;
use rand_distr::StandardNormal;

use super::plan::Initial;
use sextant_data::Stream;

/// f32 values, a function of seed, instance and name alone.
pub(super) fn draw(initial: &Initial, shape: &[usize], seed: u64, source: &str, name: &str) -> TensorData {
    let elements: usize = shape.iter().product();
    let mut rng = Stream::new(seed, &format!("source/{source}/{name}")).at(&[]);
    let mut uniform = |bound: f64| -> Vec<f32> {
        let draws = (0..elements).map(|_| (rng.random::<f64>() * 2.0 - 1.0) * bound);
        draws.map(|value| value as f32).collect()
    };
    let values: Vec<f32> = match initial {
        Initial::Constant(value) => vec![*value as f32; elements],
        Initial::Uniform(bound) => uniform(*bound),
        Initial::XavierUniform => {
            let field: usize = shape[2..].iter().product();
            let (fan_in, fan_out) = (shape[1] * field, shape[0] * field);
            let bound = (6.0 / (fan_in + fan_out) as f64).sqrt();
            uniform(bound)
        }
        Initial::Normal(deviation) => (0..elements)
            .map(|_| (rng.sample::<f64, _>(StandardNormal) * deviation) as f32)
            .collect(),
        Initial::Values(values) => values.clone(),
    };
    TensorData::new(values, shape.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(initial: &Initial, shape: &[usize], name: &str) -> Vec<f32> {
        draw(initial, shape, 1, "repa", name).try_to_vec().unwrap()
    }

    #[test]
    fn should_draw_a_function_of_the_name() {
        let draw = |name| values(&Initial::Normal(1.0), &[8], name);
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
    }

    #[test]
    fn should_draw_uniformly_with_fans_as_pytorch_counts_them() {
        // Linear(3, 9): sqrt(6 / 12). A 3x3 convolution from 2 to 4 channels: sqrt(6 / (18 + 36)).
        let xavier = Initial::XavierUniform;
        for (initial, shape, bound) in [
            (&xavier, vec![900, 300], (6.0f64 / 1200.0).sqrt() as f32),
            (&xavier, vec![40, 20, 3, 3], (6.0f64 / 540.0).sqrt() as f32),
            (&Initial::Uniform(0.25), vec![900, 30], 0.25),
        ] {
            let drawn = values(initial, &shape, "w");
            let largest = drawn.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(largest <= bound && largest > 0.99 * bound, "{largest} for {bound}");
            let variance = drawn.iter().map(|v| v * v).sum::<f32>() / drawn.len() as f32;
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05);
        }
    }

    #[test]
    fn should_scale_the_normal_by_its_deviation() {
        let drawn = values(&Initial::Normal(0.02), &[10_000], "w");
        let deviation = (drawn.iter().map(|v| v * v).sum::<f32>() / 10_000.0).sqrt();
        assert!((deviation - 0.02).abs() < 0.001);
    }
}
