//! Checkpoints: one folder a step, complete before it has its name.
//!
//! burn-train's checkpointer hands over the records of optimiser and schedule from inside its learner; a
//! [`Collector`] catches them, and the folder is written in one piece with everything else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use burn::lr_scheduler::LrSchedulerRecord;
use burn::optim::OptimizerRecord;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, TensorData};
use burn::train::checkpoint::{
    Checkpoint, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::EventStoreClient;
use serde::{Deserialize, Serialize};

use super::window::WindowState;
use super::{Seconds, Trainee, ValidationLoss};
use crate::Error;
use sextant_records::FileError;
use sextant_guidance::Buffers;
use sextant_records::TeacherCounters;
use sextant_model::{Sit, collect, read_safetensors, write_safetensors};

const STUDENT: &str = "student.safetensors";
const EMA: &str = "ema.safetensors";
const SOURCES: &str = "sources.safetensors";
const BUFFERS: &str = "buffers.safetensors";
const OPTIMISER: &str = "optimiser.bpk";
const SCHEDULE: &str = "schedule.bpk";
const STATE: &str = "state.json";

/// What a checkpoint holds beside tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Optimiser steps done.
    pub step: u64,
    /// The log's sums since its last line.
    pub window: WindowState,
    /// Where the time went so far.
    pub seconds: Seconds,
    /// What other networks' passes cost so far.
    pub teacher: TeacherCounters,
    /// Steps so far whose gradient was clipped, and steps counted.
    pub clipped: (f64, u64),
    /// Seconds of each step since the start of the phase, the diagnostics left out; for a median.
    pub step_seconds: Vec<f32>,
    /// The validation loss after the phase's last step; none before it, and where it is not finite.
    #[serde(default)]
    pub validation: Option<ValidationLoss>,
}

/// The tensors of a checkpoint, by published name.
pub type Tensors = BTreeMap<String, TensorData>;

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its folder.
    pub folder: PathBuf,
    /// Optimiser steps done.
    pub step: u64,
}

/// The checkpoints in `folder`, earliest first. A folder without its final name is no checkpoint.
pub fn list(folder: &Path) -> Vec<Saved> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut saved: Vec<Saved> = entries
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some(Saved {
                folder: entry.path(),
                step,
            })
        })
        .collect();
    saved.sort_by_key(|s| s.step);
    saved
}

impl Saved {
    /// The trained weights.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn student(&self) -> Result<Tensors, Error> {
        self.tensors(STUDENT)
    }

    /// Their moving average.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn ema(&self) -> Result<Tensors, Error> {
        self.tensors(EMA)
    }

    /// The sources' parameters.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn sources(&self) -> Result<Tensors, Error> {
        self.tensors(SOURCES)
    }

    /// The parameters of the sources with these names: a run may go on without one that it had.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn sources_of(&self, names: &[&str]) -> Result<Tensors, Error> {
        Ok(self.belonging(self.tensors(SOURCES)?, names))
    }

    /// The buffers of the sources with these names.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn buffers_of(&self, names: &[&str]) -> Result<Tensors, Error> {
        Ok(self.belonging(self.tensors(BUFFERS)?, names))
    }

    fn belonging(&self, mut tensors: Tensors, names: &[&str]) -> Tensors {
        tensors.retain(|path, _| {
            // A source's name holds no dot.
            let source = path.split('.').next().unwrap_or_default();
            let known = names.contains(&source);
            if !known {
                tracing::warn!("{}: left out {path}: source {source} is gone", self.folder.display());
            }
            known
        });
        tensors
    }

    /// The state of AdamW.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn optimiser(&self) -> Result<OptimizerRecord, Error> {
        let path = self.folder.join(OPTIMISER);
        let bytes = fs::read(&path).map_err(|e| FileError::new(&path, e))?;
        OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|e| FileError::new(&path, e).into())
    }

    /// The state of the learning rate's schedule.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn schedule(&self) -> Result<LrSchedulerRecord, Error> {
        let path = self.folder.join(SCHEDULE);
        let bytes = fs::read(&path).map_err(|e| FileError::new(&path, e))?;
        LrSchedulerRecord::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|e| FileError::new(&path, e).into())
    }

    /// Everything else.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn state(&self) -> Result<State, Error> {
        let path = self.folder.join(STATE);
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        serde_json::from_str(&text).map_err(|e| FileError::new(&path, e).into())
    }

    fn tensors(&self, file: &str) -> Result<Tensors, Error> {
        let path = self.folder.join(file);
        read_safetensors(&path).map_err(|e| FileError::new(path, e).into())
    }
}

/// Everything that a checkpoint holds.
pub struct Contents<'a> {
    /// Student and the sources' parameters.
    pub model: &'a Trainee,
    /// Moving average.
    pub ema: &'a Sit,
    /// The sources' buffers.
    pub buffers: &'a Buffers,
    /// The state of AdamW.
    pub optimiser: OptimizerRecord,
    /// The state of the learning rate's schedule.
    pub schedule: LrSchedulerRecord,
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
    let tensors = |file: &str, tensors: &Tensors| {
        let path = partial.join(file);
        write_safetensors(&path, tensors, &Default::default()).map_err(|e| FileError::new(path, e).into())
    };
    tensors(STUDENT, &collect(&contents.model.student))?;
    tensors(EMA, &collect(contents.ema))?;
    tensors(SOURCES, &contents.model.sources.named())?;
    tensors(BUFFERS, &contents.buffers.named()?)?;
    let record = |e: burn::store::RecordError| FileError::new(&partial, e).into();
    write_synced(
        &partial.join(OPTIMISER),
        &contents.optimiser.into_bytes().map_err(record)?,
    )?;
    write_synced(
        &partial.join(SCHEDULE),
        &contents.schedule.into_bytes().map_err(record)?,
    )?;
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

/// Writes a file whole or not at all: to a sibling, synced, renamed.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    write_synced(&partial, bytes)?;
    fs::rename(&partial, path).map_err(|e| FileError::new(path, e).into())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    let mut file = fs::File::create(path).map_err(|e| FileError::new(path, e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| FileError::new(path, e).into())
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    // Only Unix lets a folder be opened to sync its entries.
    if cfg!(unix) {
        fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| FileError::new(folder, e))?;
    }
    Ok(())
}

/// A checkpointer of burn-train's that hands records on instead of writing them.
#[derive(Clone)]
pub struct Collector<R>(Sender<R>);

impl<R: Checkpoint> Collector<R> {
    /// For [`burn::train::SupervisedTraining::with_custom_checkpointers`], and where its records arrive.
    pub fn new() -> (Self, Receiver<R>) {
        let (sender, receiver) = channel();
        (Self(sender), receiver)
    }
}

impl<R: Checkpoint + Sync> Checkpointer<R> for Collector<R> {
    fn save(&self, _: usize, record: R) -> Result<(), CheckpointerError> {
        self.0
            .send(record)
            .map_err(|_| CheckpointerError::Unknown("the training loop is gone".into()))
    }

    fn delete(&self, _: usize) -> Result<(), CheckpointerError> {
        Ok(())
    }

    fn restore(&self, _: usize) -> Result<R, CheckpointerError> {
        Err(CheckpointerError::Unknown(
            "checkpoints are read by `train::checkpoint`".into(),
        ))
    }
}

/// Where the records of one training arrive.
pub struct Records {
    /// The student's and the sources'; what is written is taken from the modules, by published name.
    pub model: Receiver<ModuleRecord>,
    /// The optimiser's.
    pub optimiser: Receiver<OptimizerRecord>,
    /// The schedule's.
    pub schedule: Receiver<LrSchedulerRecord>,
}

/// Saves whenever it is asked: the strategy decides when that is.
pub struct Always;

impl CheckpointingStrategy for Always {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
    }
}
