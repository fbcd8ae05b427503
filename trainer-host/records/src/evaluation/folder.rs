//! `RUN/evaluation`: what was measured so far, one file a part, so that a killed evaluation goes on.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sextant_recipe::{self as recipe, Prediction, QualityRecipe, Recipe, RepresentationsRecipe, SamplerConfig};

use super::{Evaluation, JudgeIdentity, ReferenceIdentity};
use crate::{FileError, FileIdentity, FolderLock, LOCK_FILE, LockError, make_folder, write::leftover_of, write_whole};

/// Raised when the same settings would measure something else than before, so that older measurements are made again.
const EDITION: u32 = 1;

/// The protocol, the first file: what holds one is an evaluation's folder.
const PROTOCOL: &str = "protocol.json";

/// The whole evaluation, the last file.
const RESULT: &str = "evaluation.json";

/// SHA-256 of what is measured: what was found of one network must not be taken for another's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// Of the network that is measured; of samples alone, of their pixels.
    pub network: String,
    /// Of the teacher and its target, where a teacher guided.
    pub teacher: Option<String>,
    /// The file that a network was read from which is no run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileIdentity>,
}

/// SHA-256 of what a network was trained and measured on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFingerprints {
    /// Of images, labels, split and standardisation.
    pub images: String,
    /// Of the split alone.
    pub split: String,
}

/// Conditions of a part of an evaluation. Parts that were measured by another protocol are thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Edition of this program's way to measure.
    edition: u32,
    /// Whose measurements they are.
    pub measured: Fingerprints,
    /// Optimiser steps of the network that is measured.
    pub step: u64,
    /// The run's seed, from which noise and labels come.
    pub seed: u64,
    /// The data that it was measured on.
    pub data: DataFingerprints,
    /// The way from images to noise.
    pub path: recipe::Path,
    /// Quantity that the network predicts.
    pub prediction: Prediction,
    /// Images of the validation set, and times of each.
    pub validation: [usize; 2],
    /// Settings for drawing samples.
    pub sampler: SamplerConfig,
    /// Images of the sample grids, and their columns.
    pub grid: [usize; 2],
    /// The recipe's section.
    pub quality: Option<QualityRecipe>,
    /// The recipe's section.
    pub representations: Option<RepresentationsRecipe>,
    /// The judges.
    pub judges: Vec<JudgeIdentity>,
    /// SHA-256 of what samples are compared with, where that is not the data.
    pub reference: Option<String>,
}

impl Protocol {
    /// The protocol of what was trained by `recipe` for `step` steps.
    pub fn new(
        recipe: &Recipe,
        data: DataFingerprints,
        step: u64,
        measured: Fingerprints,
        judges: Vec<JudgeIdentity>,
        reference: Option<&ReferenceIdentity>,
    ) -> Self {
        let evaluation = &recipe.evaluation;
        Self {
            edition: EDITION,
            measured,
            step,
            seed: recipe.seed,
            data,
            path: recipe.diffusion.path,
            prediction: recipe.diffusion.prediction,
            validation: [evaluation.images, evaluation.times],
            sampler: evaluation.sampler.clone(),
            grid: [evaluation.samples, evaluation.columns],
            quality: evaluation.quality.clone(),
            representations: evaluation.representations.clone(),
            judges,
            reference: reference.map(|reference| reference.fingerprint.clone()),
        }
    }
}

/// The folder. Every file in it is written whole; `protocol.json` is the first and `evaluation.json` the last.
#[derive(Clone, Debug)]
pub struct EvaluationFolder(PathBuf);

impl EvaluationFolder {
    /// The folder of a run.
    pub fn of(run: &Path) -> Self {
        Self(run.join("evaluation"))
    }

    /// A folder anywhere.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The whole evaluation, if it is there and was made by `protocol`.
    pub fn finished(&self, protocol: &Protocol) -> Option<Evaluation> {
        (self.read::<Protocol>(PROTOCOL).as_ref() == Some(protocol)).then(|| self.read(RESULT))?
    }

    /// The whole evaluation, by whatever protocol, if it is there.
    ///
    /// # Errors
    /// A file that is there and cannot be read; JSON has no NaN, so that a score that is none cannot.
    pub fn result(&self) -> Result<Option<Evaluation>, FileError> {
        let path = self.0.join(RESULT);
        match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => {
                let text = read.map_err(|e| FileError::new(&path, e))?;
                serde_json::from_slice(&text)
                    .map(Some)
                    .map_err(|e| FileError::new(&path, e))
            }
        }
    }

    /// Makes the folder if need be, and locks it.
    ///
    /// # Errors
    /// Something in it that no evaluation wrote, before anything is changed; another process that holds it.
    pub fn lock(&self) -> Result<FolderLock, LockError> {
        self.refuse_foreign()?;
        make_folder(&self.0)?;
        FolderLock::take(&self.0)
    }

    /// Makes the folder ready to measure by `protocol`: what was measured by another one goes.
    ///
    /// # Errors
    /// Something in it that no evaluation wrote, before anything is changed; a folder that cannot be written.
    pub fn begin(&self, protocol: &Protocol) -> Result<(), FileError> {
        if self.read::<Protocol>(PROTOCOL).as_ref() == Some(protocol) {
            return Ok(());
        }
        self.refuse_foreign()?;
        make_folder(&self.0)?;
        self.clear()?;
        self.write(PROTOCOL, protocol)
    }

    /// An error for a folder that holds something and is no evaluation's: it would be lost.
    fn refuse_foreign(&self) -> Result<(), FileError> {
        if self.is_ours() {
            return Ok(());
        }
        // The lock, and what a kill leaves of the very first file.
        let ours = |path: &PathBuf| path.ends_with(LOCK_FILE) || leftover_of(path).as_deref() == Some(PROTOCOL);
        match self.entries()?.into_iter().filter(|path| !ours(path)).min() {
            None => Ok(()),
            Some(first) => Err(FileError::new(
                &self.0,
                format!(
                    "holds {:?} and no {PROTOCOL} of an evaluation, so what is in it stays; name an empty folder or a new one with --out",
                    first.file_name().unwrap_or_default()
                ),
            )),
        }
    }

    /// True if an evaluation made it, of whatever edition.
    fn is_ours(&self) -> bool {
        let protocol: Option<Value> = self.read(PROTOCOL);
        protocol.is_some_and(|protocol| protocol.get("edition").is_some())
    }

    /// Takes what was measured away. Killed meanwhile it stays an evaluation's folder, by a protocol that is none.
    fn clear(&self) -> Result<(), FileError> {
        self.write(PROTOCOL, &json!({ "edition": 0 }))?;
        for path in self.entries()?.into_iter().filter(|path| is_measured(path)) {
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(|e| FileError::new(&path, e))?;
        }
        Ok(())
    }

    /// Paths of what lies in it; none where it is not there.
    fn entries(&self) -> Result<Vec<PathBuf>, FileError> {
        let failed = |e: std::io::Error| FileError::new(&self.0, e);
        match fs::read_dir(&self.0) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries
                .map_err(failed)?
                .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
                .collect(),
        }
    }

    /// The content of `NAME.json`, or else what `measure` finds, which is written there.
    ///
    /// # Errors
    /// Those of `measure`, and where the file cannot be written.
    pub fn part<T: Serialize + DeserializeOwned, E: From<FileError>>(
        &self,
        name: &str,
        measure: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let file = format!("{name}.json");
        if let Some(found) = self.read(&file) {
            return Ok(found);
        }
        let found = measure()?;
        self.write(&file, &found)?;
        Ok(found)
    }

    /// Writes a picture or samples, whole.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        write_whole(&path, bytes)
    }

    /// Writes the whole evaluation: from now on it is finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(&self, evaluation: &Evaluation) -> Result<(), FileError> {
        self.write(RESULT, evaluation)
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.0.join(file)).ok()?).ok()
    }

    fn write(&self, file: &str, value: &impl Serialize) -> Result<(), FileError> {
        let path = self.0.join(file);
        let text = serde_json::to_string_pretty(value).map_err(|e| FileError::new(&path, e))?;
        write_whole(&path, format!("{text}\n").as_bytes())
    }
}

/// True if an evaluation writes something of this kind beside its protocol. What else a person has put there stays.
fn is_measured(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let leftover = leftover_of(path);
    match leftover.as_deref().unwrap_or(&name) {
        PROTOCOL => leftover.is_some(),
        "neighbours.png" | "maps" | "grids" => true,
        // Every part, whatever it is called: one that stayed would be taken for the next network's.
        other => other.ends_with(".json") || (other.starts_with("samples-") && other.ends_with(".npz")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(step: u64) -> Protocol {
        protocol_of("one", step)
    }

    fn protocol_of(network: &str, step: u64) -> Protocol {
        let text = "data = { kind = \"emoji\", size = 8 }\nmodel = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }\n\
                    phases = [{ name = \"train\", steps = 1 }]";
        let recipe = sextant_recipe::parse_resolved(Path::new("recipe.toml"), text).unwrap();
        let measured = Fingerprints {
            network: network.into(),
            ..Fingerprints::default()
        };
        Protocol::new(&recipe, DataFingerprints::default(), step, measured, Vec::new(), None)
    }

    #[test]
    fn a_part_is_measured_once_and_goes_with_its_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(folder.path());
        folder.begin(&protocol(5)).unwrap();
        let part = |value: u32| folder.part("some", || Ok::<_, FileError>(value)).unwrap();
        assert_eq!((part(1), part(2)), (1, 1));
        folder.begin(&protocol(5)).unwrap();
        assert_eq!(part(3), 1);
        folder.begin(&protocol(6)).unwrap();
        assert_eq!(part(4), 4);
        folder.begin(&protocol_of("another", 6)).unwrap();
        assert_eq!(part(5), 5);
    }

    #[test]
    fn what_no_evaluation_wrote_is_named_and_stays() {
        let place = tempfile::tempdir().unwrap();
        let (notes, ours) = (place.path().join("notes.txt"), place.path().join(PROTOCOL));
        fs::write(&notes, "mine").unwrap();
        let folder = EvaluationFolder::at(place.path());
        for other in [None, Some("no JSON"), Some("[1]"), Some("{\"name\": \"another's\"}")] {
            if let Some(text) = other {
                fs::write(&ours, text).unwrap();
            }
            let message = folder.begin(&protocol(5)).unwrap_err().to_string();
            assert!(
                message.contains("\"notes.txt\"") && message.contains("an empty folder"),
                "{message}"
            );
            assert_eq!(fs::read_to_string(&notes).unwrap(), "mine");
            assert_eq!(fs::read_to_string(&ours).ok().as_deref(), other);
        }
    }

    #[test]
    fn a_folder_is_locked_if_it_is_ours_to_write() {
        let place = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::at(place.path().join("new"));
        let lock = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(LockError::Held { .. })));
        folder.begin(&protocol(5)).unwrap();
        drop(lock);
        let _again = folder.lock().unwrap();
        // What is somebody else's is not touched.
        let foreign = place.path().join("notes.txt");
        fs::write(&foreign, "mine").unwrap();
        assert!(matches!(
            EvaluationFolder::at(place.path()).lock(),
            Err(LockError::File(_))
        ));
        assert!(!place.path().join(LOCK_FILE).exists());
    }

    #[test]
    fn an_empty_folder_will_do_and_one_of_any_edition_is_emptied() {
        let place = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::at(place.path());
        let within = |name: &str| place.path().join(name);
        // A kill within the first file, and one while an earlier evaluation was taken away.
        fs::write(within("protocol.json.4711.partial"), "{").unwrap();
        folder.begin(&protocol(5)).unwrap();
        assert!(!within("protocol.json.4711.partial").exists());
        folder.write_bytes("maps/one.png", b"one").unwrap();
        folder.finish(&Evaluation::default()).unwrap();
        folder.write(PROTOCOL, &json!({ "edition": 0 })).unwrap();
        assert_eq!(folder.finished(&protocol(5)), None);
        folder.begin(&protocol(5)).unwrap();
        assert!(!within("maps").exists() && !within(RESULT).exists());
        // An edition without a network.
        folder.write(PROTOCOL, &json!({ "edition": 1, "step": 5 })).unwrap();
        folder.write_bytes("floors.json", b"[]").unwrap();
        folder.begin(&protocol(5)).unwrap();
        assert!(!within("floors.json").exists());
    }

    #[test]
    fn a_part_that_fails_or_is_damaged_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(folder.path());
        folder.begin(&protocol(5)).unwrap();
        let failed = folder.part::<u32, _>("some", || Err(FileError::new("some", "no")));
        assert!(failed.is_err());
        folder.write_bytes("some.json", b"{").unwrap();
        assert_eq!(folder.part("some", || Ok::<_, FileError>(7)).unwrap(), 7);
    }

    #[test]
    fn only_the_last_file_makes_an_evaluation_finished() {
        let folder = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(folder.path());
        folder.begin(&protocol(5)).unwrap();
        assert_eq!(folder.finished(&protocol(5)), None);
        folder.finish(&Evaluation::default()).unwrap();
        assert_eq!(folder.finished(&protocol(5)), Some(Evaluation::default()));
        assert_eq!(folder.finished(&protocol(6)), None);
    }
}
