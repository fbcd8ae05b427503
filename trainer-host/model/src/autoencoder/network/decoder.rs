//! From latents to an image.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::silu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};

use super::residual::Residual;
use super::{EPSILON, Middle};
use crate::autoencoder::config::AutoencoderConfig;
use crate::network::norm::GroupNorm;
use crate::network::unfilled::{convolution, group_norm};

/// Levels of residual blocks, from the smallest side outwards, each but the last followed by a doubling of the side.
#[derive(Module, Debug)]
pub struct Decoder {
    conv_in: Conv2d,
    mid_block: Middle,
    up_blocks: Vec<Level>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

#[derive(Module, Debug)]
struct Level {
    resnets: Vec<Residual>,
    /// One, or none at the last level.
    upsamplers: Vec<Doubling>,
}

/// Every value four times, then a convolution.
#[derive(Module, Debug)]
struct Doubling {
    conv: Conv2d,
}

impl Decoder {
    /// `config` must be valid.
    pub fn new(config: &AutoencoderConfig, device: &Device) -> Self {
        let (widths, groups) = (&config.block_out_channels, config.norm_num_groups);
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let mut from = last;
        let mut up_blocks = Vec::new();
        for (level, &to) in widths.iter().enumerate().rev() {
            let channels = |layer| [if layer == 0 { from } else { to }, to];
            let resnets = (0..=config.layers_per_block).map(|layer| Residual::new(channels(layer), groups, device));
            let doubling = (level > 0).then(|| Doubling {
                conv: convolution([to, to], 3, device),
            });
            up_blocks.push(Level {
                resnets: resnets.collect(),
                upsamplers: doubling.into_iter().collect(),
            });
            from = to;
        }
        Self {
            conv_in: convolution([config.latent_channels, last], 3, device),
            mid_block: Middle::new(config, last, device),
            up_blocks,
            conv_norm_out: group_norm(groups, first, EPSILON, device),
            conv_out: convolution([first, config.out_channels], 3, device),
        }
    }

    /// `[B, latent, h, w]` to `[B, out, f h, f w]`.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let mut hidden = self.mid_block.forward(self.conv_in.forward(latents));
        for level in &self.up_blocks {
            for block in &level.resnets {
                hidden = block.forward(hidden);
            }
            for doubling in &level.upsamplers {
                hidden = doubling.forward(hidden);
            }
        }
        self.conv_out.forward(silu(self.conv_norm_out.forward(hidden)))
    }
}

impl Doubling {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([2 * height, 2 * width]);
        self.conv.forward(interpolate(x, options))
    }
}
