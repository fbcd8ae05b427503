//! Errors that end a command, and their exit codes.

use sextant_data::DataError;
use sextant_guidance::GuidanceError;
use sextant_model::TensorFileError;
use sextant_model::device::DeviceError;
use sextant_model::encoder::EncoderError;
use sextant_recipe::{KeyError, RecipeError};
use sextant_records::{FileError, RecordError};

/// Everything that can end a command, with a message for a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A training, or what makes one ready.
    #[error(transparent)]
    Train(#[from] sextant_train::Error),
    /// An evaluation.
    #[error(transparent)]
    Evaluation(#[from] sextant_evaluation::Error),
    /// A report.
    #[error(transparent)]
    Report(#[from] sextant_report::Error),
    /// A check of a source, or a template.
    #[error(transparent)]
    Check(#[from] sextant_check::Error),
    /// A recipe that is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A value that a key cannot have.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An encoder that cannot be read or trained.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A source that cannot be loaded, or does not fit.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// Tensors that cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Any other bad input; the message names it.
    #[error("{0}")]
    Input(String),
    /// Work that was done and did not come out as it should.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The process's exit code: 2 for bad input, 1 for a training that failed, 130 for an interrupt.
    pub fn exit_code(&self) -> u8 {
        match self {
            error if error.is_interrupt() => 130,
            Self::Train(error) if error.is_failure() => 1,
            Self::Evaluation(error) if error.is_failure() => 1,
            Self::Encoder(EncoderError::Diverged { .. }) | Self::Failed(_) => 1,
            _ => 2,
        }
    }

    /// True if someone asked to stop.
    pub fn is_interrupt(&self) -> bool {
        match self {
            Self::Train(error) => error.is_interrupt(),
            Self::Evaluation(error) => error.is_interrupt(),
            _ => false,
        }
    }
}
