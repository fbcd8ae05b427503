//! Errors of an autoencoder.

use sextant_data::DataError;
use sextant_recipe::KeyError;

use crate::hub::{FolderError, HubError};
use crate::pretraining::PretrainingError;

/// An autoencoder that cannot be read, made or written. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum AutoencoderError {
    /// Its folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A name of the hub that is not found.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The data are not its latents.
    #[error("data.vae: {name}: {reason}")]
    Misfit {
        /// As the recipe names it.
        name: String,
        /// The difference.
        reason: String,
    },
    /// It saw images in its training that this data set holds out, or another set altogether.
    #[error(
        "data.vae: {name} was trained on another split (its {trained}, the data's {data}), so it may have seen held-out images; set \
         data.split_seed to its recipe's, or train one with `sextant vae train`"
    )]
    Split {
        /// As the recipe names it.
        name: String,
        /// Fingerprint of its split, shortened.
        trained: String,
        /// Fingerprint of the data's split, shortened.
        data: String,
    },
    /// A key of its own recipe has an impossible value.
    #[error("autoencoder recipe: {0}")]
    Config(#[from] KeyError),
    /// Images that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A training that was stopped, or whose checkpoint cannot be used.
    #[error(transparent)]
    Training(#[from] PretrainingError),
    /// A training went wrong, and nothing is saved.
    #[error(
        "the autoencoder's `{name}` became {value} in its training, and nothing is saved; a lower learning rate may help"
    )]
    Diverged {
        /// The tensor at fault.
        name: String,
        /// Its first value that is not finite.
        value: f64,
    },
}
