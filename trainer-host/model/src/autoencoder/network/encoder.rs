//! From an image to the moments of its latents.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use super::residual::Residual;
use super::{EPSILON, Middle};
use crate::autoencoder::config::AutoencoderConfig;
use crate::network::norm::GroupNorm;
use crate::network::unfilled::{convolution, group_norm, padded};

/// Levels of residual blocks, each but the last followed by a halving of the side.
#[derive(Module, Debug)]
pub struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<Level>,
    mid_block: Middle,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct Level {
    resnets: Vec<Residual>,
    /// One, or none at the last level.
    downsamplers: Vec<Halving>,
}

/// A convolution of stride 2 that sees a row and a column of zeros below and to the right, and none above or to the left.
#[derive(Module, Debug)]
struct Halving {
    conv: Conv2d,
}

impl Encoder {
    /// `config` must be valid.
    pub fn new(config: &AutoencoderConfig, device: &Device) -> Self {
        let (widths, groups) = (&config.block_out_channels, config.norm_num_groups);
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let mut from = first;
        let mut down_blocks = Vec::new();
        for (level, &to) in widths.iter().enumerate() {
            let channels = |layer| [if layer == 0 { from } else { to }, to];
            let resnets = (0..config.layers_per_block).map(|layer| Residual::new(channels(layer), groups, device));
            let halving = (level + 1 < widths.len()).then(|| Halving {
                conv: padded([to, to], 3, 2, PaddingConfig2d::Explicit(0, 0, 1, 1), device),
            });
            down_blocks.push(Level {
                resnets: resnets.collect(),
                downsamplers: halving.into_iter().collect(),
            });
            from = to;
        }
        Self {
            conv_in: convolution([config.in_channels, first], 3, device),
            down_blocks,
            mid_block: Middle::new(config, last, device),
            conv_norm_out: group_norm(groups, last, EPSILON, device),
            conv_out: convolution([last, 2 * config.latent_channels], 3, device),
        }
    }

    /// `[B, in, H, W]` to means and log variances `[B, 2 latent, H/f, W/f]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let mut hidden = self.conv_in.forward(images);
        for level in &self.down_blocks {
            for block in &level.resnets {
                hidden = block.forward(hidden);
            }
            for halving in &level.downsamplers {
                hidden = halving.conv.forward(hidden);
            }
        }
        let hidden = self.mid_block.forward(hidden);
        self.conv_out.forward(silu(self.conv_norm_out.forward(hidden)))
    }
}
