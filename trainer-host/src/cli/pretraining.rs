//! The commands that train a network by a recipe of its own: what they have in common.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{LimitArgs, OutputArgs};
use crate::Error;
use sextant_interrupt as interrupt;
use sextant_model::pretraining::LoggedStep;
use sextant_records::{FileError, remove_leftovers};
use sextant_train::ProgressMode;

#[derive(Args)]
pub(super) struct PretrainingArgs {
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    pub device: String,
    #[command(flatten)]
    pub limit: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The visible side of such a training, and the file that it goes on from.
pub(super) struct Shown {
    checkpoint: PathBuf,
    mode: ProgressMode,
}

impl Shown {
    /// Of a training that leaves `checkpoint` where it is stopped. Only whoever holds the lock of that place may ask.
    pub fn new(checkpoint: PathBuf, output: &OutputArgs) -> Self {
        remove_leftovers(&checkpoint);
        let mode = match output.json {
            true => ProgressMode::Quiet,
            false => ProgressMode::Auto,
        };
        if checkpoint.exists() && mode == ProgressMode::Auto {
            interrupt::say(&format!("going on from {}", checkpoint.display()));
        }
        Self { checkpoint, mode }
    }

    /// The file.
    pub fn checkpoint(&self) -> &Path {
        &self.checkpoint
    }

    /// Shows the progress of `steps` steps.
    pub fn progress(&self, label: &str, steps: u64) -> impl FnMut(&LoggedStep) + use<> {
        let mut progress = self.mode.start(label, 0, steps);
        move |at: &LoggedStep| {
            progress.log(&at.terms);
            progress.step(at.step);
        }
    }

    /// Takes away the checkpoint of a training whose network is kept.
    pub fn finish(self) -> Result<(), Error> {
        match std::fs::remove_file(&self.checkpoint) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(&self.checkpoint, e).into()),
            _ => Ok(()),
        }
    }
}
