//! The self-supervised loss: two views of an image agree, and each token knows its own patch.

use super::config::NetworkConfig;
use super::network::{Network, normal};
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData, module};
use rand::Rng;

/// The network in training, with the head that reads pixels from tokens and is dropped afterwards.
///
/// The contrast has no projection head: at this size of data the pooled tokens themselves come out better (by
/// nearest neighbours) when they are what is contrasted.
#[derive(Module, Debug)]
pub(super) struct Learner {
    pub network: Network,
    pixels: Param<Tensor<2>>,
}

/// The two terms of the loss, scalars.
pub(super) struct Terms {
    pub contrast: Tensor<1>,
    pub reconstruction: Tensor<1>,
}

impl Learner {
    pub fn init(config: &NetworkConfig, rng: &mut impl Rng, device: &Device) -> Self {
        let network = Network::init(config, rng, device);
        let std = (1.0 / config.output as f32).sqrt();
        let patch = 3 * config.patch().pow(2);
        Self {
            network,
            pixels: normal([config.output, patch], std, rng, device),
        }
    }

    /// `noisy` and `clean` are `[2B, 3, side, side]`: first views of B images, then second views in the same order.
    pub fn terms(&self, noisy: Tensor<4>, clean: Tensor<4>, temperature: f32) -> Terms {
        let tokens = self.network.forward(noisy);
        let [views, count, output] = tokens.dims();
        let pooled = tokens.clone().mean_dim(1).reshape([views, output]);
        let read = module::linear(tokens.reshape([views * count, output]), self.pixels.val(), None);
        let grid = count.isqrt();
        Terms {
            contrast: nt_xent(pooled, temperature),
            reconstruction: (read - patches(clean, grid)).square().mean(),
        }
    }
}

/// Normalised temperature-scaled cross-entropy, equation 1 of SimCLR (arXiv 2002.05709): rows i and i + B of
/// `[2B, D]` are a pair, all other rows are its negatives.
fn nt_xent(features: Tensor<2>, temperature: f32) -> Tensor<1> {
    let [views, _] = features.dims();
    let device = features.device();
    let norm = features.clone().square().sum_dim(1).add_scalar(1e-8).sqrt();
    let unit = features / norm;
    let similarity = unit.clone().matmul(unit.transpose()).div_scalar(temperature);
    let matrix = |value: &dyn Fn(usize, usize) -> f32| {
        let values: Vec<f32> = (0..views * views).map(|i| value(i / views, i % views)).collect();
        Tensor::<2>::from_data(TensorData::new(values, [views, views]), &device)
    };
    // A view is no negative of itself.
    let itself = matrix(&|row, column| if row == column { -1e9 } else { 0.0 });
    let pair = matrix(&|row, column| {
        if (row + views / 2) % views == column { 1.0 } else { 0.0 }
    });
    (log_softmax(similarity + itself, 1) * pair)
        .sum()
        .div_scalar(-(views as f32))
}

/// `[N, 3, side, side]` to the pixels of each grid cell, `[N * grid * grid, 3 * p * p]`.
fn patches(images: Tensor<4>, grid: usize) -> Tensor<2> {
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
    fn should_equal_the_formula_on_two_pairs() {
        let device = Device::flex();
        // Unit rows: both views of the first image along x, of the second along y.
        let rows = Tensor::<2>::from_data([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 5.0]], &device);
        let loss: f32 = nt_xent(rows, 0.5).into_scalar();
        let expected = -(2.0f32.exp() / (2.0f32.exp() + 2.0)).ln();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }

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
