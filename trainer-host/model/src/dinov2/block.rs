//! One block: attention and a perceptron, each normed before, scaled by channel behind, and carried around. Field names are those
//! of transformers' parameters.

use burn::module::{Module, Param};
use burn::tensor::activation::{gelu, silu};
use burn::tensor::{Device, Tensor};

use super::config::Dinov2Config;
use crate::network::linear::Linear;
use crate::network::norm::LayerNorm;
use crate::network::unfilled::{layer_norm, linear, parameter};
use crate::ops::scaled_dot_product;
use crate::precision::full;

/// `x += scale1 * attention(norm1(x)); x += scale2 * mlp(norm2(x))`
#[derive(Module, Debug)]
pub struct Block {
    norm1: LayerNorm,
    attention: Attention,
    layer_scale1: LayerScale,
    norm2: LayerNorm,
    mlp: Perceptron,
    layer_scale2: LayerScale,
}

#[derive(Module, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    #[module(skip)]
    heads: usize,
}

#[derive(Module, Debug)]
struct LayerScale {
    lambda1: Param<Tensor<1>>,
}

/// Plain, `fc2(gelu(fc1(x)))`, or gated, `down(silu(gate(x)) * up(x))`: the layers of one kind are there.
#[derive(Module, Debug)]
struct Perceptron {
    fc1: Option<Linear>,
    fc2: Option<Linear>,
    gate_proj: Option<Linear>,
    up_proj: Option<Linear>,
    down_proj: Option<Linear>,
}

impl Block {
    /// `config` must be valid.
    pub fn new(config: &Dinov2Config, device: &Device) -> Self {
        let (width, hidden) = (config.hidden_size, config.mlp_width());
        let norm = || layer_norm(width, config.layer_norm_eps, device);
        let scale = || LayerScale {
            lambda1: parameter([width], device),
        };
        let square = || linear(width, width, device);
        let gated = config.use_swiglu_ffn;
        let layer = |wanted: bool, inputs, outputs| wanted.then(|| linear(inputs, outputs, device));
        Self {
            norm1: norm(),
            attention: Attention {
                q_proj: square(),
                k_proj: square(),
                v_proj: square(),
                o_proj: square(),
                heads: config.num_attention_heads,
            },
            layer_scale1: scale(),
            norm2: norm(),
            mlp: Perceptron {
                fc1: layer(!gated, width, hidden),
                fc2: layer(!gated, hidden, width),
                gate_proj: layer(gated, width, hidden),
                up_proj: layer(gated, width, hidden),
                down_proj: layer(gated, hidden, width),
            },
            layer_scale2: scale(),
        }
    }

    /// Maps tokens `[B, N, D]`. If `keep`, the attention logits `Q K^T / sqrt(d)`, `[B, heads, N, N]`, come with them.
    pub fn forward(&self, x: Tensor<3>, keep: bool) -> (Tensor<3>, Option<Tensor<4>>) {
        let shape @ [batch, tokens, width] = x.dims();
        let rows: Tensor<2> = x.reshape([batch * tokens, width]);
        let normed = self.norm1.forward(rows.clone());
        let (mixed, logits) = self.attention.forward(normed, batch, keep);
        let rows = rows + self.layer_scale1.forward(mixed);
        let mapped = self.mlp.forward(self.norm2.forward(rows.clone()));
        let rows = rows + self.layer_scale2.forward(mapped);
        (rows.reshape(shape), logits)
    }
}

impl Attention {
    fn forward(&self, x: Tensor<2>, batch: usize, keep: bool) -> (Tensor<2>, Option<Tensor<4>>) {
        let [rows, width] = x.dims();
        let head_width = width / self.heads;
        let split = |map: &Linear| -> Tensor<4> {
            let mapped = map.forward(x.clone());
            mapped
                .reshape([batch, rows / batch, self.heads, head_width])
                .swap_dims(1, 2)
        };
        let (query, key, value) = (split(&self.q_proj), split(&self.k_proj), split(&self.v_proj));
        let logits = keep.then(|| {
            let scale = (head_width as f64).sqrt().recip();
            (full(query.clone()) * scale).matmul(full(key.clone()).swap_dims(2, 3))
        });
        let mixed = scaled_dot_product(query, key, value);
        let mixed = mixed.swap_dims(1, 2).reshape([rows, width]);
        (self.o_proj.forward(mixed), logits)
    }
}

impl LayerScale {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        full(x) * self.lambda1.val().unsqueeze()
    }
}

impl Perceptron {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let plain = self.fc1.as_ref().zip(self.fc2.as_ref());
        let gated = self
            .gate_proj
            .as_ref()
            .zip(self.up_proj.as_ref())
            .zip(self.down_proj.as_ref());
        match (plain, gated) {
            (Some((fc1, fc2)), _) => fc2.forward(gelu(full(fc1.forward(x)))),
            (None, Some(((gate, up), down))) => {
                let gate = silu(full(gate.forward(x.clone())));
                down.forward(gate * full(up.forward(x)))
            }
            (None, None) => unreachable!("a perceptron is made with the layers of one kind"),
        }
    }
}
