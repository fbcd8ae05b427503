//! Multi-head self-attention over all tokens of a sample.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::linear::Linear;
use super::norm::LayerNorm;
use crate::ops::{attention, attention_map, head_norm, split_heads};

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
    /// Maps rows `[B*T, D]` to `[B*T, D]`, of the same type; each run of `tokens` rows is one sample. If `keep`, the probabilities
    /// `softmax(Q K^T / sqrt(d))`, `[B, heads, T, T]`, come with it, in f32.
    pub fn forward(&self, x: Tensor<2>, tokens: usize, keep: bool) -> (Tensor<2>, Option<Tensor<4>>) {
        let mut qkv = self.qkv.forward(x);
        if let (Some(queries), Some(keys)) = (&self.q_norm, &self.k_norm) {
            let gains = [&queries.weight, &keys.weight].map(Param::val);
            let offsets = [&queries.bias, &keys.bias].map(Param::val);
            qkv = head_norm(qkv, gains, offsets, self.heads, queries.epsilon);
        }
        // The rows are mixed in the same way whether or not somebody looks on: a source that is there and weighs nothing changes no bit.
        let probabilities = keep.then(|| {
            let [query, key, _] = split_heads(qkv.clone(), tokens, self.heads);
            attention_map(query, key)
        });
        let mixed = attention(qkv, tokens, self.heads);
        (self.proj.forward(mixed), probabilities)
    }
}
