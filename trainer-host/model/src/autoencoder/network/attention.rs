//! Attention of every place to every place, with one head.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::EPSILON;
use crate::network::linear::Linear;
use crate::network::norm::GroupNorm;
use crate::network::unfilled::{group_norm, linear};
use crate::ops::scaled_dot_product;

/// `x + out(attention(norm(x)))`. Older files say `query`, `key`, `value` and `proj_attn`; they are renamed when read.
#[derive(Module, Debug)]
pub struct Attention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Output,
}

/// A sequence of which the first entry has parameters.
#[derive(Module, Debug)]
struct Output {
    _0: Linear,
}

impl Attention {
    /// Over `channels` channels.
    pub fn new(channels: usize, groups: usize, device: &Device) -> Self {
        let map = || linear(channels, channels, device);
        Self {
            group_norm: group_norm(groups, channels, EPSILON, device),
            to_q: map(),
            to_k: map(),
            to_v: map(),
            to_out: Output { _0: map() },
        }
    }

    /// `[B, C, H, W]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let places = height * width;
        let normed = self.group_norm.forward(x.clone());
        let rows: Tensor<2> = normed
            .reshape([batch, channels, places])
            .swap_dims(1, 2)
            .reshape([batch * places, channels]);
        let mapped = |map: &Linear| map.forward(rows.clone()).reshape([batch, 1, places, channels]);
        let mixed = scaled_dot_product(mapped(&self.to_q), mapped(&self.to_k), mapped(&self.to_v));
        let out = self.to_out._0.forward(mixed.reshape([batch * places, channels]));
        let out: Tensor<4> = out
            .reshape([batch, places, channels])
            .swap_dims(1, 2)
            .reshape([batch, channels, height, width]);
        x + out
    }
}
