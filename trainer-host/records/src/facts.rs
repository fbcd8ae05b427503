//! A run in words and numbers: what `run.json`, `result.json` and `failed.json` hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::history::{Fork, NetworkFile, RecipeChange};
use super::{ComputeCost, Seconds, TeacherCounters};

/// `run.json`: what ran, where, on which data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of Sextant.
    pub sextant: String,
    /// Version of burn.
    pub burn: String,
    /// Version of the plugin contract.
    pub abi: String,
    /// Operating system and processor.
    pub platform: String,
    /// The device's name and burn's description of it, as the run began.
    pub device: String,
    /// SHA-256 over pixels, labels, split and standardisation.
    pub data: String,
    /// SHA-256 of the autoencoder on whose latents of these pixels it trains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_by: Option<String>,
    /// The libraries of all phases, as the run began.
    pub plugins: Vec<LibraryRecord>,
    /// Warnings before the first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Libraries that took the place of others of their name while the run was interrupted, in order.
    pub replaced: Vec<ReplacedLibrary>,
    /// The files of networks that the recipe names, as the run began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<NetworkFile>,
    /// Keys of the recipe, and devices (`device`), that were changed while the run was interrupted, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<RecipeChange>,
    /// The run that this one was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
    /// The recipe that it is trained by, beside which an edited `recipe.toml` shows.
    pub recipe: Value,
}

/// Another library under the name of one that a run had begun with, and the place from which on it guides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedLibrary {
    /// The phase that went on with it.
    pub phase: String,
    /// Optimiser steps of that phase that were done before.
    pub step: u64,
    /// The library.
    pub library: LibraryRecord,
}

impl RunInfo {
    /// The library that guided last under the name of `library`, if there was one.
    pub fn latest(&self, library: &LibraryRecord) -> Option<&LibraryRecord> {
        let replaced = self.replaced.iter().map(|replaced| &replaced.library);
        let all = self.plugins.iter().chain(replaced);
        all.rev()
            .find(|known| known.source == library.source && known.plugin == library.plugin)
    }

    /// The devices that it was trained on last.
    pub fn latest_device(&self) -> &str {
        let changed = self.changes.iter().rev().find(|change| change.key == "device");
        changed.and_then(|change| change.to.as_str()).unwrap_or(&self.device)
    }
}

/// A run's record of a library that it loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryRecord {
    /// Instance name.
    pub source: String,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// Version of the contract that it was built with.
    pub abi: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The path where it was found.
    pub path: String,
}

/// `result.json`: what a finished run measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    /// Optimiser steps of the last phase.
    pub steps: u64,
    /// Denoising loss of the moving average on the fixed validation set.
    pub validation_loss: f64,
    /// The same at each of the fixed times: time and loss, in rising order of time.
    pub validation_by_time: Vec<[f64; 2]>,
    /// Mean guidance loss of each source over the last log line.
    pub guidance_loss: BTreeMap<String, f64>,
    /// Median seconds of a step of the last phase.
    pub seconds_per_step: f64,
    /// Time of the last phase, by part.
    pub seconds: Seconds,
    /// Rows and passes of other networks in the last phase.
    pub teacher: TeacherCounters,
    /// Largest resident memory of the process while this run went on, in bytes, if the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Trained parameters of the student.
    pub student_parameters: u64,
    /// Trained parameters of the sources of the last phase.
    pub guidance_parameters: u64,
    /// Share of the last phase's steps whose gradient was clipped.
    pub clipped_share: f64,
    /// Seconds of the steps of earlier phases.
    pub earlier_phases_seconds: f64,
    /// Labels of the sample grid, in its order.
    pub sample_labels: Vec<usize>,
    /// Its cost beside its time.
    pub cost: ComputeCost,
}

/// `failed.json`: why a run stopped; gone when it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailure {
    /// The error as the user saw it.
    pub message: String,
}
