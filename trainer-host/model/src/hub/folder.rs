//! The folder of a published network: its configuration, and one file of weights.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use serde::de::DeserializeOwned;

use super::{HubError, Located, locate};
use crate::network::{Metadata, TensorFileError, WeightsError, numbers, parse_safetensors, read_with_metadata};

/// The layout of one kind of network, as a library of Hugging Face saves it.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kind, such as `an autoencoder`.
    pub network: &'static str,
    /// Its class there, such as `an AutoencoderKL`.
    pub class: &'static str,
    /// The library.
    pub library: &'static str,
    /// Name of the file of weights.
    pub weights: &'static str,
}

/// Content of a folder.
#[derive(Debug)]
pub struct Content<C> {
    /// The configuration.
    pub config: C,
    /// The weights, by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// The weights' file's words on itself.
    pub metadata: Metadata,
}

/// A folder that is not of its layout. The message names the file.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read or written.
    #[error(
        "{}: {source}; {} is a folder with `{}` and `{}`, as {} saves it",
        path.display(), layout.network, Layout::CONFIG, layout.weights, layout.library
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The layout that is wanted.
        layout: &'static Layout,
        /// The system's reason.
        source: io::Error,
    },
    /// The configuration is no JSON, or lacks a key.
    #[error("{}: is no configuration of {}: {source}", path.display(), layout.class)]
    Json {
        /// The file.
        path: PathBuf,
        /// The layout that is wanted.
        layout: &'static Layout,
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
}

impl Layout {
    /// Name of the file of the configuration.
    pub const CONFIG: &str = "config.json";

    /// The folder behind a name, [`locate`] says how.
    ///
    /// # Errors
    /// A name of the hub that is not found.
    pub fn locate(&self, name: &str) -> Result<Located, HubError> {
        locate(name, &[Self::CONFIG, self.weights])
    }

    /// The file of weights behind the name of a folder, and its commit if it came from the hub.
    ///
    /// # Errors
    /// A name of the hub that is not found.
    pub fn weights_file(&self, name: &str) -> Result<(PathBuf, Option<String>), HubError> {
        let located = locate(name, &[self.weights])?;
        Ok((located.path.join(self.weights), located.revision))
    }

    /// Configuration and weights of a folder; `check` answers the first fault of a configuration.
    ///
    /// # Errors
    /// Files that cannot be read, a configuration of something else.
    pub fn read<C: DeserializeOwned>(
        &'static self,
        folder: &Path,
        check: impl Fn(&C) -> Result<(), String>,
    ) -> Result<Content<C>, FolderError> {
        let path = folder.join(Self::CONFIG);
        let text = std::fs::read(&path).map_err(|source| self.io(&path, source))?;
        // Before the weights, which may be large and are read tensor by tensor.
        let config = self.configuration(path, &text, check)?;
        let weights = read_with_metadata(folder.join(self.weights))?;
        self.content(folder, config, weights)
    }

    /// The same of the bytes of its two files; `folder` names them in errors.
    ///
    /// # Errors
    /// Bytes that are not such files, a configuration of something else.
    pub fn parse<C: DeserializeOwned>(
        &'static self,
        folder: &Path,
        config: &[u8],
        weights: &[u8],
        check: impl Fn(&C) -> Result<(), String>,
    ) -> Result<Content<C>, FolderError> {
        let config = self.configuration(folder.join(Self::CONFIG), config, check)?;
        let weights = parse_safetensors(weights, &folder.join(self.weights))?;
        self.content(folder, config, weights)
    }

    fn configuration<C: DeserializeOwned>(
        &'static self,
        path: PathBuf,
        text: &[u8],
        check: impl Fn(&C) -> Result<(), String>,
    ) -> Result<C, FolderError> {
        let config: C = serde_json::from_slice(text).map_err(|source| self.json(&path, source))?;
        check(&config).map_err(|reason| FolderError::Config { path, reason })?;
        Ok(config)
    }

    fn content<C>(
        &self,
        folder: &Path,
        config: C,
        (tensors, metadata): (BTreeMap<String, TensorData>, Metadata),
    ) -> Result<Content<C>, FolderError> {
        Ok(Content {
            config,
            tensors: numbers(tensors, &folder.join(self.weights))?,
            metadata,
        })
    }

    /// The error for tensors of a folder that do not fit its configuration.
    pub fn misfit(&self, folder: &Path, source: WeightsError) -> FolderError {
        FolderError::Weights {
            path: folder.join(self.weights),
            source,
        }
    }

    /// The error for a file that the system does not give or take.
    pub fn io(&'static self, path: &Path, source: io::Error) -> FolderError {
        FolderError::Io {
            path: path.into(),
            layout: self,
            source,
        }
    }

    /// The error for a configuration that is none, or cannot be written as one.
    pub fn json(&'static self, path: &Path, source: serde_json::Error) -> FolderError {
        FolderError::Json {
            path: path.into(),
            layout: self,
            source,
        }
    }
}
