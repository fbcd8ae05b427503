//! Inputs of the network: patches, time and label.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};
use sextant_recipe::Precision;

use super::config::TIME_FEATURES;
use super::linear::Linear;
use super::patch::patch_rows;
use crate::ops::linear;
use crate::precision::{full, rounded};

/// A convolution of kernel and stride p, as a product with the patches.
#[derive(Module, Debug)]
pub struct PatchProjection {
    /// `[D, C, p, p]`.
    pub weight: Param<Tensor<4>>,
    /// `[D]`.
    pub bias: Param<Tensor<1>>,
}

/// Turns an image into tokens.
#[derive(Module, Debug)]
pub struct PatchEmbedder {
    /// From a patch to a token.
    pub proj: PatchProjection,
}

impl PatchEmbedder {
    /// Maps `[B, C, H, W]` to `[B, T, D]` in f32, tokens row by row.
    pub fn forward(&self, x: Tensor<4>, precision: Precision) -> Tensor<3> {
        let weight = rounded(self.proj.weight.val(), precision);
        let [width, channels, patch, _] = weight.dims();
        let [batch, _, height, image_width] = x.dims();
        let tokens = (height / patch) * (image_width / patch);
        let weight = weight.reshape([width, channels * patch * patch]);
        let rows = patch_rows(rounded(x, precision), patch);
        let bias = rounded(self.proj.bias.val(), precision);
        full(linear(rows, weight, bias)).reshape([batch, tokens, width])
    }
}

/// The two Linears of the time embedding, entries 0 and 2 of a sequence in the published checkpoints.
#[derive(Module, Debug)]
pub struct TimeMlp {
    /// [`TIME_FEATURES`] to D.
    pub _0: Linear,
    /// D to D.
    pub _2: Linear,
}

/// Turns times into conditioning.
#[derive(Module, Debug)]
pub struct TimeEmbedder {
    /// Acts on the sinusoids.
    pub mlp: TimeMlp,
    /// `exp(-ln(10000) i / 128)`, `[1, 128]`; a constant, kept on the device.
    pub(super) frequencies: Tensor<2>,
}

impl TimeEmbedder {
    /// Maps times `[B]` in [0, 1], not scaled by 1000, to `[B, D]` in f32.
    pub fn forward(&self, t: Tensor<1>, precision: Precision) -> Tensor<2> {
        let angles = t.unsqueeze_dim::<2>(1) * self.frequencies.clone();
        let features = Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1);
        let map = |layer: &Linear, x| full(layer.forward(rounded(x, precision)));
        map(&self.mlp._2, activation::silu(map(&self.mlp._0, features)))
    }

    /// The constant table of frequencies, computed in f32 as PyTorch does: at t = 1 a rounding of the frequency is a
    /// rounding of the angle.
    pub(super) fn frequencies(device: &Device) -> Tensor<2> {
        let half = TIME_FEATURES / 2;
        let scale = -(10000f64.ln()) as f32;
        let values: Vec<f32> = (0..half).map(|i| (scale * i as f32 / half as f32).exp()).collect();
        Tensor::from_data(TensorData::new(values, [1, half]), (device, DType::F32))
    }
}

/// A table of rows, one a class and one for the null class.
#[derive(Module, Debug)]
pub struct EmbeddingTable {
    /// `[classes + 1, D]`.
    pub weight: Param<Tensor<2>>,
}

/// Turns labels into conditioning.
#[derive(Module, Debug)]
pub struct LabelEmbedder {
    /// The rows.
    pub embedding_table: EmbeddingTable,
}

impl LabelEmbedder {
    /// Maps labels `[B]`, each at most the null class, to `[B, D]` in f32.
    pub fn forward(&self, y: Tensor<1, Int>) -> Tensor<2> {
        full(self.embedding_table.weight.val().select(0, y))
    }
}

/// The fixed two-dimensional sine-cosine table `[1, grid*grid, width]`: half the channels for the column, then half for the
/// row; each half all sines, then all cosines, of frequencies `10000^(-i/(width/4))`. Computed in f64, rounded once.
///
/// `width` must be a multiple of 4.
pub fn position_table(width: usize, grid: usize) -> TensorData {
    let quarter = width / 4;
    let frequency = |i: usize| 1.0 / 10000f64.powf(i as f64 / quarter as f64);
    let mut values = Vec::with_capacity(grid * grid * width);
    for row in 0..grid {
        for column in 0..grid {
            for position in [column as f64, row as f64] {
                values.extend((0..quarter).map(|i| (position * frequency(i)).sin() as f32));
                values.extend((0..quarter).map(|i| (position * frequency(i)).cos() as f32));
            }
        }
    }
    TensorData::new(values, [1, grid * grid, width])
}
