//! Errors of an autoencoder.

use std::path::PathBuf;

use crate::network::{TensorFileError, WeightsError};

/// An autoencoder that cannot be read, made or written. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum AutoencoderError {
    /// A file of the folder cannot be read or written.
    #[error(
        "{}: {source}; an autoencoder is a folder with `config.json` and `diffusion_pytorch_model.safetensors`, as diffusers saves it",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The configuration is no JSON, or lacks a key.
    #[error("{}: is no configuration of an AutoencoderKL: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        source: serde_json::Error,
    },
    /// The configuration describes what is not read here.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key and its value, with what is possible.
        reason: String,
    },
    /// The file of weights is none of tensors, or cannot be written.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The tensors do not fit the configuration.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// All that differs.
        source: WeightsError,
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
