//! From the `[data]` section of a recipe to a data set.

use sextant_recipe::DataConfig;

use super::dataset::Dataset;
use super::embedded::emoji;
use super::error::DataError;

/// Reads, splits and standardises the images of `config`.
///
/// # Errors
/// A size that the set does not come in; a kind that this version cannot read.
pub fn load(config: &DataConfig) -> Result<Dataset, DataError> {
    match config {
        DataConfig::Emoji { size, split_seed } => Dataset::from_images(emoji(*size)?, *split_seed),
        DataConfig::Latents { path, .. } => Err(DataError::NotBuilt(format!(
            "data.kind = \"latents\": reading latents from disk is not built yet; {} is left unread. \
             Use data.kind = \"emoji\" to train now",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_say_that_latents_cannot_be_read_yet() {
        let config: DataConfig =
            toml::from_str("kind = \"latents\"\npath = \"/d\"\nchannels = 4\nsize = 32\nclasses = 1000").unwrap();
        let error = load(&config).unwrap_err().to_string();
        assert!(error.contains("not built yet") && error.contains("/d"), "{error}");
    }
}
