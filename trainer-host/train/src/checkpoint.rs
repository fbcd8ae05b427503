//! Checkpoints: one folder a step, complete before it has its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};
use sextant_guidance::{Buffers, SourceParams};
use sextant_model::checkpoint::metadata;
use sextant_model::{Sit, apply, collect, not_finite, read_safetensors, read_weights, write_safetensors};
use sextant_recipe::Weights;
pub use sextant_records::checkpoint::{Saved, list};
use sextant_records::{FileError, Seconds, TeacherCounters, ValidationLoss, sync_folder, write_synced, write_whole};

use super::accumulator::ScalarSums;
use super::error::Error;
use super::loss_scale::LossScale;
use super::moments::{Moments, SavedMoments};
use super::worker::{TrainModule, Worker};

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
    /// The validation loss after the phase's last step; none before it.
    pub validation: Option<ValidationLoss>,
    /// The factor on the loss of the next step, of a training in f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// Set where validation, log and samples were still due after the step when somebody asked to stop: the step's shares of the
    /// gradient, which are measured before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Vec<(String, f64)>>,
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
    /// The network's weights: the trained ones, or a moving average.
    ///
    /// # Errors
    /// Names the file that cannot be read, and the tensor in it that is no number.
    fn weights(&self, weights: Weights) -> Result<Tensors, Error>;

    /// The file of these weights.
    fn file(&self, weights: Weights) -> PathBuf;

    /// `network` with these weights.
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    fn load(&self, weights: Weights, network: Sit) -> Result<Sit, Error>;

    /// The parameters of the sources with these names: a run may go on without one that it had.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn sources_of(&self, names: &[&str]) -> Result<Tensors, Error>;

    /// `parameters` with the values of the sources with these names.
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    fn load_sources(&self, parameters: SourceParams, names: &[&str]) -> Result<SourceParams, Error>;

    /// `buffers` with the values of the sources with these names.
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    fn load_buffers(&self, buffers: Buffers, names: &[&str]) -> Result<Buffers, Error>;

    /// The state of AdamW.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    fn moments(&self) -> Result<SavedMoments, Error>;

    /// The same on `device`, for those parameters of `module` that are `meant`, by their ids.
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    fn load_moments(
        &self,
        module: &TrainModule,
        device: &Device,
        meant: impl Fn(u64) -> bool,
    ) -> Result<Moments, Error>;

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
    fn weights(&self, weights: Weights) -> Result<Tensors, Error> {
        Ok(read_weights(self.file(weights))?)
    }

    fn file(&self, weights: Weights) -> PathBuf {
        self.folder.join(weights.file_name())
    }

    fn load(&self, weights: Weights, network: Sit) -> Result<Sit, Error> {
        apply(network, &self.weights(weights)?).map_err(|source| Error::Weights {
            path: self.file(weights),
            source,
        })
    }

    fn sources_of(&self, names: &[&str]) -> Result<Tensors, Error> {
        Ok(belonging(self, read_weights(self.folder.join(SOURCES))?, names))
    }

    fn load_sources(&self, parameters: SourceParams, names: &[&str]) -> Result<SourceParams, Error> {
        let loaded = parameters.load_named(&self.sources_of(names)?);
        Ok(loaded.map_err(|e| FileError::new(self.folder.join(SOURCES), e))?)
    }

    fn load_buffers(&self, buffers: Buffers, names: &[&str]) -> Result<Buffers, Error> {
        let values = belonging(self, read_safetensors(self.folder.join(BUFFERS))?, names);
        let loaded = buffers.load_named(&values);
        Ok(loaded.map_err(|e| FileError::new(self.folder.join(BUFFERS), e))?)
    }

    fn moments(&self) -> Result<SavedMoments, Error> {
        Ok(Moments::read(&self.folder.join(OPTIMISER), |_| true)?)
    }

    fn load_moments(
        &self,
        module: &TrainModule,
        device: &Device,
        meant: impl Fn(u64) -> bool,
    ) -> Result<Moments, Error> {
        let path = self.folder.join(OPTIMISER);
        let moments = Moments::read(&path, meant)?.on(device);
        let fits = moments.check(module);
        fits.map_err(|e| FileError::new(path, e))?;
        Ok(moments)
    }

    fn state(&self) -> Result<State, Error> {
        let path = self.folder.join(STATE);
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        Ok(serde_json::from_str(&text).map_err(|e| FileError::new(&path, e))?)
    }

    fn read_all(&self) -> Result<(), Error> {
        self.weights(Weights::Model)?;
        self.weights(Weights::Ema)?;
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let further = name
                .to_str()
                .and_then(|name| name.strip_suffix(".safetensors")?.parse().ok());
            if let Some(further @ Weights::FurtherEma(_)) = further {
                self.weights(further)?;
            }
        }
        for file in [SOURCES, BUFFERS] {
            read_safetensors(self.folder.join(file))?;
        }
        self.moments()?;
        self.state().map(|_| ())
    }
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
/// Names the file that cannot be written, or the tensor that is no number.
pub fn write(folder: &Path, contents: Contents, keep: usize) -> Result<Saved, Error> {
    let step = contents.state.step;
    let saved = place(folder, step);
    if saved.folder.exists() {
        return Ok(saved);
    }
    let partial = partial(folder, step);
    remove_folder(&partial)?;
    fs::create_dir_all(&partial).map_err(|e| FileError::new(&partial, e))?;
    if let Err(error) = fill(&partial, &contents) {
        // Nothing good is in it; that it stays where the disk is at fault is no harm.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    sync_folder(&partial)?;
    fs::rename(&partial, &saved.folder).map_err(|e| FileError::new(&saved.folder, e))?;
    sync_folder(folder)?;
    remove_oldest(folder, keep)?;
    Ok(saved)
}

/// The checkpoint after `step`, there or not.
pub(super) fn place(folder: &Path, step: u64) -> Saved {
    Saved {
        folder: folder.join(format!("step-{step:06}")),
        step,
    }
}

/// A checkpoint's folder while it is being written or removed.
fn partial(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!(".partial-step-{step:06}"))
}

/// Removes the oldest checkpoints beyond `keep`, and what a killed process left of others. Half of a checkpoint never has its name.
pub(super) fn remove_oldest(folder: &Path, keep: usize) -> Result<(), FileError> {
    let all = list(folder);
    for old in &all[..all.len().saturating_sub(keep)] {
        let partial = partial(folder, old.step);
        remove_folder(&partial)?;
        fs::rename(&old.folder, &partial).map_err(|e| FileError::new(&old.folder, e))?;
    }
    let entries = fs::read_dir(folder).map_err(|e| FileError::new(folder, e))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".partial-step-") {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new(folder, e)),
        _ => Ok(()),
    }
}

/// Writes the state of a checkpoint that is there anew, whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write_state(folder: &Path, state: &State) -> Result<(), Error> {
    let path = folder.join(format!("step-{:06}", state.step)).join(STATE);
    let text = serde_json::to_vec(state).map_err(|e| FileError::new(&path, e))?;
    Ok(write_whole(&path, &text)?)
}

fn fill(folder: &Path, contents: &Contents) -> Result<(), Error> {
    let worker = contents.worker;
    // So that a network's file says what it is wherever it lies.
    let metadata = metadata(worker.module.student.config(), Some(contents.state.step));
    // One network after another: all of them at once would be as much again as what is trained.
    let numbers = |file: &str, tensors: Tensors, metadata: &BTreeMap<String, String>| match not_finite(&tensors) {
        None => Ok(write_safetensors(folder.join(file), &tensors, metadata)?),
        Some((name, value)) => Err(Error::Diverged(format!(
            "no checkpoint is written after step {}: `{name}` of {file} became {value}; a lower optimiser.lr may help",
            contents.state.step
        ))),
    };
    numbers(&Weights::Model.file_name(), collect(&worker.module.student), &metadata)?;
    let further = worker.further_emas.iter();
    let further = further.map(|further| Weights::FurtherEma(further.decay));
    for (which, weights) in std::iter::once(Weights::Ema).chain(further).enumerate() {
        numbers(&weights.file_name(), worker.collect_average(which)?, &metadata)?;
    }
    numbers(SOURCES, worker.module.sources.named(), &BTreeMap::new())?;
    // A source's own state may be what it likes.
    write_safetensors(folder.join(BUFFERS), &worker.buffers.named()?, &Default::default())?;
    worker.write_moments(&folder.join(OPTIMISER))?;
    let state = serde_json::to_vec(contents.state).map_err(|e| FileError::new(folder, e))?;
    write_synced(&folder.join(STATE), &state)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_loses_its_name_first_and_what_was_left_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "step-000004",
            "step-000008",
            "step-000012",
            ".partial-step-000002",
            "samples",
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(STATE), "{}").unwrap();
        }
        // Killed when it had just lost its name, and written anew by a fork of an earlier one.
        fs::create_dir(folder.path().join(".partial-step-000004")).unwrap();
        remove_oldest(folder.path(), 2).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["samples", "step-000008", "step-000012"]);
    }
}
