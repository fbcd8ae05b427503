//! From the `[data]` section of a recipe to a data set.

use std::path::Path;

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
    if let Some(path) = config.path() {
        refuse_another_layout(config, path)?;
    }
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

/// Refuses a folder that is evidently of another layout: read as this one it would be nothing, or something that nobody means.
fn refuse_another_layout(config: &DataConfig, path: &Path) -> Result<(), DataError> {
    let is_packed = path.join(packed::INDEX).is_file();
    let reason = match config {
        DataConfig::Packed { .. } if path.is_dir() && !is_packed => {
            "data.kind is \"packed\", and there is no index.json in it: `sextant data pack` makes packed sets of folders, and folders are \
             read with data.kind = \"images\" or \"latents\""
        }
        DataConfig::Images { .. } | DataConfig::Latents { .. } if is_packed => {
            "it is a packed set: data.kind = \"packed\" reads it"
        }
        DataConfig::Images { .. } if path.join(folder::MOMENTS).is_dir() => {
            "it holds images and their moments, as `sextant data prepare` writes them: for pixels data.path is the folder images in it, \
             for latents data.kind is \"latents\""
        }
        _ => return Ok(()),
    };
    Err(DataError::file(path, reason))
}
