//! The `[data]` section of a recipe.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use super::KeyError;
use super::schema::whole;

/// The images to train on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// The embedded emoji, as pixels.
    Emoji {
        /// Pixels a side: 32, 16 or 8.
        #[serde(default = "emoji_size")]
        size: usize,
        /// Chooses the held-out fifth. Apart from the run's seed, so that all runs share one split.
        #[serde(default, with = "super::seed")]
        split_seed: u64,
    },
    /// ImageNet latents of a VAE, in the layout of the published trainers.
    Latents {
        /// The folder that holds them.
        path: PathBuf,
        /// Channels of a latent (4).
        channels: usize,
        /// Height and width of a latent (32 at 256 pixels).
        size: usize,
        /// Number of classes (1000).
        classes: usize,
    },
}

fn emoji_size() -> usize {
    32
}

impl Default for DataConfig {
    fn default() -> Self {
        Self::Emoji {
            size: emoji_size(),
            split_seed: 0,
        }
    }
}

/// Keys of the section that are whole numbers.
pub(super) const WHOLE: [&str; 4] = ["size", "split_seed", "channels", "classes"];

impl DataConfig {
    /// Refuses counts that no data have. Whether the set comes in the size that is asked for is known to those who read it.
    pub(super) fn validate(&self) -> Result<(), KeyError> {
        match self {
            Self::Emoji { .. } => Ok(()),
            Self::Latents {
                channels,
                size,
                classes,
                ..
            } => {
                whole("data.channels", *channels as u64, 1, 4096)?;
                whole("data.size", *size as u64, 1, 4096)?;
                whole("data.classes", *classes as u64, 1, 10_000_000)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_fill_in_the_defaults() {
        let config: DataConfig = toml::from_str("kind = \"emoji\"").unwrap();
        assert_eq!(config, DataConfig::default());
    }

    #[test]
    fn should_refuse_an_unknown_key() {
        let error = toml::from_str::<DataConfig>("kind = \"emoji\"\nsizes = 16").unwrap_err();
        assert!(error.to_string().contains("sizes"), "{error}");
    }
}
