//! Cost of an encoder, from its shapes. A multiplication and an addition are two operations.

use super::Encoder;
use super::network::EXPANSION;
use sextant_recipe::{Family, NetworkConfig};

/// Floating-point operations of the convolutions or perceptrons on one image of `input` pixels a side.
fn forward_operations(network: &NetworkConfig) -> u64 {
    match network.family {
        Family::Convolution => of_convolutions(network),
        Family::Patches => of_patches(network),
    }
}

fn of_convolutions(network: &NetworkConfig) -> u64 {
    let (mut side, mut channels, mut sum) = (network.input, 3, 0);
    for (stage, blocks) in network.blocks.iter().enumerate() {
        let width = network.width << stage;
        side /= 2;
        sum += convolution(side, channels, width, 3) + 2 * *blocks as u64 * convolution(side, width, width, 3);
        channels = width;
    }
    sum + convolution(side, channels, network.output, 1)
}

fn of_patches(network: &NetworkConfig) -> u64 {
    let (grid, width) = (network.grid(), network.width);
    let tokens = grid * grid;
    let blocks: usize = network.blocks.iter().sum();
    // Two dense layers over the places of each channel, two over the channels of each place.
    let mixer = 4 * EXPANSION * tokens * width * (tokens + width);
    convolution(grid, 3, width, network.patch()) + (blocks * mixer) as u64 + convolution(grid, width, network.output, 1)
}

/// A convolution with `side`² places in its result.
fn convolution(side: usize, from: usize, to: usize, kernel: usize) -> u64 {
    2 * [side, side, from, to, kernel, kernel]
        .map(|n| n as u64)
        .iter()
        .product::<u64>()
}

impl Encoder {
    /// Number of scalars in its parameters.
    pub fn parameter_count(&self) -> usize {
        let tensors = self.network().tensors();
        tensors.values().map(|tensor| tensor.num_elements()).sum()
    }

    /// Floating-point operations of encoding `images` images.
    pub fn encoding_operations(&self, images: usize) -> f64 {
        forward_operations(&self.origin().recipe.network) as f64 * images as f64
    }

    /// Floating-point operations of the training that its recipe describes: forward and twice as much backward for two views of
    /// each image of each batch. 0 for an untrained one.
    pub fn training_operations(&self) -> f64 {
        let training = &self.origin().recipe.training;
        let views = 2 * training.steps * training.batch_size as u64;
        3.0 * views as f64 * forward_operations(&self.origin().recipe.network) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::target_encoder;
    use burn::tensor::Device;
    use sextant_recipe::TargetEncoder;

    #[test]
    fn should_agree_with_a_count_by_hand() {
        let network = NetworkConfig {
            family: Family::Convolution,
            patch: None,
            input: 8,
            width: 8,
            blocks: vec![1, 2],
            output: 5,
        };
        let first = 2 * 16 * (3 * 8 * 9) + 2 * 2 * 16 * (8 * 8 * 9);
        let second = 2 * 4 * (8 * 16 * 9) + 4 * 2 * 4 * (16 * 16 * 9);
        assert_eq!(forward_operations(&network), first + second + 2 * 4 * 16 * 5);
    }

    #[test]
    fn should_agree_with_a_count_of_patches_by_hand() {
        let network = NetworkConfig {
            family: Family::Patches,
            patch: Some(2),
            input: 8,
            width: 10,
            blocks: vec![3],
            output: 5,
        };
        let embedding = 16 * 2 * (12 * 10);
        let (places, channels) = (10 * 2 * (16 * 32 + 32 * 16), 16 * 2 * (10 * 20 + 20 * 10));
        assert_eq!(
            forward_operations(&network),
            embedding + 3 * (places + channels) + 16 * 2 * (10 * 5)
        );
    }

    #[test]
    fn should_cost_no_training_where_there_was_none() {
        let of = |weights: &str| {
            let config = TargetEncoder {
                weights: weights.into(),
            };
            target_encoder(&config, &Device::flex()).unwrap()
        };
        let (trained, untrained) = (of("embedded"), of("untrained"));
        assert_eq!(untrained.training_operations(), 0.0);
        let recipe = &trained.origin().recipe;
        let views = 2.0 * recipe.training.steps as f64 * recipe.training.batch_size as f64;
        assert_eq!(
            trained.training_operations(),
            3.0 * views * trained.encoding_operations(1)
        );
        assert_eq!(trained.parameter_count(), untrained.parameter_count());
    }
}
