//! Errors that end a command, and their exit codes.

use sextant_data::DataError;
use sextant_guidance::GuidanceError;
use sextant_interrupt::{self as interrupt, Interrupted};
use sextant_model::TensorFileError;
use sextant_model::autoencoder::AutoencoderError;
use sextant_model::checkpoint::CheckpointError;
use sextant_model::device::DeviceError;
use sextant_model::encoder::EncoderError;
use sextant_recipe::{KeyError, RecipeError};
use sextant_records::{FileError, LockError, RecordError, StorageFull};
use sextant_train::RankError;

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
    /// An autoencoder that cannot be read.
    #[error(transparent)]
    Autoencoder(#[from] AutoencoderError),
    /// An encoder that cannot be read or trained.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A source that cannot be loaded, or does not fit.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// Tensors that cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A file of weights that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A folder that another process writes into.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Someone asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// Any other bad input; the message names it.
    #[error("{0}")]
    Input(String),
    /// Standard output that takes no more, such as a file on a full disk.
    #[error("standard output cannot be written: {0}")]
    Output(String),
    /// Work that was done and did not come out as it should.
    #[error("{0}")]
    Failed(String),
}

impl From<RankError> for Error {
    fn from(error: RankError) -> Self {
        Self::Train(error.into())
    }
}

impl Error {
    /// The process's exit code: 2 for bad input, 1 for work that failed or a disk that is full, 130 for an interrupt.
    pub fn exit_code(&self) -> u8 {
        match self {
            error if error.is_interrupt() => interrupt::EXIT_CODE,
            error if StorageFull::of(error).is_some() => 1,
            Self::Data(error) if error.is_failure() => 1,
            Self::Train(error) if error.is_failure() => 1,
            Self::Evaluation(error) if error.is_failure() => 1,
            Self::Encoder(EncoderError::Diverged { .. })
            | Self::Autoencoder(AutoencoderError::Diverged { .. })
            | Self::Output(_)
            | Self::Failed(_) => 1,
            _ => 2,
        }
    }

    /// True if someone asked to stop.
    pub fn is_interrupt(&self) -> bool {
        match self {
            Self::Train(error) => error.is_interrupt(),
            Self::Evaluation(error) => error.is_interrupt(),
            Self::Encoder(EncoderError::Training(error)) | Self::Autoencoder(AutoencoderError::Training(error)) => {
                error.is_interrupt()
            }
            Self::Interrupted(_) | Self::Data(DataError::Stopped) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_full_disk_is_no_bad_input_whoever_met_it() {
        let full = || FileError::new("run.json", io::Error::from(io::ErrorKind::StorageFull));
        let tensors = TensorFileError::Io {
            path: "student.safetensors".into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        for error in [
            Error::File(full()),
            sextant_train::Error::File(full()).into(),
            sextant_train::Error::Tensors(tensors).into(),
            sextant_evaluation::Error::Train(sextant_train::Error::File(full())).into(),
            sextant_report::Error::File(full()).into(),
            LockError::File(full()).into(),
        ] {
            assert_eq!(error.exit_code(), 1, "{error:?}");
        }
        let other = FileError::new("run.json", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(Error::File(other).exit_code(), 2);
    }
}
