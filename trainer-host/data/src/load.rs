//! From the `[data]` section of a recipe to a data set.

use sextant_recipe::DataConfig;

use super::dataset::Dataset;
use super::embedded::emoji;
use super::error::DataError;
use super::{folder, packed};

/// Opens the data of `config`, and splits them. Samples on disk are read when they are asked for.
///
/// # Errors
/// A size that the set does not come in; data on disk that are not as their kind says.
pub fn load(config: &DataConfig) -> Result<Dataset, DataError> {
    let (dataset, flip) = match config {
        DataConfig::Emoji { size, split_seed } => (Dataset::from_images(emoji(*size)?, *split_seed)?, false),
        DataConfig::Latents {
            path,
            classes,
            scale,
            fields,
            flip,
            held_out,
            split_seed,
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
        } => (folder::images(path, *size, *classes, held_out, *split_seed)?, *flip),
        DataConfig::Packed {
            path,
            fields,
            flip,
            held_out,
            split_seed,
        } => (packed::packed(path, fields, held_out.as_ref(), *split_seed)?, *flip),
    };
    match flip {
        true => dataset.flipped(),
        false => Ok(dataset),
    }
}
