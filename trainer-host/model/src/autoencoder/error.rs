//! Errors of an autoencoder.

use crate::hub::{FolderError, HubError};

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
