//! `prepare.json`: what a folder was begun with.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sextant_data::{Listing, hex};
use sextant_records::FileError;
use sha2::{Digest, Sha256};

use crate::Error;

/// The file's name.
pub const FILE: &str = "prepare.json";

/// All that decides what is in the folder. Latents and features can be added later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// SHA-256 (hex) of names and labels of the source.
    pub source: String,
    /// Pixels a side.
    pub size: usize,
    /// Latents, where there are any.
    pub latents: Option<Latents>,
    /// Features, where there are any.
    pub features: Option<Features>,
}

/// Settings that decide latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latents {
    /// Fingerprint of the autoencoder.
    pub autoencoder: String,
    /// Those of mirrored images too.
    pub flips: bool,
}

/// Settings that decide features and attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Fingerprint of the encoder.
    pub encoder: String,
    /// Tokens a side.
    pub grid: usize,
    /// Blocks whose attention is kept; none if empty.
    pub attention: Vec<usize>,
    /// Those of mirrored images too.
    pub flips: bool,
}

/// The settings of a folder, if it has any.
///
/// # Errors
/// A folder of something else; a file that cannot be read.
pub fn read(folder: &Path) -> Result<Option<Settings>, Error> {
    let path = folder.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let settings = serde_json::from_slice(&bytes);
            Ok(Some(settings.map_err(|e| {
                FileError::new(&path, format!("not what `sextant data prepare` writes: {e}"))
            })?))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match is_new(folder) {
            true => Ok(None),
            false => Err(Error::Input(format!(
                "{} is not empty, and not a folder that `sextant data prepare` made: choose a new one",
                folder.display()
            ))),
        },
        Err(e) => Err(FileError::new(&path, e).into()),
    }
}

/// True for a folder that is not there, or holds nothing but what is hidden or was being written: such as a lock.
fn is_new(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return !folder.exists();
    };
    entries.flatten().all(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with('.') || name.starts_with(FILE)
    })
}

/// SHA-256 (hex) of what numbers images: names, and their classes.
pub fn digest(listing: &Listing) -> String {
    let mut hash = Sha256::new();
    for (file, label) in listing.files.iter().zip(&listing.labels) {
        hash.update(format!("{}\n{label}\n", file.name));
    }
    hash.update(format!("{:?}", listing.class_names));
    hex(&hash.finalize())
}

impl Settings {
    /// These, in a folder that was begun with `known`.
    ///
    /// # Errors
    /// Settings that would make files of two kinds, and what to do.
    pub fn after(self, known: &Self, folder: &Path) -> Result<Self, Error> {
        let refused = |what: String| {
            Err(Error::Input(format!(
                "{} was begun with {what}: choose a new folder, or give what it was begun with",
                folder.display()
            )))
        };
        if self.source != known.source {
            return refused(
                "other images in the source: files were added, taken away or renamed, or labels changed".into(),
            );
        }
        if self.size != known.size {
            return refused(format!("--size {}, not {}", known.size, self.size));
        }
        let mut flips = None;
        if let (Some(wanted), Some(there)) = (&self.latents, &known.latents) {
            if wanted.autoencoder != there.autoencoder {
                return refused(other("autoencoder", &there.autoencoder, &wanted.autoencoder));
            }
            flips = (wanted.flips != there.flips).then_some(there.flips);
        }
        if let (Some(wanted), Some(there)) = (&self.features, &known.features) {
            if wanted.encoder != there.encoder {
                return refused(other("encoder", &there.encoder, &wanted.encoder));
            }
            if wanted.grid != there.grid {
                return refused(format!(
                    "features of {0}x{0} tokens, not {1}x{1}",
                    there.grid, wanted.grid
                ));
            }
            if wanted.attention != there.attention {
                return refused(format!(
                    "attention of blocks {:?}, not {:?}",
                    there.attention, wanted.attention
                ));
            }
            flips = flips.or((wanted.flips != there.flips).then_some(there.flips));
        }
        match flips {
            Some(true) => refused("--flips".into()),
            Some(false) => refused("no --flips".into()),
            None => Ok(Self {
                latents: self.latents.or_else(|| known.latents.clone()),
                features: self.features.or_else(|| known.features.clone()),
                ..self
            }),
        }
    }

    /// The file's content.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

fn other(network: &str, there: &str, wanted: &str) -> String {
    let short = |fingerprint: &str| fingerprint.chars().take(12).collect::<String>();
    format!(
        "another {network} (fingerprint {}, not {})",
        short(there),
        short(wanted)
    )
}
