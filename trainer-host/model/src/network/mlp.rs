//! The two-layer perceptron of a block.

use burn::module::Module;
use burn::tensor::Tensor;

use super::linear::Linear;
use crate::ops::gelu_tanh;

/// `fc2(gelu(fc1(x)))` with the tanh approximation of GELU.
#[derive(Module, Debug)]
pub struct Mlp {
    /// D to the hidden width.
    pub fc1: Linear,
    /// The hidden width back to D.
    pub fc2: Linear,
}

impl Mlp {
    /// Maps rows `[N, D]` to `[N, D]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(gelu_tanh(self.fc1.forward(x)))
    }
}
