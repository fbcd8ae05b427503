//! Errors of an encoder.

use crate::hub::{FolderError, HubError};
use crate::network::{TensorFileError, WeightsError};
use crate::pretraining::PretrainingError;
use sextant_data::DataError;
use sextant_recipe::KeyError;
use std::path::PathBuf;

/// An error in an encoder's recipe, file or use.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// A key of the recipe has an impossible value.
    #[error("encoder recipe: {0}")]
    Config(#[from] KeyError),
    /// The data could not be loaded, or its features not be added.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file cannot be opened.
    #[error("encoder weights {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is none of tensors, or could not be written.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// A training that was stopped, or whose checkpoint cannot be used.
    #[error(transparent)]
    Training(#[from] PretrainingError),
    /// The file is not one that `sextant encoder train` wrote.
    #[error("encoder weights {origin}: {reason}")]
    Format {
        /// The file, or "embedded".
        origin: String,
        /// The fault of the file.
        reason: String,
    },
    /// The file's tensors do not fit the geometry that its metadata states.
    #[error("encoder weights {origin}: {source}")]
    Weights {
        /// The file, or "embedded".
        origin: String,
        /// The tensor at fault.
        source: WeightsError,
    },
    /// The encoder saw images that this data set holds out, or another set altogether.
    #[error(
        "the encoder was trained on another split (its {trained}, the data's {data}), so it may have seen held-out \
         images; set data.split_seed to its recipe's, or train one with `sextant encoder train`"
    )]
    Split {
        /// Fingerprint of the encoder's split, shortened.
        trained: String,
        /// Fingerprint of the data's split, shortened.
        data: String,
    },
    /// A training that went wrong.
    #[error(
        "the encoder's `{name}` became {value} in its training, and nothing is saved; a lower training.learning_rate may help"
    )]
    Diverged {
        /// The tensor at fault.
        name: String,
        /// Its first value that is not finite.
        value: f64,
    },
    /// A DINOv2 cannot be read.
    #[error("encoder {name}: {source}")]
    Dinov2 {
        /// As the recipe names it.
        name: String,
        /// The fault of its folder.
        source: FolderError,
    },
    /// A published network cannot be found.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Blocks whose attention is wanted, of an encoder that does not have them.
    #[error("encoder.attention = {asked:?}: {reason}")]
    Attention {
        /// The recipe's blocks.
        asked: Vec<usize>,
        /// What is possible.
        reason: String,
    },
    /// The images cannot be given to the encoder.
    #[error("the encoder reads RGB images; the data are {0} channels of latents, or of something else")]
    Channels(usize),
}
