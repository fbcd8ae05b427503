//! The affine map `x W^T + b`, its weight stored as PyTorch stores it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::ops::linear;

/// A dense layer whose weight is `[out, in]`, so that published checkpoints load without a transposition.
///
/// (burn's own stores `[in, out]`.)
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Maps rows `[N, in]` to `[N, out]`.
    ///
    /// Tokens are given as `[B*T, in]`: a product that broadcasts the weight over the batch computes, in its backward
    /// pass, one weight gradient per sample and then adds them up.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        linear(x, self.weight.val(), self.bias.val())
    }
}
