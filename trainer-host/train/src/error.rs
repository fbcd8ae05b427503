//! Errors that end a training.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use sextant_data::DataError;
use sextant_guidance::GuidanceError;
use sextant_interrupt::Interrupted;
use sextant_model::autoencoder::AutoencoderError;
use sextant_model::checkpoint::CheckpointError;
use sextant_model::device::panic_text;
use sextant_model::diffusion::SampleError;
use sextant_model::encoder::EncoderError;
use sextant_model::{TensorFileError, WeightsError};
use sextant_recipe::{KeyError, RecipeError};
use sextant_records::{FileError, NetworkFile, RecordError};

/// A fault that is not of this rank.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// That of another rank.
    #[error("{rank}: {reason}")]
    Failed {
        /// Its number and place, as in "rank 2 on node7".
        rank: String,
        /// Its own error.
        reason: String,
    },
    /// Ranks that are gone, in words.
    #[error("{0}")]
    Lost(String),
}

/// Why a step failed. Nothing has changed then: neither weights, moments, average nor buffers.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The batch did not come.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Somebody asked to stop while the step was computed.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The loader had no batch left.
    #[error("the loader ended before the phase")]
    NoBatch,
    /// A source, or what it answered.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// burn or a driver below it.
    #[error("the backend failed: {0}")]
    Backend(String),
    /// Nothing to train.
    #[error("no parameter has a gradient")]
    NoGradient,
    /// A fault of other ranks.
    #[error(transparent)]
    Ranks(#[from] RankError),
}

impl StepError {
    /// True if the backend had no memory left, as far as its words tell.
    pub fn is_out_of_memory(&self) -> bool {
        let words = ["memory", "alloc", "buffertoobig", "capacity overflow"];
        matches!(self, Self::Backend(text) | Self::Ranks(RankError::Failed { reason: text, .. }) if words.iter().any(|word| text.to_lowercase().contains(word)))
    }
}

/// Computes a part of a step; a panic of the backend is an error of it.
///
/// # Errors
/// As `pass`, and a panic.
pub(super) fn caught<T>(pass: impl FnOnce() -> Result<T, StepError>) -> Result<T, StepError> {
    let ended = catch_unwind(AssertUnwindSafe(pass));
    ended.unwrap_or_else(|panic| Err(StepError::Backend(panic_text(panic.as_ref()))))
}

/// Why a run cannot be made ready, or ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody asked to stop.
    #[error(transparent)]
    Stopped(#[from] Interrupted),
    /// A recipe that is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A value of a recipe that no network or sampler can have.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An encoder that cannot be read, or does not fit.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// An autoencoder that cannot be read, or does not fit the data.
    #[error(transparent)]
    Autoencoder(#[from] AutoencoderError),
    /// A source that cannot be loaded, or does not fit.
    #[error("phase {phase:?}: {source}")]
    Sources {
        /// The phase whose source it is.
        phase: String,
        /// The source's fault.
        source: Box<GuidanceError>,
    },
    /// Parameters or buffers of a source that cannot be restored.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// Weights of a file that do not fit a network.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// All that differs.
        source: WeightsError,
    },
    /// Tensors that cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A file of weights that cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The same, by the key that names it.
    #[error("{key}: {source}")]
    Import {
        /// The recipe's key.
        key: String,
        /// Its fault.
        source: CheckpointError,
    },
    /// A sampler that cannot draw.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recipe without a phase.
    #[error("the recipe has no phase")]
    NoPhase,
    /// A phase that is not there.
    #[error("there is no phase {0:?}")]
    UnknownPhase(String),
    /// A phase that has not been trained.
    #[error("phase {0:?} has no checkpoint")]
    Untrained(String),
    /// Pixels that make no picture.
    #[error("{0}")]
    Pixels(String),
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
    /// A step that was to be timed, and failed.
    #[error("step {step} failed: {reason}")]
    Bench {
        /// The step, counted from 1.
        step: u64,
        /// The cause.
        reason: StepError,
    },
    /// Keys that a run which has begun cannot change.
    #[error("{}: {}", run.display(), refused.join("\n"))]
    Change {
        /// The run's folder.
        run: PathBuf,
        /// Each key, with both values and the reason.
        refused: Vec<String>,
    },
    /// Other data than those that a run began with.
    #[error(
        "{}: the run began with other {what} (fingerprint {before} then, {now} now); only with those it can go on", run.display()
    )]
    OtherData {
        /// The run's folder.
        run: PathBuf,
        /// The data, or what encodes them.
        what: &'static str,
        /// Fingerprint of the data that it began with.
        before: String,
        /// Fingerprint of the data as they are read now.
        now: String,
    },
    /// Another network in the place of one that a run began with.
    #[error(
        "{}: {} ({}) is another file than the run began with (SHA-256 {} then, {} now); put that one back to go on",
        run.display(), now.path, now.key, before.sha256, now.sha256
    )]
    OtherFile {
        /// The run's folder.
        run: PathBuf,
        /// The file that it began with.
        before: Box<NetworkFile>,
        /// The one that is there now.
        now: Box<NetworkFile>,
    },
    /// A step that was done once more to count its operations.
    #[error("a step that was rehearsed failed: {0}")]
    Rehearsed(#[from] StepError),
    /// A newest checkpoint that cannot be read.
    #[error("{source}\nthe checkpoint {} is damaged; {advice}", checkpoint.display())]
    Damaged {
        /// The error that it led to.
        source: Box<Error>,
        /// Its folder.
        checkpoint: PathBuf,
        /// The way to go on.
        advice: String,
    },
    /// Someone asked to stop; the last good step is on disk.
    #[error("stopped after step {step} of phase {phase:?}")]
    Interrupted {
        /// The phase.
        phase: String,
        /// The last step that was done.
        step: u64,
    },
    /// A phase that this machine cannot hold.
    #[error(
        "phase {phase:?} cannot run here: {part} exceed the {available} that {}; {estimate}",
        if *installed { "this machine has" } else { "are free" }
    )]
    Memory {
        /// The phase.
        phase: String,
        /// Its estimate in words.
        estimate: String,
        /// The part that does not fit.
        part: &'static str,
        /// The memory in words.
        available: String,
        /// That is all that there is, not what is free.
        installed: bool,
    },
    /// Samples that this machine cannot hold.
    #[error("{key} is {count}: its images alone need {needed}, and {available} are free; at most {most} fit")]
    SamplesMemory {
        /// The key of the recipe.
        key: &'static str,
        /// Its value.
        count: usize,
        /// Their need, in words.
        needed: String,
        /// Free memory in words.
        available: String,
        /// Samples that would fit.
        most: u64,
    },
    /// Samples that are no numbers.
    #[error(
        "{}sample {sample}, of class {class}, came out as {value}: the network's weights are numbers, its output is not, as after a \
         training with too high an optimiser.lr", of_file(.network.as_deref())
    )]
    Samples {
        /// The file of the network's weights, where it is known.
        network: Option<PathBuf>,
        /// Number of the sample, from 0.
        sample: usize,
        /// Its class.
        class: usize,
        /// The first value of it that is not finite.
        value: f64,
    },
    /// A fault of other ranks.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// Warnings, where a user wants none.
    #[error("--strict, and there {}:\n- {}", if .0.len() == 1 { "is a warning" } else { "are warnings" }, .0.join("\n- "))]
    Strict(Vec<String>),
    /// Training went wrong in a way that no checkpoint helps.
    #[error("{0}")]
    Diverged(String),
}

/// The beginning of a message on a file.
fn of_file(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", path.display())).unwrap_or_default()
}

impl Error {
    /// The error, where it is one of samples with the file of the network that they are of.
    pub fn of_network(self, file: &Path) -> Self {
        match self {
            Self::Samples {
                sample, class, value, ..
            } => Self::Samples {
                network: Some(file.to_owned()),
                sample,
                class,
                value,
            },
            other => other,
        }
    }

    /// True if the input was right and the work went wrong.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Step { .. }
                | Self::Bench { .. }
                | Self::Samples { .. }
                | Self::Diverged(_)
                | Self::Ranks(RankError::Lost(_))
        )
    }

    /// True if someone asked to stop: no failure.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. } | Self::Stopped(_) | Self::Sample(SampleError::Interrupted(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_without_memory_is_known_by_its_words() {
        for text in [
            "CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\"",
            "Not enough memory left.",
            "can't allocate buffer of size: 17179869184",
            "BufferTooBig(17179869184)",
            "capacity overflow",
        ] {
            assert!(StepError::Backend(text.into()).is_out_of_memory(), "{text}");
        }
        assert!(!StepError::Backend("the shapes do not fit".into()).is_out_of_memory());
        assert!(!StepError::NoGradient.is_out_of_memory());
    }
}
