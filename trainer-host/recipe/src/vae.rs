//! An autoencoder's recipe (`configs/vae.toml`).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::encoder::{first_broken, images, load};
use super::{DataConfig, KeyError, RecipeError, TrainingConfig};

/// Everything that decides an autoencoder's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// The images; only their training part is seen.
    pub data: DataConfig,
    /// Geometry.
    pub network: VaeNetwork,
    /// The loss.
    pub objective: VaeObjective,
    /// Length and speed of the training.
    pub training: TrainingConfig,
}

/// The geometry of diffusers' `AutoencoderKL`, by the keys of its configuration. What can be built is known to whoever builds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeNetwork {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of the levels, from the image inwards; each level but the last halves the side.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks of a level of the encoder; the decoder's have one more.
    pub layers_per_block: usize,
    /// Attention between the two residual blocks at the smallest side.
    pub mid_block_add_attention: bool,
    /// Groups of every group norm.
    pub norm_num_groups: usize,
}

/// The distance of an image from its reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// Absolute differences, as published.
    L1,
    /// Squared differences.
    L2,
}

/// The loss: distance of an image from its reconstruction, summed over its pixels and channels, plus `kl_weight` times the divergence
/// of its posterior from a standard normal, summed over its latents (arXiv 2112.10752, without its perceptual term and discriminator).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeObjective {
    /// The distance.
    pub reconstruction: Distance,
    /// Weight of the divergence; 1e-6 as published.
    pub kl_weight: f64,
}

impl VaeConfig {
    /// Reads a recipe. The relative paths in it stay as they are.
    ///
    /// # Errors
    /// A file that cannot be read, is empty or no recipe of an autoencoder; a key that is wrong.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        load(path, "data, network, objective, training", Self::validate)
    }

    /// Errors name the key at fault and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        first_broken(&[(
            (0.0..=1e6).contains(&self.objective.kl_weight),
            "objective.kl_weight must be in [0, 1000000]",
        )])?;
        self.training.validate()?;
        images(&self.data)
    }
}
