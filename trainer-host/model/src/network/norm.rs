//! Layer normalisation over the last axis, with and without an affine map.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, module};

/// Inside the square root of the norms of blocks and final layer.
pub const BLOCK_EPSILON: f64 = 1e-6;
/// Inside the square root of the norms of queries and keys (PyTorch's default).
pub const QK_EPSILON: f64 = 1e-5;

/// `(x - mean) / sqrt(var + epsilon)` over the last axis, with the biased variance and no affine map.
pub fn standardise<const D: usize>(x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    if !x.is_autodiff() {
        let width = x.dims()[D - 1];
        let gamma = Tensor::ones([width], &x.device());
        return module::layer_norm(x, gamma, None, epsilon);
    }
    // Under autodiff burn takes its layer norm apart, with a division and a gain that is not needed here.
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    centred * (variance + epsilon).sqrt().recip()
}

/// A layer norm with gain and offset, for the queries or keys of one head.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Gain, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// Offset, `[width]`.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm {
    /// Normalises the last axis, which must be as wide as the parameters.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if x.is_autodiff() {
            standardise(x, QK_EPSILON) * weight.unsqueeze() + bias.unsqueeze()
        } else {
            module::layer_norm(x, weight, Some(bias), QK_EPSILON)
        }
    }
}
