//! The whole network.
// The published name `adaLN_modulation` is a field's name.
#![allow(non_snake_case)]

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use sextant_recipe::Precision;

use super::block::{Block, Modulation, activate};
use super::config::SitConfig;
use super::embed::{LabelEmbedder, PatchEmbedder, TimeEmbedder};
use super::linear::Linear;
use super::norm::BLOCK_EPSILON;
use super::patch::unpatchify;
use crate::ops::modulated_norm;
use crate::precision::{full, rounded};

/// From tokens to patches.
#[derive(Module, Debug)]
pub struct FinalLayer {
    /// D to `p*p*C`.
    pub linear: Linear,
    /// Shift and scale.
    pub adaLN_modulation: Modulation,
}

impl FinalLayer {
    /// Maps tokens `[B, T, D]` to patches `[B, T, p*p*C]`, given `SiLU(c)` `[B, D]`, as [`Block::forward`].
    fn forward(&self, x: Tensor<3>, activated: Tensor<2>, precision: Precision) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let [shift, scale] = self.adaLN_modulation.forward(activated);
        let normed = modulated_norm(x, shift, scale, BLOCK_EPSILON).reshape([batch * tokens, width]);
        let patches = full(self.linear.forward(rounded(normed, precision)));
        let patch_width = patches.dims()[1];
        patches.reshape([batch, tokens, patch_width])
    }
}

/// A scalable interpolant transformer: a DiT on square latents, conditioned on time and class. Its products are computed in a type of
/// their own, f32 unless it was told another ([`precision`](crate::precision)); inputs, output, tokens and attention are f32.
///
/// Field names are those of the published PyTorch checkpoints, by the rule of [`naming`](super::naming).
#[derive(Module, Debug)]
pub struct Sit {
    /// Image to tokens.
    pub x_embedder: PatchEmbedder,
    /// Time to conditioning.
    pub t_embedder: TimeEmbedder,
    /// Label to conditioning.
    pub y_embedder: LabelEmbedder,
    /// The position table `[1, T, D]`: saved, averaged, never trained.
    pub pos_embed: Param<Tensor<3>>,
    /// The trunk; `blocks[d - 1]` gives depth d.
    pub blocks: Vec<Block>,
    /// Tokens to image.
    pub final_layer: FinalLayer,
    #[module(skip)]
    pub(super) config: SitConfig,
    #[module(skip)]
    pub(super) precision: Precision,
}

/// The result of [`Sit::forward`].
#[derive(Clone, Debug)]
pub struct SitOutput {
    /// The network's raw output `[B, C, H, W]`; a velocity unless it was trained to predict something else.
    pub output: Tensor<4>,
    /// The tokens `[B, T, D]` at each depth asked for, in that order.
    pub taps: Vec<Tensor<3>>,
    /// The attention probabilities `[B, heads, T, T]` of each block asked for, in that order.
    pub attention: Vec<Tensor<4>>,
}

impl Sit {
    /// The geometry that this network was built with.
    pub fn config(&self) -> &SitConfig {
        &self.config
    }

    /// The type of its products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same network, computing its products in this type.
    pub fn computing_in(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Runs the whole network on latents `[B, C, H, W]`, times `[B]` in [0, 1] and labels `[B]` of at most the null class.
    ///
    /// `taps` lists depths, 0 (the embedded patches with their positions) to the number of blocks, in any order and with
    /// repeats. A deeper one panics: callers check depths against [`SitConfig::depth`] when they read them.
    pub fn forward(&self, x: Tensor<4>, t: Tensor<1>, y: Tensor<1, Int>, taps: &[usize]) -> SitOutput {
        self.forward_attending(x, t, y, taps, &[])
    }

    /// As [`forward`](Self::forward), with the attention probabilities of the blocks at depths `attention`, 1 to their number.
    pub fn forward_attending(
        &self,
        x: Tensor<4>,
        t: Tensor<1>,
        y: Tensor<1, Int>,
        taps: &[usize],
        attention: &[usize],
    ) -> SitOutput {
        let activated = self.conditioning(t, y);
        let (h, taps, attention) = self.trunk(x, activated.clone(), taps, attention, self.blocks.len());
        SitOutput {
            output: self.image(h, activated),
            taps,
            attention,
        }
    }

    /// The tokens at `depths` alone, as the taps of [`forward`](Self::forward), running no block deeper than the deepest.
    pub fn features(&self, x: Tensor<4>, t: Tensor<1>, y: Tensor<1, Int>, depths: &[usize]) -> Vec<Tensor<3>> {
        let deepest = depths.iter().copied().max().unwrap_or(0);
        self.trunk(x, self.conditioning(t, y), depths, &[], deepest).1
    }

    /// `SiLU(time + label)`, `[B, D]`, in the type of products.
    pub(super) fn conditioning(&self, t: Tensor<1>, y: Tensor<1, Int>) -> Tensor<2> {
        let time = self.t_embedder.forward(t, self.precision);
        rounded(activate(time + self.y_embedder.forward(y)), self.precision)
    }

    /// The tokens of depth 0.
    pub(super) fn embed(&self, x: Tensor<4>) -> Tensor<3> {
        self.x_embedder.forward(x, self.precision) + self.pos_embed.val()
    }

    /// The output, of the last block's tokens.
    pub(super) fn image(&self, h: Tensor<3>, activated: Tensor<2>) -> Tensor<4> {
        let patches = self.final_layer.forward(h, activated, self.precision);
        let config = &self.config;
        unpatchify(patches, config.grid(), config.patch_size, config.in_channels)
    }

    /// Runs the first `deepest` blocks; gives their last output, the taps and the attention probabilities.
    fn trunk(
        &self,
        x: Tensor<4>,
        activated: Tensor<2>,
        taps: &[usize],
        attention: &[usize],
        deepest: usize,
    ) -> (Tensor<3>, Vec<Tensor<3>>, Vec<Tensor<4>>) {
        let mut h = self.embed(x);
        let (mut tokens, mut probabilities) = (BTreeMap::new(), BTreeMap::new());
        for depth in 0..=deepest {
            if depth > 0 {
                let keep = attention.contains(&depth);
                let (next, attended) = self.blocks[depth - 1].forward(h, activated.clone(), keep, self.precision);
                h = next;
                probabilities.extend(attended.map(|attended| (depth, attended)));
            }
            if taps.contains(&depth) {
                tokens.insert(depth, h.clone());
            }
        }
        (h, at_depths(taps, &tokens), at_depths(attention, &probabilities))
    }
}

/// Tensors that were kept of a pass, in the order of `depths`. A depth that no block has panics.
pub(super) fn at_depths<const D: usize>(depths: &[usize], kept: &BTreeMap<usize, Tensor<D>>) -> Vec<Tensor<D>> {
    let at = |depth| kept.get(depth).unwrap_or_else(|| panic!("no block has depth {depth}"));
    depths.iter().map(|depth| at(depth).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn config() -> SitConfig {
        SitConfig {
            input_size: 4,
            patch_size: 2,
            in_channels: 3,
            hidden_size: 16,
            depth: 3,
            num_heads: 2,
            num_classes: 2,
            qk_norm: true,
            mlp_ratio: 4.0,
        }
    }

    fn inputs(batch: usize, device: &Device) -> (Tensor<4>, Tensor<1>, Tensor<1, Int>) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let values: Vec<f32> = (0..batch * 48).map(|_| rng.random()).collect();
        let x = Tensor::from_data(TensorData::new(values, [batch, 3, 4, 4]), device);
        (x, Tensor::full([batch], 0.3, device), Tensor::ones([batch], device))
    }

    fn network(device: &Device) -> Sit {
        Sit::init(&config(), &mut ChaCha8Rng::seed_from_u64(1), device).unwrap()
    }

    #[test]
    fn should_start_as_the_identity_with_output_zero() {
        let device = Device::flex();
        let (x, t, y) = inputs(2, &device);
        let output = network(&device).forward(x, t, y, &[0, 3]);
        assert_eq!(output.output.abs().max().into_scalar::<f32>(), 0.0);
        assert_eq!(output.taps[0].to_data(), output.taps[1].to_data());
    }

    #[test]
    fn should_give_features_without_running_deeper_blocks() {
        let device = Device::flex();
        let mut sit = network(&device);
        let (x, t, y) = inputs(2, &device);
        let whole = sit.forward(x.clone(), t.clone(), y.clone(), &[2, 0, 2]);
        sit.blocks.truncate(2);
        let found = sit.features(x, t, y, &[2, 0, 2]);
        assert_eq!(found.len(), 3);
        for (found, wanted) in found.into_iter().zip(whole.taps) {
            assert_eq!(found.into_data(), wanted.into_data());
        }
    }

    #[test]
    fn should_give_attention_that_sums_to_one_and_changes_nothing() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let sit = network(&device);
            let (x, t, y) = inputs(2, &device);
            let plain = sit.forward(x.clone(), t.clone(), y.clone(), &[3]);
            let attending = sit.forward_attending(x, t, y, &[3], &[2, 1]);
            assert_eq!(plain.attention.len(), 0);
            assert_eq!(attending.attention.len(), 2);
            for attention in attending.attention {
                assert_eq!(attention.dims(), [2, 2, 4, 4]);
                let sums = attention.sum_dim(3).into_data();
                assert!(sums.iter::<f32>().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
            }
            let difference = (plain.taps[0].clone() - attending.taps[0].clone()).abs().max();
            assert!(difference.into_scalar::<f32>() < 1e-6);
        }
    }

    #[test]
    fn should_accept_a_batch_of_none() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let (x, t, y) = inputs(0, &device);
            let output = network(&device).forward(x, t, y, &[1]);
            assert_eq!(output.output.dims(), [0, 3, 4, 4]);
            assert_eq!(output.taps[0].dims(), [0, 4, 16]);
        }
    }

    #[test]
    fn should_count_its_parameters_and_name_each_once() {
        let tensors = crate::network::collect(&network(&Device::flex()));
        let count: usize = tensors.values().map(TensorData::num_elements).sum();
        assert_eq!(count, config().parameter_count());
        for name in [
            "x_embedder.proj.weight",
            "t_embedder.mlp.0.weight",
            "y_embedder.embedding_table.weight",
            "pos_embed",
            "blocks.2.attn.q_norm.bias",
            "blocks.0.adaLN_modulation.1.weight",
            "final_layer.adaLN_modulation.1.bias",
        ] {
            assert!(tensors.contains_key(name), "{name}");
        }
    }

    #[test]
    fn should_have_the_ids_of_its_published_names() {
        let sit = network(&Device::flex());
        let wanted = crate::network::param_id("student.blocks.1.attn.qkv.weight");
        assert_eq!(sit.blocks[1].attn.qkv.weight.id, wanted);
        let wanted = crate::network::param_id("student.t_embedder.mlp.2.bias");
        assert_eq!(sit.t_embedder.mlp._2.bias.id, wanted);
    }

    #[test]
    fn should_be_the_same_network_from_the_same_generator() {
        let (plain, tracked) = (Device::flex(), Device::flex().autodiff());
        let values = |device| crate::network::collect(&network(device));
        assert_eq!(values(&plain), values(&tracked));
    }
}
