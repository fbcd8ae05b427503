//! Errors of a DINOv2.

use std::path::PathBuf;

use crate::network::{TensorFileError, WeightsError};

/// A DINOv2 that cannot be read. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum Dinov2Error {
    /// The configuration cannot be read.
    #[error(
        "{}: {source}; a DINOv2 is a folder with `config.json` and `model.safetensors`, as transformers saves it",
        path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The configuration is no JSON, or lacks a key.
    #[error("{}: is no configuration of a DINOv2: {source}", path.display())]
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
    /// The file of weights is none of tensors.
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
}
