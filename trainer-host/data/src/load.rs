//! From the `[data]` section of a recipe to a data set.

use sextant_recipe::DataConfig;

use super::dataset::Dataset;
use super::embedded::emoji;
use super::error::DataError;
use super::{folder, packed};

/// Opens the data of `config`, and splits them. Samples on disk are read when they are asked for; what an autoencoder makes of them
/// is known to whoever has a network ([`Dataset::with_encoder`], [`Dataset::with_decoder`]).
///
/// # Errors
/// A size that the set does not come in; data on disk that are not as their kind says.
pub fn load(config: &DataConfig) -> Result<Dataset, DataError> {
    let (dataset, flip) = match config {
        DataConfig::Emoji {
            size,
            split_seed,
            vae: _,
        } => (Dataset::from_images(emoji(*size)?, *split_seed)?, false),
        DataConfig::Latents {
            path,
            classes,
            scale,
            fields,
            flip,
            held_out,
            split_seed,
            vae: _,
        } => {
            let dataset = folder::latents(path, *classes, *scale, fields, held_out, *split_seed)?;
            (dataset, *flip)
        }
        DataConfig::Images {
            path,
            size,
            classes,
            flip,
            held_out,
            split_seed,
            vae: _,
        } => (folder::images(path, *size, *classes, held_out, *split_seed)?, *flip),
        DataConfig::Packed {
            path,
            fields,
            flip,
            held_out,
            split_seed,
            vae: _,
        } => (packed::packed(path, fields, held_out.as_ref(), *split_seed)?, *flip),
    };
    match flip {
        true => dataset.flipped(),
        false => Ok(dataset),
    }
}
