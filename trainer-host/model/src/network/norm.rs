//! Norms with an affine map.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

use crate::ops::standardise;

/// Inside the square root of the norms of blocks and final layer.
pub const BLOCK_EPSILON: f64 = 1e-6;
/// Inside the square root of the norms of queries and keys (PyTorch's default).
pub const QK_EPSILON: f64 = 1e-5;

/// A layer norm with gain and offset.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Gain, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// Offset, `[width]`.
    pub bias: Param<Tensor<1>>,
    /// Inside the square root.
    #[module(skip)]
    pub epsilon: f64,
}

impl LayerNorm {
    /// Normalises the last axis, which must be as wide as the parameters.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        module::layer_norm(x, self.weight.val(), Some(self.bias.val()), self.epsilon)
    }
}

/// A group norm (arXiv 1803.08494) with a gain and an offset for each channel, under PyTorch's names.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Gain, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Offset, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Groups of neighbouring channels, each with its own mean and variance.
    #[module(skip)]
    pub groups: usize,
    /// Inside the square root.
    #[module(skip)]
    pub epsilon: f64,
}

impl GroupNorm {
    /// `[B, C, H, W]` to the same shape; the groups must divide C.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shape @ [batch, channels, height, width] = x.dims();
        let grouped = x.reshape([batch, self.groups, channels / self.groups * height * width]);
        let each = |parameter: &Param<Tensor<1>>| parameter.val().reshape([1, channels, 1, 1]);
        standardise(grouped, self.epsilon).reshape(shape) * each(&self.weight) + each(&self.bias)
    }
}
