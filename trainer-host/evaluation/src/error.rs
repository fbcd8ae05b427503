//! Errors that keep a network or samples from being measured.

use std::path::PathBuf;

use sextant_data::DataError;
use sextant_interrupt::Interrupted;
use sextant_model::TensorFileError;
use sextant_model::encoder::EncoderError;
use sextant_recipe::{KeyError, RecipeError};
use sextant_records::{FileError, RecordError};
use sextant_stats::measure::MeasureError;
use sextant_train::RankError;

use super::judge::JudgeError;
use super::reference::ReferenceError;

/// Why an evaluation cannot be made ready, or ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run, its checkpoints or its samples.
    #[error(transparent)]
    Train(#[from] sextant_train::Error),
    /// A fault of other ranks.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// A recipe that is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A value of a recipe that nothing can be measured with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An encoder that cannot be read, or does not fit.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A judge that cannot be had, or that must not judge.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// A reference that cannot be used.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A measure that is not defined for what it was given.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// Tensors that cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Someone asked to stop; what was measured is on disk.
    #[error("stopped in the evaluation; what was measured is kept")]
    Interrupted(#[from] Interrupted),
    /// Something that cannot be measured as asked; the message names it.
    #[error("{0}")]
    Input(String),
    /// A measure of representations that is not defined for those of this network.
    #[error("representations at depth {depth}, t = {t}: {source}")]
    Undefined {
        /// Depth of the tokens.
        depth: usize,
        /// Time at which images were shown.
        t: f64,
        /// The measure's reason.
        source: MeasureError,
    },
    /// A validation loss that is no number.
    #[error("{}: the validation loss of this network is {loss}", network.display())]
    Validation {
        /// The file of the network's weights.
        network: PathBuf,
        /// The loss.
        loss: f64,
    },
}

impl Error {
    /// True if the input was right and the work went wrong.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Train(error) => error.is_failure(),
            Self::Undefined { .. } | Self::Validation { .. } | Self::Ranks(_) => true,
            _ => false,
        }
    }

    /// True if someone asked to stop: no failure.
    pub fn is_interrupt(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Train(error) => error.is_interrupt(),
            _ => false,
        }
    }
}
