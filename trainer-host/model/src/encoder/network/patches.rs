//! An MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601): patches that are mixed across places, then across channels.
//! It has neither convolution nor attention: what it sees is as unlike the encoder's, and the student's, as this data allows.

use super::normal;
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use sextant_recipe::NetworkConfig;

/// Hidden width of each perceptron, in widths of what it maps.
pub(crate) const EXPANSION: usize = 2;

/// Embedded patches, mixer blocks, and a head that makes tokens of them. It works at one number of patches only.
#[derive(Module, Debug)]
pub struct PatchNetwork {
    embed: Linear,
    blocks: Vec<Mixer>,
    norm: LayerNorm,
    head: Linear,
    token_norm: LayerNorm,
}

/// Two residual perceptrons: one over the places of a channel, one over the channels of a place.
#[derive(Module, Debug)]
struct Mixer {
    norm1: LayerNorm,
    places: Perceptron,
    norm2: LayerNorm,
    channels: Perceptron,
}

/// `fc2(relu(fc1(x)))`
#[derive(Module, Debug)]
struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

impl PatchNetwork {
    /// Normal weights of variance 2 / fan-in before a rectifier and 1 / fan-in elsewhere. `config` must be valid.
    pub fn init(config: &NetworkConfig, rng: &mut impl Rng, device: &Device) -> Self {
        let (tokens, width) = (config.grid().pow(2), config.width);
        let count = config.blocks.iter().sum();
        Self {
            embed: dense(3 * config.patch().pow(2), width, 1.0, rng, device),
            blocks: (0..count).map(|_| Mixer::init(tokens, width, rng, device)).collect(),
            norm: LayerNormConfig::new(width).init(device),
            head: dense(width, config.output, 1.0, rng, device),
            token_norm: LayerNormConfig::new(config.output).init(device),
        }
    }

    /// `[B, 3, input, input]` to tokens `[B, grid * grid, output]`, row by row.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [count, _, side, _] = images.dims();
        let [values, width] = self.embed.weight.dims();
        let grid = side / (values / 3).isqrt();
        let rows = self.embed.forward(patches(images, grid));
        let mut hidden = rows.reshape([count, grid * grid, width]);
        for block in &self.blocks {
            hidden = block.forward(hidden);
        }
        self.token_norm.forward(self.head.forward(self.norm.forward(hidden)))
    }
}

impl Mixer {
    fn init(tokens: usize, width: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self {
            norm1: LayerNormConfig::new(width).init(device),
            places: Perceptron::init(tokens, rng, device),
            norm2: LayerNormConfig::new(width).init(device),
            channels: Perceptron::init(width, rng, device),
        }
    }

    /// `[B, T, D]` to `[B, T, D]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let places = self.norm1.forward(x.clone()).swap_dims(1, 2);
        let x = x + self.places.forward(places).swap_dims(1, 2);
        let channels = self.norm2.forward(x.clone());
        x + self.channels.forward(channels)
    }
}

impl Perceptron {
    fn init(width: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self {
            fc1: dense(width, EXPANSION * width, 2.0, rng, device),
            fc2: dense(EXPANSION * width, width, 1.0, rng, device),
        }
    }

    /// Maps the last dimension. The rows are laid out flat, or the backward pass would make a gradient of the weights for
    /// every image and then add them up.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [count, rows, width] = x.dims();
        let flat: Tensor<2> = x.reshape([count * rows, width]);
        self.fc2
            .forward(relu(self.fc1.forward(flat)))
            .reshape([count, rows, width])
    }
}

/// A dense layer whose weights have variance `gain / from` and whose bias is 0.
fn dense(from: usize, to: usize, gain: f32, rng: &mut impl Rng, device: &Device) -> Linear {
    Linear {
        weight: normal([from, to], (gain / from as f32).sqrt(), rng, device),
        bias: Some(Param::from_data(TensorData::new(vec![0.0f32; to], [to]), device)),
    }
}

/// `[N, 3, side, side]` to the pixels of each grid cell, `[N * grid * grid, 3 * p * p]`.
pub(in crate::encoder) fn patches(images: Tensor<4>, grid: usize) -> Tensor<2> {
    let [count, channels, side, _] = images.dims();
    let p = side / grid;
    images
        .reshape([count, channels, grid, p, grid, p])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([count * grid * grid, channels * p * p])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_cut_patches_row_by_row() {
        let images: Tensor<4> = Tensor::<1, burn::tensor::Int>::arange(0..16, &Device::flex())
            .float()
            .reshape([1, 1, 4, 4]);
        let cut: Vec<f32> = patches(images, 2).into_data().try_to_vec().unwrap();
        assert_eq!(
            cut,
            [0., 1., 4., 5., 2., 3., 6., 7., 8., 9., 12., 13., 10., 11., 14., 15.]
        );
    }
}
