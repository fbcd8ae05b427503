//! Errors of a network's own training.

use super::checkpoint::CheckpointError;

/// A training that cannot begin, go on or be kept, or that was stopped.
#[derive(Debug, thiserror::Error)]
pub enum PretrainingError {
    /// The checkpoint of an interrupted training cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Someone asked to stop; what was trained is in the checkpoint.
    #[error("stopped after step {step} of {network}'s training")]
    Interrupted {
        /// The network in words, such as `the encoder`.
        network: &'static str,
        /// Steps done.
        step: u64,
    },
}

impl PretrainingError {
    /// True if someone asked to stop.
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }
}
