//! The affine map `x W^T + b`, its weight stored as PyTorch stores it.

use burn::module::{Module, Param};
use burn::tensor::{FloatDType, Tensor};

use crate::ops::linear;
use crate::precision::is_half;

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
    ///
    /// The product is computed in the type of the weight, if that is held in a half, else in that of the rows, and so is its value.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let held = weight.dtype();
        let dtype = FloatDType::from(if is_half(held) { held } else { x.dtype() });
        linear(x.cast(dtype), weight.cast(dtype), bias.cast(dtype))
    }
}
