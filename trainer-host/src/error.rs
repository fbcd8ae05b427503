//! What a command ends with, and its exit code.

use std::any::Any;
use std::path::PathBuf;

/// Everything that can end a command, with a message for a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe that is wrong.
    #[error(transparent)]
    Recipe(#[from] sextant_recipe::RecipeError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] sextant_data::DataError),
    /// An encoder that cannot be read or trained.
    #[error(transparent)]
    Encoder(#[from] sextant_model::encoder::EncoderError),
    /// A judge that cannot be had, or that must not judge.
    #[error(transparent)]
    Judge(#[from] sextant_evaluation::judge::JudgeError),
    /// A source that cannot be loaded, or does not fit.
    #[error(transparent)]
    Guidance(#[from] sextant_guidance::GuidanceError),
    /// Weights that cannot be read or written.
    #[error(transparent)]
    Weights(#[from] sextant_model::WeightsError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] sextant_model::device::DeviceError),
    /// Any other bad input; the message names it.
    #[error("{0}")]
    Input(String),
    /// A file or folder that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A training step that failed; the last good step is on disk.
    #[error(
        "step {step} of phase {phase:?} failed: {reason}\nthe run stopped after step {last_good}, whose checkpoint is {checkpoint}"
    )]
    Step {
        /// The phase.
        phase: String,
        /// The step that failed, counted from 1.
        step: u64,
        /// Why.
        reason: String,
        /// The last step that was done.
        last_good: u64,
        /// Its folder.
        checkpoint: PathBuf,
    },
    /// Someone asked to stop; the last good step is on disk.
    #[error("stopped after step {step} of phase {phase:?}; go on with: sextant train --resume {run}")]
    Interrupted {
        /// The phase.
        phase: String,
        /// The last step that was done.
        step: u64,
        /// The run's folder.
        run: PathBuf,
    },
    /// Training went wrong in a way that no checkpoint helps.
    #[error("{0}")]
    Training(String),
}

impl Error {
    /// An error about a path.
    pub fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            reason: reason.to_string(),
        }
    }

    /// The process's exit code: 2 for bad input, 1 for a training that failed, 130 for an interrupt.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Step { .. } | Self::Training(_) => 1,
            Self::Interrupted { .. } => 130,
            _ => 2,
        }
    }
}

/// The text of a caught panic.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}
