//! One run as it lies on disk.

use std::fs;

use serde_json::Value;

use crate::Error;
use sextant_recipe::Recipe;
use sextant_records::evaluation::{Evaluation, EvaluationFolder};
use sextant_records::journal::{self, Line};
use sextant_records::{FileError, FolderLock};
use sextant_records::{RunFolder, RunInfo, RunResult};

/// One variant with one seed, read from its folder, whatever became of it. Reading needs neither plugins nor a device.
#[derive(Debug)]
pub struct Entry {
    /// The variant's name.
    pub variant: String,
    /// The run's seed.
    pub seed: u64,
    /// Its folder.
    pub folder: RunFolder,
    /// Its resolved recipe.
    pub recipe: Recipe,
    /// Facts on what ran, where, on which data.
    pub info: RunInfo,
    /// Its end.
    pub ending: Ending,
    /// A fault after the training, and the reason why there is no evaluation.
    pub trouble: Option<String>,
    /// The log of the last phase.
    pub log: Vec<Line>,
    /// The evaluation of its network.
    pub evaluation: Option<Evaluation>,
}

/// The end of a run.
#[derive(Debug)]
pub enum Ending {
    /// It was trained to its end.
    Finished(Box<RunResult>),
    /// It ended with this error.
    Failed(String),
    /// It stopped; the last step of the last phase.
    Interrupted(u64),
    /// Another process is at it; the last step of the last phase so far.
    Running(u64),
}

impl Entry {
    /// Reads the run in `folder`.
    ///
    /// # Errors
    /// A folder without recipe or facts, or with a result that cannot be read.
    pub fn read(variant: &str, folder: RunFolder) -> Result<Self, Error> {
        let recipe = folder.unedited()?;
        let info = folder.info()?;
        let phase = recipe.phases.last().map(|phase| phase.name.clone()).unwrap_or_default();
        let mut log = journal::read(&folder.metrics());
        log.retain(|line| line.phase == phase);
        let failure = folder.failure().map(|failure| failure.message);
        let mut trouble = None;
        let ending = match (result(&folder)?, failure) {
            (Some(Ending::Finished(result)), failure) => {
                trouble = failure.map(|message| format!("trained, and then failed: {message}"));
                Ending::Finished(result)
            }
            (Some(other), _) => other,
            (None, Some(message)) => Ending::Failed(message),
            (None, None) => {
                let logged = log.last().map_or(0, |line| line.step);
                let saved = folder.latest(&phase).map_or(0, |saved| saved.step);
                let step = logged.max(saved);
                match FolderLock::is_held(folder.path()) {
                    true => Ending::Running(step),
                    false => Ending::Interrupted(step),
                }
            }
        };
        let mut evaluation = EvaluationFolder::of(folder.path()).result().unwrap_or_else(|error| {
            trouble.get_or_insert(format!("its evaluation cannot be read: {error}"));
            None
        });
        if let (Ending::Finished(result), Some(measured)) = (&ending, &evaluation)
            && measured.step != result.steps
        {
            let (then, now) = (measured.step, result.steps);
            trouble.get_or_insert(format!(
                "its evaluation is of step {then} and not of step {now}; `sextant compare` or `sextant eval` measures it again"
            ));
            evaluation = None;
        }
        if !matches!(ending, Ending::Finished(_)) {
            // Of the network with which the run had ended before it went on.
            evaluation = None;
        }
        Ok(Self {
            variant: variant.to_owned(),
            seed: recipe.seed,
            folder,
            recipe,
            info,
            ending,
            trouble,
            log,
            evaluation,
        })
    }

    /// The result, if it was trained to its end.
    pub fn result(&self) -> Option<&RunResult> {
        match &self.ending {
            Ending::Finished(result) => Some(result),
            _ => None,
        }
    }

    /// Tells that something of it could not be measured.
    pub fn has_trouble(&self) -> bool {
        self.trouble.is_some() || self.evaluation.as_ref().is_some_and(|e| e.trouble.is_some())
    }

    /// Tells that judges have scored its samples.
    pub fn is_judged(&self) -> bool {
        self.evaluation.as_ref().is_some_and(|e| !e.quality.is_empty())
    }

    /// The first logged value of the training that is not a number, by name and step. A source's own metrics may be what
    /// they like.
    pub fn unsound(&self) -> Option<(&str, u64)> {
        let of_training =
            |name: &str| ["denoising", "validation", "grad_norm"].contains(&name) || name.starts_with("guidance.");
        self.log.iter().find_map(|line| {
            let mut values = line.values.iter();
            let (name, _) = values.find(|(name, value)| !value.is_finite() && of_training(name))?;
            Some((name.as_str(), line.step))
        })
    }

    /// Tells that no phase is guided.
    pub fn is_unguided(&self) -> bool {
        unguided(&self.recipe)
    }
}

/// Tells that no phase of a recipe is guided.
pub fn unguided(recipe: &Recipe) -> bool {
    let mut sources = recipe.phases.iter().flat_map(|p| &p.guidance);
    sources.all(|s| s.plugin == "none" || s.coefficient() == 0.0)
}

/// `result.json`, if it is there; a loss that is not a number, which JSON cannot hold, is a failure in words.
fn result(folder: &RunFolder) -> Result<Option<Ending>, Error> {
    let path = folder.path().join("result.json");
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| FileError::new(&path, e))?,
    };
    let wrong = |e: serde_json::Error| FileError::new(&path, format!("is not a result: {e}")).into();
    let value: Value = serde_json::from_str(&text).map_err(wrong)?;
    if value.get("validation_loss").is_some_and(Value::is_null) {
        return Ok(Some(Ending::Failed("its validation loss is not a number".into())));
    }
    serde_json::from_value(value)
        .map(|result| Some(Ending::Finished(Box::new(result))))
        .map_err(wrong)
}
