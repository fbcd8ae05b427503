//! Multi-head self-attention over all tokens of a sample.

use burn::module::Module;
use burn::tensor::{FloatDType, Tensor};

use super::linear::Linear;
use super::norm::LayerNorm;
use super::precision::full;
use crate::ops::{attention, attention_map, join_heads, scaled_dot_product, split_heads};

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
        let qkv = self.qkv.forward(x);
        let (mixed, probabilities) = match (&self.q_norm, &self.k_norm) {
            (None, None) => {
                // The rows are mixed in the same way whether or not somebody looks on: a source that is there and weighs nothing
                // changes no bit.
                let looked_at = keep.then(|| {
                    let [query, key, _] = split_heads(qkv.clone(), tokens, self.heads);
                    attention_map(query, key)
                });
                (attention(qkv, tokens, self.heads), looked_at)
            }
            (q_norm, k_norm) => {
                let [query, key, value] = split_heads(qkv, tokens, self.heads);
                let normed = |norm: &Option<LayerNorm>, part: Tensor<4>| match norm {
                    Some(norm) => {
                        let dtype = FloatDType::from(part.dtype());
                        norm.forward(full(part)).cast(dtype)
                    }
                    None => part,
                };
                let (query, key) = (normed(q_norm, query), normed(k_norm, key));
                let (mixed, probabilities) = scaled_dot_product(query, key, value, keep);
                (join_heads(mixed), probabilities)
            }
        };
        (self.proj.forward(mixed), probabilities)
    }
}
