//! Faults of a file of weights.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use burn::tensor::TensorData;
use safetensors::SafeTensorError;

use super::archive::ArchiveError;
use crate::network::{TensorFileError, WeightsError, value_not_finite};

/// The error of a file of weights, with its name.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// Its fault; boxed, since every error above holds this one.
    pub fault: Box<Fault>,
}

/// Fault of a file of weights.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder.
    #[error("this is a folder; name a file of weights, or a checkpoint of a run (RUN/phases/PHASE/step-000400)")]
    Folder,
    /// A pickle without PyTorch's mark, or a tar archive.
    #[error(
        "this is a plain pickle, or a tar archive as PyTorch wrote before version 0.2; load it in Python and save its state dicts with \
         torch.save"
    )]
    Legacy,
    /// Another kind of file.
    #[error("this is neither a checkpoint of PyTorch, as torch.save writes it, nor a safetensors file")]
    Unknown,
    /// An archive of PyTorch that cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A safetensors file that cannot be read.
    #[error("not a valid safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A checkpoint without a state dict.
    #[error("there are no weights in it: neither tensors nor a state dict `model` or `ema`; it has [{0}]")]
    NoWeights(String),
    /// Weights that it does not hold.
    #[error("it has no weights {asked:?}: {there}")]
    NoSuchWeights {
        /// The weights that were asked for.
        asked: String,
        /// Those that there are, in words.
        there: String,
    },
    /// Tensors of another kind of network, or settings that say so.
    #[error("{0}")]
    Network(String),
    /// Tensors that do not fit the network that is to take them.
    #[error("{0}")]
    Weights(WeightsError),
    /// Weights that are no numbers.
    #[error("{}", words(.0))]
    NotFinite(Vec<NotFinite>),
}

/// A tensor that holds what is no number.
#[derive(Debug, thiserror::Error)]
#[error("tensor `{name}` holds {value}")]
pub struct NotFinite {
    /// Its name.
    pub name: String,
    /// Its first value that is not finite.
    pub value: f64,
}

impl NotFinite {
    /// Those of a set.
    pub(crate) fn of(tensors: &BTreeMap<String, TensorData>) -> impl Iterator<Item = Self> {
        tensors.iter().filter_map(|(name, data)| {
            let value = value_not_finite(data)?;
            let name = name.clone();
            Some(Self { name, value })
        })
    }
}

/// Every tensor at fault, in a line of its own where there are several.
fn words(tensors: &[NotFinite]) -> String {
    match tensors {
        [one] => format!("{one}, and no network computes with that"),
        several => {
            let lines: String = several.iter().map(|tensor| format!("\n  {tensor}")).collect();
            format!("{} tensors hold what no network computes with:{lines}", several.len())
        }
    }
}

impl From<TensorFileError> for Fault {
    /// Without the file's name, which stands before every fault.
    fn from(error: TensorFileError) -> Self {
        match error {
            TensorFileError::Io { source, .. } => Self::Io(source),
            TensorFileError::Format { source, .. } => Self::Safetensors(source),
            TensorFileError::Kind { name, found, .. } => {
                Self::Network(format!("tensor `{name}` holds {found}, which no network here does"))
            }
            TensorFileError::NotFinite { name, value, .. } => Self::NotFinite(vec![NotFinite { name, value }]),
        }
    }
}
