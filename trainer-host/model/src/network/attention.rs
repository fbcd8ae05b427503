//! Multi-head self-attention over all tokens of a sample.

use burn::module::Module;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, activation, module};

use super::linear::Linear;
use super::norm::LayerNorm;

/// Self-attention with one projection for queries, keys and values, and optionally normalised queries and keys.
#[derive(Module, Debug)]
pub struct Attention {
    /// D to 3D: all heads' queries, then keys, then values.
    pub qkv: Linear,
    /// Norm of each head's queries; present together with `k_norm`.
    pub q_norm: Option<LayerNorm>,
    /// Norm of each head's keys.
    pub k_norm: Option<LayerNorm>,
    /// D to D, after the heads are joined.
    pub proj: Linear,
    #[module(skip)]
    pub(super) heads: usize,
}

impl Attention {
    /// Maps rows `[B*T, D]` to `[B*T, D]`; each run of `tokens` rows is one sample. If `keep`, the probabilities
    /// `softmax(Q K^T / sqrt(d))`, `[B, heads, T, T]`, come with it.
    pub fn forward(&self, x: Tensor<2>, tokens: usize, keep: bool) -> (Tensor<2>, Option<Tensor<4>>) {
        let [rows, width] = x.dims();
        let batch = rows / tokens;
        let head_width = width / self.heads;

        let qkv = self
            .qkv
            .forward(x)
            .reshape([batch, tokens, 3, self.heads, head_width])
            .permute([2, 0, 3, 1, 4]);
        let part = |index: usize| -> Tensor<4> { qkv.clone().narrow(0, index, 1).squeeze_dim(0) };
        let normed = |norm: &Option<LayerNorm>, part: Tensor<4>| match norm {
            Some(norm) => norm.forward(part),
            None => part,
        };
        let (query, key) = (normed(&self.q_norm, part(0)), normed(&self.k_norm, part(1)));
        let (mixed, probabilities) = scaled_dot_product(query, key, part(2), keep);
        let mixed = mixed.swap_dims(1, 2).reshape([rows, width]);
        (self.proj.forward(mixed), probabilities)
    }
}

/// `softmax(Q K^T / sqrt(d)) V` on `[B, heads, T, d]`, and the softmax itself if `keep`.
pub(crate) fn scaled_dot_product(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    keep: bool,
) -> (Tensor<4>, Option<Tensor<4>>) {
    if !query.is_autodiff() && !keep {
        let mixed = module::attention(query, key, value, None, None, AttentionModuleOptions::default());
        return (mixed, None);
    }
    // Under autodiff burn's attention guards its softmax against fully masked rows, of which there are none here. The
    // scale is applied to the queries, of which there are fewer than of the scores.
    let scale = 1.0 / (query.dims()[3] as f64).sqrt();
    let scores = (query * scale).matmul(key.swap_dims(2, 3));
    let probabilities = activation::softmax(scores, 3);
    (probabilities.clone().matmul(value), keep.then_some(probabilities))
}
