//! Checkpoints: one folder a step, complete before it has its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::optim::OptimizerRecord;
use burn::store::RecordError;
use burn::tensor::{Bytes, TensorData};
use serde::{Deserialize, Serialize};
use sextant_model::{collect, read_safetensors, write_safetensors};
pub use sextant_records::checkpoint::{Saved, list};
use sextant_records::{FileError, Seconds, TeacherCounters, ValidationLoss, sync_folder, write_synced};

use super::accumulator::ScalarSums;
use super::error::Error;
use super::worker::Worker;

const STUDENT: &str = "student.safetensors";
const EMA: &str = "ema.safetensors";
const SOURCES: &str = "sources.safetensors";
const BUFFERS: &str = "buffers.safetensors";
const OPTIMISER: &str = "optimiser.bpk";
const STATE: &str = "state.json";

/// The state of a training beside its tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Optimiser steps done.
    pub step: u64,
    /// The log's sums since its last line.
    pub scalars: ScalarSums,
    /// Time so far, by part.
    pub seconds: Seconds,
    /// Cost of other networks' passes so far.
    pub teacher: TeacherCounters,
    /// Steps whose gradient was clipped, and steps counted, up to the log's last line.
    pub clipped: (f64, u64),
    /// Seconds of each step since the start of the phase, the diagnostics left out; for a median.
    pub step_seconds: Vec<f32>,
    /// The validation loss after the phase's last step; none before it, and where it is not finite.
    pub validation: Option<ValidationLoss>,
}

impl State {
    /// Share of the steps so far whose gradient was clipped.
    pub fn clipped_share(&self) -> f64 {
        let (sum, steps) = self.clipped;
        let (since, more) = self.scalars.get("clipped");
        (sum + f64::from(since)) / ((steps + u64::from(more)) as f64).max(1.0)
    }
}

/// The tensors of a checkpoint, by published name.
pub type Tensors = BTreeMap<String, TensorData>;

/// Content of a checkpoint. Every error names the file that cannot be read.
pub trait SavedTensors {
    /// The trained weights.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn student(&self) -> Result<Tensors, Error>;

    /// Their moving average.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn ema(&self) -> Result<Tensors, Error>;

    /// The parameters of the sources with these names: a run may go on without one that it had.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn sources_of(&self, names: &[&str]) -> Result<Tensors, Error>;

    /// The buffers of the sources with these names.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn buffers_of(&self, names: &[&str]) -> Result<Tensors, Error>;

    /// The state of AdamW.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn optimiser(&self) -> Result<OptimizerRecord, Error>;

    /// Everything else.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn state(&self) -> Result<State, Error>;

    /// Reads everything, and keeps nothing of it.
    ///
    /// # Errors
    /// Names the first file that cannot be read.
    fn read_all(&self) -> Result<(), Error>;
}

impl SavedTensors for Saved {
    fn student(&self) -> Result<Tensors, Error> {
        tensors(self, STUDENT)
    }

    fn ema(&self) -> Result<Tensors, Error> {
        tensors(self, EMA)
    }

    fn sources_of(&self, names: &[&str]) -> Result<Tensors, Error> {
        Ok(belonging(self, tensors(self, SOURCES)?, names))
    }

    fn buffers_of(&self, names: &[&str]) -> Result<Tensors, Error> {
        Ok(belonging(self, tensors(self, BUFFERS)?, names))
    }

    fn optimiser(&self) -> Result<OptimizerRecord, Error> {
        let path = self.folder.join(OPTIMISER);
        let bytes = fs::read(&path).map_err(|e| FileError::new(&path, e))?;
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes));
        Ok(record.map_err(|e| FileError::new(&path, e))?)
    }

    fn state(&self) -> Result<State, Error> {
        let path = self.folder.join(STATE);
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        Ok(serde_json::from_str(&text).map_err(|e| FileError::new(&path, e))?)
    }

    fn read_all(&self) -> Result<(), Error> {
        for file in [STUDENT, EMA, SOURCES, BUFFERS] {
            tensors(self, file)?;
        }
        self.optimiser()?;
        self.state().map(|_| ())
    }
}

fn tensors(saved: &Saved, file: &str) -> Result<Tensors, Error> {
    Ok(read_safetensors(saved.folder.join(file))?)
}

fn belonging(saved: &Saved, mut tensors: Tensors, names: &[&str]) -> Tensors {
    tensors.retain(|path, _| {
        // A source's name holds no dot.
        let source = path.split('.').next().unwrap_or_default();
        let known = names.contains(&source);
        if !known {
            tracing::warn!("{}: left out {path}: source {source} is gone", saved.folder.display());
        }
        known
    });
    tensors
}

/// Everything that a checkpoint holds.
pub struct Contents<'a> {
    /// Student, sources' parameters and buffers, moving average, moments.
    pub worker: &'a Worker,
    /// Everything else.
    pub state: &'a State,
}

/// Writes `folder/step-000123` and removes the oldest beyond `keep`. The folder gets its name when it is
/// complete and on disk.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(folder: &Path, contents: Contents, keep: usize) -> Result<Saved, Error> {
    let step = contents.state.step;
    let saved = Saved {
        folder: folder.join(format!("step-{step:06}")),
        step,
    };
    if saved.folder.exists() {
        return Ok(saved);
    }
    let partial = folder.join(format!(".partial-step-{step:06}"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|e| FileError::new(&partial, e))?;
    }
    fs::create_dir_all(&partial).map_err(|e| FileError::new(&partial, e))?;
    let worker = contents.worker;
    let tensors = |file: &str, tensors: &Tensors| write_safetensors(partial.join(file), tensors, &Default::default());
    tensors(STUDENT, &collect(&worker.module.student))?;
    tensors(EMA, &collect(&worker.ema))?;
    tensors(SOURCES, &worker.module.sources.named())?;
    tensors(BUFFERS, &worker.buffers.named()?)?;
    let moments = worker.moments().into_bytes();
    let moments = moments.map_err(|e: RecordError| FileError::new(&partial, e))?;
    write_synced(&partial.join(OPTIMISER), &moments)?;
    let state = serde_json::to_vec(contents.state).map_err(|e| FileError::new(&partial, e))?;
    write_synced(&partial.join(STATE), &state)?;
    sync_folder(&partial)?;
    fs::rename(&partial, &saved.folder).map_err(|e| FileError::new(&saved.folder, e))?;
    sync_folder(folder)?;
    let all = list(folder);
    for old in &all[..all.len().saturating_sub(keep)] {
        fs::remove_dir_all(&old.folder).map_err(|e| FileError::new(&old.folder, e))?;
    }
    Ok(saved)
}
