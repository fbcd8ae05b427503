//! `RUN/evaluation`: what was measured so far, one file a part, so that a killed evaluation goes on.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Evaluation, JudgeIdentity, QualityRecipe, RepresentationsRecipe};
use crate::diffusion::SamplerConfig;
use crate::error::Error;
use crate::train::checkpoint::write_whole;

/// Raised when the same settings would measure something else than before, so that older measurements are made again.
const EDITION: u32 = 1;

/// The whole evaluation, the last file.
const RESULT: &str = "evaluation.json";

/// What a part of an evaluation depends on. Parts that were measured by another protocol are thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Edition of this program's way to measure.
    edition: u32,
    /// Optimiser steps of the network that is measured.
    pub step: u64,
    /// The run's seed, from which noise and labels come.
    pub seed: u64,
    /// Fingerprint of the data.
    pub data: String,
    /// Fingerprint of its split.
    pub split: String,
    /// How samples are drawn.
    pub sampler: SamplerConfig,
    /// Images of the sample grids, and their columns.
    pub grid: [usize; 2],
    /// The recipe's section.
    pub quality: Option<QualityRecipe>,
    /// The recipe's section.
    pub representations: Option<RepresentationsRecipe>,
    /// Who judges.
    pub judges: Vec<JudgeIdentity>,
}

impl Protocol {
    /// The protocol of a run that ends at `step`.
    pub fn new(
        recipe: &crate::recipe::Recipe,
        dataset: &crate::data::Dataset,
        step: u64,
        judges: Vec<JudgeIdentity>,
    ) -> Self {
        let evaluation = &recipe.evaluation;
        Self {
            edition: EDITION,
            step,
            seed: recipe.seed,
            data: dataset.fingerprint().into(),
            split: dataset.split_fingerprint(),
            sampler: evaluation.sampler.clone(),
            grid: [evaluation.samples, evaluation.columns],
            quality: evaluation.quality.clone(),
            representations: evaluation.representations.clone(),
            judges,
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
        (self.read::<Protocol>("protocol.json").as_ref() == Some(protocol)).then(|| self.read(RESULT))?
    }

    /// The whole evaluation, by whatever protocol, if it is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read; JSON has no NaN, so that a score that is none cannot.
    pub fn result(&self) -> Result<Option<Evaluation>, Error> {
        let path = self.0.join(RESULT);
        match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => {
                let text = read.map_err(|e| Error::file(&path, e))?;
                serde_json::from_slice(&text)
                    .map(Some)
                    .map_err(|e| Error::file(&path, e))
            }
        }
    }

    /// Makes the folder ready to measure by `protocol`: what was measured by another one goes.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn begin(&self, protocol: &Protocol) -> Result<(), Error> {
        if self.read::<Protocol>("protocol.json").as_ref() == Some(protocol) {
            return Ok(());
        }
        if self.0.exists() {
            fs::remove_dir_all(&self.0).map_err(|e| Error::file(&self.0, e))?;
        }
        fs::create_dir_all(&self.0).map_err(|e| Error::file(&self.0, e))?;
        self.write("protocol.json", protocol)
    }

    /// What `NAME.json` holds, or else what `measure` finds, which is written there.
    ///
    /// # Errors
    /// Those of `measure`, and where the file cannot be written.
    pub fn part<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        measure: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
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
    /// Where it cannot be written.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        write_whole(&path, bytes)
    }

    /// Writes the whole evaluation: from now on it is finished.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(&self, evaluation: &Evaluation) -> Result<(), Error> {
        self.write(RESULT, evaluation)
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.0.join(file)).ok()?).ok()
    }

    fn write(&self, file: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.0.join(file);
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::file(&path, e))?;
        write_whole(&path, format!("{text}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataConfig, load};

    fn protocol(step: u64) -> Protocol {
        let dataset = load(&DataConfig::Emoji { size: 8, split_seed: 0 }).unwrap();
        let text = "data = { kind = \"emoji\", size = 8 }\nmodel = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }\n\
                    phases = [{ name = \"train\", steps = 1 }]";
        let recipe = crate::recipe::parse_resolved(Path::new("recipe.toml"), text).unwrap();
        Protocol::new(&recipe, &dataset, step, Vec::new())
    }

    #[test]
    fn a_part_is_measured_once_and_goes_with_its_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(folder.path());
        folder.begin(&protocol(5)).unwrap();
        let part = |value: u32| folder.part("some", || Ok(value)).unwrap();
        assert_eq!((part(1), part(2)), (1, 1));
        folder.begin(&protocol(5)).unwrap();
        assert_eq!(part(3), 1);
        folder.begin(&protocol(6)).unwrap();
        assert_eq!(part(4), 4);
    }

    #[test]
    fn a_part_that_fails_or_is_damaged_is_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(folder.path());
        folder.begin(&protocol(5)).unwrap();
        assert!(
            folder
                .part::<u32>("some", || Err(Error::Training("no".into())))
                .is_err()
        );
        folder.write_bytes("some.json", b"{").unwrap();
        assert_eq!(folder.part("some", || Ok(7)).unwrap(), 7);
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
