//! Two convolutions around which the input is carried.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use super::EPSILON;
use crate::network::norm::GroupNorm;
use crate::network::unfilled::{convolution, group_norm};

/// `x + conv2(silu(norm2(conv1(silu(norm1(x))))))`, where x is mapped by `conv_shortcut` if the channels differ.
#[derive(Module, Debug)]
pub struct Residual {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl Residual {
    /// From `channels[0]` to `channels[1]`.
    pub fn new(channels: [usize; 2], groups: usize, device: &Device) -> Self {
        let [from, to] = channels;
        Self {
            norm1: group_norm(groups, from, EPSILON, device),
            conv1: convolution(channels, 3, device),
            norm2: group_norm(groups, to, EPSILON, device),
            conv2: convolution([to, to], 3, device),
            conv_shortcut: (from != to).then(|| convolution(channels, 1, device)),
        }
    }

    /// `[B, from, H, W]` to `[B, to, H, W]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(silu(self.norm1.forward(x.clone())));
        let hidden = self.conv2.forward(silu(self.norm2.forward(hidden)));
        match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(x) + hidden,
            None => x + hidden,
        }
    }
}
