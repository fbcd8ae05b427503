//! The `[data]` section of a recipe.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use super::KeyError;
use super::schema::whole;

/// Factor of Stable Diffusion's autoencoder, which brings its latents to a variance of about 1.
pub const SD_SCALE: f64 = 0.18215;

/// The samples to train on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// The embedded emoji, as pixels.
    Emoji {
        /// Pixels a side: 32, 16 or 8.
        #[serde(default = "emoji_size")]
        size: usize,
        /// The autoencoder whose latents are trained on, in place of pixels: a folder in diffusers' layout, or
        /// `hf:owner/name`. Each step encodes the images of its batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vae: Option<String>,
        /// Chooses the held-out fifth. Apart from the run's seed, so that all runs share one split.
        #[serde(default, with = "super::seed")]
        split_seed: u64,
    },
    /// Moments of an autoencoder's latents, a `.npy` a sample, in the layout of REPA: `vae-sd/` with its `dataset.json`.
    Latents {
        /// The folder that holds `vae-sd`.
        path: PathBuf,
        /// Number of classes, where it is more than the labels show.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<usize>,
        /// Factor on latents: x = (mean + std · noise) · scale.
        #[serde(default = "sd_scale")]
        scale: f64,
        /// The autoencoder of the latents, which makes pictures of samples: a folder in diffusers' layout, or
        /// `hf:owner/name`. Without it a training has no pictures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vae: Option<String>,
        /// Folders beside `vae-sd` with a `.npy` a sample, each a batch field of that name, such as `features`.
        #[serde(default)]
        fields: Vec<String>,
        /// Train on the latents of mirrored images, from `vae-sd-flip`, half of the time.
        #[serde(default)]
        flip: bool,
        /// The part that is kept for evaluation.
        #[serde(default)]
        held_out: HeldOut,
        /// Chooses a held-out share.
        #[serde(default, with = "super::seed")]
        split_seed: u64,
    },
    /// A folder of images, as pixels: a class a sub-folder, or labels from a `dataset.json`, or no classes at all.
    Images {
        /// The folder.
        path: PathBuf,
        /// Pixels a side; images of another size are cropped and resized.
        size: usize,
        /// The autoencoder whose latents are trained on, in place of pixels: a folder in diffusers' layout, or
        /// `hf:owner/name`. Each step encodes the images of its batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vae: Option<String>,
        /// Number of classes, where it is more than the labels show.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<usize>,
        /// Train on mirrored images half of the time.
        #[serde(default)]
        flip: bool,
        /// The part that is kept for evaluation.
        #[serde(default)]
        held_out: HeldOut,
        /// Chooses a held-out share.
        #[serde(default, with = "super::seed")]
        split_seed: u64,
    },
    /// Files that `sextant data pack` made of any of the others.
    Packed {
        /// The folder.
        path: PathBuf,
        /// Fields to read beside the samples.
        #[serde(default)]
        fields: Vec<String>,
        /// An autoencoder: a folder in diffusers' layout, or `hf:owner/name`. Of packed latents it makes the pictures of
        /// samples; of packed pixels each step trains on its latents of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vae: Option<String>,
        /// Train on mirrored samples half of the time.
        #[serde(default)]
        flip: bool,
        /// The part that is kept for evaluation; by default that which was when it was packed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_out: Option<HeldOut>,
        /// Chooses a held-out share.
        #[serde(default, with = "super::seed")]
        split_seed: u64,
    },
}

/// The part of the data that is kept for evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a share, such as 0.2, or the path of a list or a folder"
)]
pub enum HeldOut {
    /// This share of the samples.
    Share(f64),
    /// A file with the name of a sample a line; or a folder of the same layout, whose samples are all held out.
    Path(PathBuf),
}

impl Default for HeldOut {
    fn default() -> Self {
        Self::Share(0.2)
    }
}

fn emoji_size() -> usize {
    32
}

fn sd_scale() -> f64 {
    SD_SCALE
}

impl Default for DataConfig {
    fn default() -> Self {
        Self::emoji(emoji_size(), 0)
    }
}

/// Keys of the section that are whole numbers.
pub(super) const WHOLE: [&str; 3] = ["size", "split_seed", "classes"];

impl DataConfig {
    /// The embedded emoji as pixels of this size.
    pub fn emoji(size: usize, split_seed: u64) -> Self {
        Self::Emoji {
            size,
            vae: None,
            split_seed,
        }
    }

    /// The folder that is read; the emoji have none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Emoji { .. } => None,
            Self::Latents { path, .. } | Self::Images { path, .. } | Self::Packed { path, .. } => Some(path),
        }
    }

    /// The same data for who stands in `folder`: relative paths of data and of what is held out begin there.
    #[must_use]
    pub fn seen_from(mut self, folder: &Path) -> Self {
        let held_out = match &mut self {
            Self::Emoji { .. } => None,
            Self::Latents { path, held_out, .. } | Self::Images { path, held_out, .. } => {
                *path = folder.join(&path);
                Some(held_out)
            }
            Self::Packed { path, held_out, .. } => {
                *path = folder.join(&path);
                held_out.as_mut()
            }
        };
        if let Some(HeldOut::Path(path)) = held_out {
            *path = folder.join(&path);
        }
        self
    }

    /// The autoencoder whose latents are trained on, where there is one: it makes pictures of them, and latents of pixels.
    pub fn vae(&self) -> Option<&str> {
        match self {
            Self::Emoji { vae, .. }
            | Self::Latents { vae, .. }
            | Self::Images { vae, .. }
            | Self::Packed { vae, .. } => vae.as_deref(),
        }
    }

    /// Refuses values that no data have. Whether the set comes in the size that is asked for is known to those who read it.
    ///
    /// # Errors
    /// Names the key.
    pub fn validate(&self) -> Result<(), KeyError> {
        let (classes, held_out) = match self {
            Self::Emoji { .. } => return Ok(()),
            Self::Latents {
                classes,
                scale,
                fields,
                held_out,
                ..
            } => {
                if !(scale.is_finite() && *scale > 0.0) {
                    return Err(KeyError(format!(
                        "data.scale is {scale:?}; it must be a number above 0, such as {SD_SCALE}"
                    )));
                }
                named(fields)?;
                (classes, Some(held_out))
            }
            Self::Images {
                size,
                classes,
                held_out,
                ..
            } => {
                whole("data.size", *size as u64, 1, 4096)?;
                (classes, Some(held_out))
            }
            Self::Packed { fields, held_out, .. } => {
                named(fields)?;
                (&None, held_out.as_ref())
            }
        };
        if let Some(classes) = classes {
            whole("data.classes", *classes as u64, 1, 10_000_000)?;
        }
        match held_out {
            Some(HeldOut::Share(share)) if !(*share > 0.0 && *share < 1.0) => Err(KeyError(format!(
                "data.held_out is {share:?}; it must be a share above 0 and below 1, the path of a list of samples, or of a folder"
            ))),
            _ => Ok(()),
        }
    }
}

/// Checks that fields have the names of folders, none twice.
fn named(fields: &[String]) -> Result<(), KeyError> {
    for (i, name) in fields.iter().enumerate() {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !plain || name.is_empty() || name.starts_with('.') || fields[..i].contains(name) {
            return Err(KeyError(format!(
                "data.fields.{i} is {name:?}; fields are named once each, by letters, digits, '-', '_' and '.'"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_fill_in_the_defaults() {
        let config: DataConfig = toml::from_str("kind = \"emoji\"").unwrap();
        assert_eq!(config, DataConfig::default());
        let latents: DataConfig = toml::from_str("kind = \"latents\"\npath = \"/d\"").unwrap();
        let wanted = DataConfig::Latents {
            path: "/d".into(),
            classes: None,
            scale: 0.18215,
            vae: None,
            fields: Vec::new(),
            flip: false,
            held_out: HeldOut::Share(0.2),
            split_seed: 0,
        };
        assert_eq!(latents, wanted);
    }

    #[test]
    fn should_name_an_autoencoder_for_every_kind() {
        for kind in [
            "emoji\"",
            "images\"\npath = \"d\"\nsize = 8",
            "latents\"\npath = \"d\"",
            "packed\"\npath = \"d\"",
        ] {
            let text = format!("kind = \"{kind}\nvae = \"hf:owner/name\"");
            let config: DataConfig = toml::from_str(&text).unwrap();
            assert_eq!(config.vae(), Some("hf:owner/name"), "{text}");
        }
        assert_eq!(DataConfig::default().vae(), None);
    }

    #[test]
    fn should_refuse_an_unknown_key() {
        let error = toml::from_str::<DataConfig>("kind = \"emoji\"\nsizes = 16").unwrap_err();
        assert!(error.to_string().contains("sizes"), "{error}");
    }

    #[test]
    fn should_hold_out_a_share_or_a_path() {
        let of = |value: &str| -> Result<HeldOut, String> {
            let text = format!("kind = \"latents\"\npath = \"/d\"\nheld_out = {value}");
            match toml::from_str::<DataConfig>(&text).map_err(|error| error.to_string())? {
                DataConfig::Latents { held_out, .. } => Ok(held_out),
                other => Err(format!("{other:?}")),
            }
        };
        assert_eq!(of("0.1").unwrap(), HeldOut::Share(0.1));
        assert_eq!(of("\"list.txt\"").unwrap(), HeldOut::Path("list.txt".into()));
        assert!(of("true").unwrap_err().contains("expected a share, such as 0.2"));
    }
}
