//! The configuration of an autoencoder: diffusers' `config.json`.

use serde::{Deserialize, Serialize};

/// Largest number of channels, or layers, that a configuration may ask for: beyond it a file is damaged or hostile.
const MOST_CHANNELS: usize = 1 << 16;
const MOST_LAYERS: usize = 64;

/// Pixels of an image that are at work together: more images than that go through one after the other, or activations of the
/// first level (128 channels of f32 in SD's) would fill the memory.
pub(super) const PIXELS: usize = 8 * 256 * 256;

/// Tensors of the widest level that are there at once, as measured on the CPU: the peaks of four trainings, of 220 to 630 MB, were
/// met within 3 %, one overestimated by 16 %.
const WORKING_TENSORS: u64 = 5;

/// Keys and defaults are those of diffusers' `AutoencoderKL`. What only its training or its own tiling reads is not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoencoderConfig {
    /// Always `AutoencoderKL`.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// The activation: `silu`, also called `swish`.
    pub act_fn: String,
    /// Channels of the encoder's levels, from the image inwards; each level but the last halves the side.
    pub block_out_channels: Vec<usize>,
    /// One name a level, all `DownEncoderBlock2D`.
    pub down_block_types: Vec<String>,
    /// Channels of an image that is encoded.
    pub in_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Means of the latents by channel, which newer pipelines subtract; not supported.
    pub latents_mean: Option<Vec<f64>>,
    /// Deviations of the latents by channel, which newer pipelines divide by; not supported.
    pub latents_std: Option<Vec<f64>>,
    /// Residual blocks of a level of the encoder; the decoder's have one more.
    pub layers_per_block: usize,
    /// Attention between the two residual blocks at the smallest side.
    pub mid_block_add_attention: bool,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
    /// Channels of an image that is decoded.
    pub out_channels: usize,
    /// Side of the images that it was trained on.
    pub sample_size: usize,
    /// Factor that gives z about unit variance.
    pub scaling_factor: f64,
    /// Offset that is subtracted from z before that.
    pub shift_factor: Option<f64>,
    /// One name a level, all `UpDecoderBlock2D`.
    pub up_block_types: Vec<String>,
    /// A last convolution of 1 x 1 over the moments.
    pub use_quant_conv: bool,
    /// A first convolution of 1 x 1 over z.
    pub use_post_quant_conv: bool,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        Self {
            class_name: "AutoencoderKL".into(),
            act_fn: "silu".into(),
            block_out_channels: vec![64],
            down_block_types: Vec::new(),
            in_channels: 3,
            latent_channels: 4,
            latents_mean: None,
            latents_std: None,
            layers_per_block: 1,
            mid_block_add_attention: true,
            norm_num_groups: 32,
            out_channels: 3,
            sample_size: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            up_block_types: Vec::new(),
            use_quant_conv: true,
            use_post_quant_conv: true,
        }
    }
}

impl AutoencoderConfig {
    /// Pixels a side that one place of the latents stands for.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// Bytes at work at the fullest moment of encoding `images` images of `side` pixels a side, as many together as go through at once:
    /// in a residual block of the first level its input, the normed and the convolved, and what a convolution unfolds.
    pub fn encoding_bytes(&self, images: usize, side: usize) -> u64 {
        let together = images.min((PIXELS / (side * side).max(1)).max(1));
        let widest = self.block_out_channels.iter().enumerate();
        let widest = widest.map(|(level, channels)| channels * (side >> level).pow(2)).max();
        WORKING_TENSORS * 4 * (together * widest.unwrap_or(0)) as u64
    }

    /// The same configuration with the names of its levels, as diffusers wants them.
    pub(super) fn spelt_out(&self) -> Self {
        let levels = self.block_out_channels.len();
        Self {
            down_block_types: vec!["DownEncoderBlock2D".into(); levels],
            up_block_types: vec!["UpDecoderBlock2D".into(); levels],
            ..self.clone()
        }
    }

    /// # Errors
    /// The first key with a value that cannot be built, and what can.
    pub fn validate(&self) -> Result<(), String> {
        let levels = self.block_out_channels.len();
        if self.class_name != "AutoencoderKL" {
            return Err(format!(
                "describes a {:?}; an AutoencoderKL is read here",
                self.class_name
            ));
        }
        if !["silu", "swish"].contains(&self.act_fn.as_str()) {
            return Err(format!("act_fn = {:?}; \"silu\" is possible", self.act_fn));
        }
        for (key, names, usual) in [
            ("down_block_types", &self.down_block_types, "DownEncoderBlock2D"),
            ("up_block_types", &self.up_block_types, "UpDecoderBlock2D"),
        ] {
            if let Some(other) = names.iter().find(|name| *name != usual) {
                return Err(format!("{key} has {other:?}; {usual:?} is possible"));
            }
            if !names.is_empty() && names.len() != levels {
                let count = names.len();
                return Err(format!(
                    "{key} has {count} names, block_out_channels has {levels} levels"
                ));
            }
        }
        if !(1..=8).contains(&levels) {
            return Err(format!("block_out_channels has {levels} levels; 1 to 8 are possible"));
        }
        let groups = self.norm_num_groups;
        for &channels in &self.block_out_channels {
            if groups == 0 || channels == 0 || channels > MOST_CHANNELS || !channels.is_multiple_of(groups) {
                return Err(format!(
                    "block_out_channels has {channels}, norm_num_groups is {groups}: each level's channels must be a multiple of \
                     the groups, at most {MOST_CHANNELS}"
                ));
            }
        }
        for (key, value, most) in [
            ("in_channels", self.in_channels, MOST_CHANNELS),
            ("out_channels", self.out_channels, MOST_CHANNELS),
            ("latent_channels", self.latent_channels, MOST_CHANNELS),
            ("layers_per_block", self.layers_per_block, MOST_LAYERS),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{key} = {value}; 1 to {most} are possible"));
            }
        }
        if !self.scaling_factor.is_normal() {
            return Err(format!(
                "scaling_factor = {}; it must be finite and not 0",
                self.scaling_factor
            ));
        }
        if self.shift_factor.is_some_and(|shift| !shift.is_finite()) {
            return Err("shift_factor is not finite".into());
        }
        if self.latents_mean.is_some() || self.latents_std.is_some() {
            return Err("latents_mean and latents_std are not supported: scaling_factor and shift_factor are".into());
        }
        Ok(())
    }
}
