//! The state that a sampler moves, and the noise that it starts from and adds.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, StandardNormal};

/// A batch of latents in f64 on the CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    /// Row-major values of `shape`.
    pub values: Vec<f64>,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
}

impl Latents {
    /// Copies a tensor of any float type from its device.
    pub fn from_tensor(tensor: Tensor<4>) -> Self {
        let shape = tensor.dims();
        let values = tensor.into_data().iter::<f64>().collect();
        Self { values, shape }
    }

    /// Copies to `device` in f32.
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let values: Vec<f32> = self.values.iter().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, self.shape), (device, DType::F32))
    }
}

/// Source of the SDE's noise.
pub trait StepNoise {
    /// Standard normal values of `shape`, for step `step`, counted from 0. Asked for once a step, in order, but for the last.
    fn draw(&mut self, step: usize, shape: [usize; 4]) -> Vec<f64>;
}

/// One stream of standard normals a sample, keyed by the seed and the sample's number: a sample does not depend on which
/// others share its batch.
#[derive(Clone, Debug)]
pub struct SampleStreams(Vec<ChaCha12Rng>);

impl SampleStreams {
    /// Streams for the samples with these numbers, in the order of the batch.
    pub fn new(seed: u64, samples: impl IntoIterator<Item = u64>) -> Self {
        let stream = |sample| {
            let mut rng = ChaCha12Rng::seed_from_u64(seed);
            rng.set_stream(sample);
            rng
        };
        Self(samples.into_iter().map(stream).collect())
    }

    /// The noise to start from: the first draw of each stream. `shape` is that of one sample, `[C, H, W]`.
    pub fn initial(&mut self, shape: [usize; 3]) -> Latents {
        let [channels, height, width] = shape;
        Latents {
            values: self.normals(channels * height * width),
            shape: [self.0.len(), channels, height, width],
        }
    }

    fn normals(&mut self, per_sample: usize) -> Vec<f64> {
        let streams = self.0.iter_mut();
        streams
            .flat_map(|rng| StandardNormal.sample_iter(rng).take(per_sample))
            .collect()
    }
}

impl StepNoise for SampleStreams {
    fn draw(&mut self, _: usize, shape: [usize; 4]) -> Vec<f64> {
        self.normals(shape[1..].iter().product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_not_depend_on_the_batch() {
        let shape = [3, 4, 4];
        let mut together = SampleStreams::new(7, 0..4);
        let (start, step) = (together.initial(shape), together.draw(0, [4, 3, 4, 4]));
        let mut alone = SampleStreams::new(7, [2]);
        assert_eq!(alone.initial(shape).values, start.values[2 * 48..3 * 48]);
        assert_eq!(alone.draw(0, [1, 3, 4, 4]), step[2 * 48..3 * 48]);
    }

    #[test]
    fn should_differ_between_seeds_samples_and_steps() {
        let mut streams = SampleStreams::new(7, [0, 1]);
        let first = streams.initial([1, 2, 2]).values;
        assert_ne!(first[..4], first[4..]);
        assert_ne!(first, streams.draw(0, [2, 1, 2, 2]));
        assert_ne!(first, SampleStreams::new(8, [0, 1]).initial([1, 2, 2]).values);
    }
}
