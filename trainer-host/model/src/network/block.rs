//! A transformer block whose norms are modulated, and whose branches are gated, by the conditioning (adaLN-Zero).
// The published name `adaLN_modulation` is a field's name.
#![allow(non_snake_case)]

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use sextant_recipe::Precision;

use super::attention::Attention;
use super::linear::Linear;
use super::mlp::Mlp;
use super::norm::BLOCK_EPSILON;
use crate::ops::{gated_sum, modulated_norm};
use crate::precision::{full, rounded};

/// `Linear(SiLU(c))`: what turns the conditioning into shifts, scales and gates. In the published checkpoints the Linear
/// is entry 1 of a sequence.
#[derive(Module, Debug)]
pub struct Modulation {
    /// D to `parts * D`.
    pub _1: Linear,
}

impl Modulation {
    /// From `SiLU(c)`, `[B, D]`, in the type of products, the parts in order, each `[B, 1, D]` in f32. The SiLU is the same for every
    /// block, so the caller applies it once.
    pub fn forward<const PARTS: usize>(&self, activated: Tensor<2>) -> [Tensor<3>; PARTS] {
        let [batch, width] = activated.dims();
        let parts = full(self._1.forward(activated));
        std::array::from_fn(|part| parts.clone().narrow(1, part * width, width).reshape([batch, 1, width]))
    }
}

/// One block: attention, then MLP, each behind a modulated norm and a gate.
#[derive(Module, Debug)]
pub struct Block {
    /// Mixes the tokens of a sample.
    pub attn: Attention,
    /// Acts on each token alone.
    pub mlp: Mlp,
    /// Shift, scale and gate for attention, then for the MLP.
    pub adaLN_modulation: Modulation,
}

impl Block {
    /// Maps tokens `[B, T, D]` to `[B, T, D]`, given `SiLU(c)` `[B, D]`, which is in the type of products, `precision`. If `keep`, the
    /// attention probabilities `[B, heads, T, T]` come with it. They, and the tokens, are f32.
    pub fn forward(
        &self,
        x: Tensor<3>,
        activated: Tensor<2>,
        keep: bool,
        precision: Precision,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let [batch, tokens, width] = x.dims();
        let rows = [batch * tokens, width];
        let shape = [batch, tokens, width];
        let [shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp] =
            self.adaLN_modulation.forward(activated);

        let normed = modulated_norm(x.clone(), shift_attn, scale_attn, BLOCK_EPSILON);
        let normed = rounded(normed.reshape(rows), precision);
        let (branch, probabilities) = self.attn.forward(normed, tokens, keep);
        let x = gated_sum(x, full(branch.reshape(shape)), gate_attn);

        let normed = modulated_norm(x.clone(), shift_mlp, scale_mlp, BLOCK_EPSILON);
        let branch = self.mlp.forward(rounded(normed.reshape(rows), precision));
        (gated_sum(x, full(branch.reshape(shape)), gate_mlp), probabilities)
    }
}

/// The conditioning as blocks and final layer take it.
pub(super) fn activate(conditioning: Tensor<2>) -> Tensor<2> {
    activation::silu(conditioning)
}
