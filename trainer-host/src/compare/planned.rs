//! The runs of a comparison: made ready, then carried out.

use std::path::{Path, absolute};

use super::spread::HandedRun;
use crate::Error;
use sextant_evaluation as evaluation;
use sextant_recipe::{Recipe, RecipeFile, Score};
use sextant_records::{FileError, FolderLock, LockError, Place};
use sextant_records::{RunFolder, RunResult};
use sextant_report::comparison::difference;
use sextant_report::comparison::protocol::{self, Protocol};
use sextant_report::comparison::record::{Record, RecordedVariant};
use sextant_train::{Options, ProgressMode, Run, Runs, check_changes};

/// One variant with one seed, looked at and found able to run. It holds no data: images and features of all that wait would be
/// in memory at once, and in every one's peak.
pub struct PlannedRun {
    name: String,
    folder: RunFolder,
    recipe: Recipe,
    options: Options,
    /// Fingerprint of its data.
    data: String,
    /// Fingerprint of the autoencoder that encodes them.
    encoded_by: Option<String>,
    /// Of the first seed, whose samples the report shows.
    first: bool,
}

/// Every variant with every seed: all variants of the first seed first, so that an early look compares like with like. Writes
/// nothing.
///
/// # Errors
/// Whatever in the recipe or the folder cannot work.
pub fn planned_runs(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
) -> Result<Vec<PlannedRun>, Error> {
    if file.variants.is_empty() {
        return Err(FileError::new(
            file.path(),
            "has no [[variants]]: a comparison needs at least one; `sextant train` runs a recipe without them",
        )
        .into());
    }
    if let Some(twice) = (1..seeds.len()).find(|&i| seeds[..i].contains(&seeds[i])) {
        return Err(Error::Input(format!("--seeds names {} twice", seeds[twice])));
    }
    let given = given(seeds);
    let count = given.len() * file.variants.len();
    let progress = Runs::new(options.progress);
    let mut runs: Vec<PlannedRun> = Vec::new();
    for (index, seed) in given.into_iter().enumerate() {
        for variant in &file.variants {
            let mut recipe = file.variant(variant)?;
            recipe.seed = seed.unwrap_or(recipe.seed);
            let what = match seed {
                None => variant.name.clone(),
                Some(seed) => format!("{}, seed {seed}", variant.name),
            };
            let run_folder = RunFolder::new(folder.join(path(&variant.name, seed)));
            let options = Options {
                label: format!("{what} ({}/{count})", runs.len() + 1),
                // Of several that go on at once, each says its own lines.
                among: (options.progress != ProgressMode::Lines).then(|| progress.add(&recipe, &run_folder)),
                ..options.clone()
            };
            let run = evaluation::prepare(recipe, options.clone());
            let run = run.map_err(|e| Error::Input(format!("variant {:?}: {e}", variant.name)))?;
            // As the libraries resolve it, which is how the folder has it.
            let recipe = run.recipe().clone();
            if run_folder.recipe_path().exists() {
                goes_on(&run_folder, &run)?;
            }
            runs.push(PlannedRun {
                name: variant.name.clone(),
                folder: run_folder,
                recipe,
                options,
                data: run.info().data,
                encoded_by: run.info().encoded_by,
                first: index == 0,
            });
        }
    }
    protocol::same(&runs.iter().map(PlannedRun::protocol).collect::<Vec<_>>())?;
    Ok(runs)
}

/// Content of `comparison.json` for a comparison in `folder`.
///
/// # Errors
/// A base recipe that is none; what lies in the folder already and cannot be read.
pub fn record(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    runs: &[PlannedRun],
    command: String,
) -> Result<Record, Error> {
    let base = file.base()?;
    let mut folders = runs.iter().map(|run| &run.folder);
    let declared = declared(folder, folders.find(|run| run.recipe_path().exists()))?;
    let given = given(seeds);
    let names = |seed| file.variants.iter().map(move |variant| path(&variant.name, seed));
    Ok(Record {
        title: base.title.clone(),
        recipe: file
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        command,
        primary: base.evaluation.primary,
        declared: declared.filter(|score| *score != base.evaluation.primary),
        variants: file
            .variants
            .iter()
            .map(|variant| RecordedVariant {
                name: variant.name.clone(),
                overlay: toml::to_string(&variant.overlay).unwrap_or_default(),
            })
            .collect(),
        runs: given.into_iter().flat_map(names).collect(),
        base: toml::to_string(&base).map_err(|e| Error::Failed(e.to_string()))?,
    })
}

/// The primary score that was declared before the first run in `folder` began; none where none has. `begun` is one that has.
///
/// # Errors
/// A record, or a run's recipe, that cannot be read.
fn declared(folder: &Path, begun: Option<&RunFolder>) -> Result<Option<Score>, Error> {
    let Some(begun) = begun else { return Ok(None) };
    Ok(Some(match Record::read(folder)? {
        Some(record) => record.declared.unwrap_or(record.primary),
        None => begun.recipe()?.evaluation.primary,
    }))
}

/// The seeds that were given; one that is the recipe's own if there are none.
fn given(seeds: &[u64]) -> Vec<Option<u64>> {
    match seeds {
        [] => vec![None],
        seeds => seeds.iter().copied().map(Some).collect(),
    }
}

/// A run's folder below that of the comparison.
fn path(variant: &str, seed: Option<u64>) -> String {
    match seed {
        None => variant.to_owned(),
        Some(seed) => format!("seed-{seed}/{variant}"),
    }
}

/// Checks that the run in a folder can go on as this one; answers what it was trained by, and how far.
fn goes_on(folder: &RunFolder, run: &Run) -> Result<(Recipe, Place), Error> {
    same_training(folder, run.recipe())?;
    let before = folder.trained_by()?;
    let place = folder.place(&before);
    check_changes(folder, &before, run.recipe(), &place)?;
    run.check_files(folder)?;
    Ok((before, place))
}

/// A run that is there already must have been trained by this recipe, or by one of fewer steps: it goes on then.
fn same_training(folder: &RunFolder, recipe: &Recipe) -> Result<(), Error> {
    let mut there = folder.recipe()?;
    if let (Some(then), Some(now)) = (there.phases.last_mut(), recipe.phases.last()) {
        then.steps = then.steps.max(now.steps);
    }
    let (there, here) = (difference::training(&there), difference::training(recipe));
    match difference::first(&there, &here, "recipe") {
        None => Ok(()),
        Some(difference) => Err(FileError::new(
            folder.path(),
            format!(
                "holds a run of another recipe: {} is {} there and {} here; choose another folder with --out",
                difference.key, difference.from, difference.to
            ),
        )
        .into()),
    }
}

impl PlannedRun {
    fn protocol(&self) -> Protocol<'_> {
        Protocol {
            folder: self.folder.path(),
            recipe: &self.recipe,
            data: &self.data,
            encoded_by: self.encoded_by.as_deref(),
            judges: self.recipe.evaluation.quality.as_ref().map(|_| &[][..]),
            reference: None,
        }
    }

    /// What another group of ranks needs to carry it out.
    pub fn handed(&self) -> HandedRun {
        HandedRun {
            name: self.name.clone(),
            folder: absolute(self.folder.path()).unwrap_or_else(|_| self.folder.path().into()),
            recipe: self.recipe.clone(),
            label: self.options.label.clone(),
            first: self.first,
        }
    }

    /// A run that was handed over, by these options.
    pub fn taken(run: HandedRun, options: &Options) -> Self {
        Self {
            name: run.name,
            folder: RunFolder::new(run.folder),
            recipe: run.recipe,
            options: Options {
                label: run.label,
                ..options.clone()
            },
            // Whoever handed it over has compared them.
            data: String::new(),
            encoded_by: None,
            first: run.first,
        }
    }

    /// The variant's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The recipe that it is trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// True for an error after which no run goes on: a request to stop, ranks that are lost.
    pub fn ends_others(&self, error: &Error) -> bool {
        error.is_interrupt() || self.options.ranks.is_broken()
    }

    /// Locks its folder, which is made if it is not there.
    ///
    /// # Errors
    /// Another process that holds it.
    pub fn lock(&self) -> Result<FolderLock, LockError> {
        match self.folder.recipe_path().exists() {
            true => self.folder.lock(),
            false => self.folder.lock_new(),
        }
    }

    /// Trains and evaluates what is left of it, or says why that failed. An error stays in the run's folder, where the report
    /// finds it.
    ///
    /// # Errors
    /// An interrupt, ranks that are lost, and a folder that cannot be written: what must end the comparison. A training or an evaluation
    /// that fails does not end the others.
    pub fn carry_out(&self, _lock: &FolderLock, entering: &impl Fn(&Path)) -> Result<Result<(), Error>, Error> {
        let done = self.enter(entering)?.and_then(|run| {
            run.execute(&self.folder)?;
            Ok(evaluation::of_run(&run, &self.folder, self.first)?)
        });
        Ok(self.survived(done)?.map(|_| ()))
    }

    /// Trains what is left of it, or says why that failed.
    ///
    /// # Errors
    /// As [`carry_out`](Self::carry_out).
    pub fn train(&self, _lock: &FolderLock, entering: &impl Fn(&Path)) -> Result<Result<RunResult, Error>, Error> {
        let trained = self.enter(entering)?.and_then(|run| Ok(run.execute(&self.folder)?));
        self.survived(trained)
    }

    /// Makes the run and its folder ready; or says what is not as it was when the run was looked at, such as a library that was
    /// built anew meanwhile.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    fn enter(&self, entering: &impl Fn(&Path)) -> Result<Result<Run, Error>, Error> {
        let begun = self.folder.recipe_path().exists();
        if begun {
            entering(self.folder.path());
        }
        let run = match evaluation::prepare(self.recipe.clone(), self.options.clone()) {
            Ok(run) => run,
            Err(error) => {
                if begun {
                    self.folder.note_failure(&error);
                }
                return Ok(Err(error.into()));
            }
        };
        if !begun {
            self.folder.create(&self.recipe, &run.info())?;
            entering(self.folder.path());
            return Ok(Ok(run));
        }
        // Again, for another process may have begun it meanwhile.
        let (before, place) = goes_on(&self.folder, &run)?;
        run.adopt(&self.folder, &before, &place)?;
        Ok(Ok(run))
    }

    fn survived<T>(&self, ended: Result<T, Error>) -> Result<Result<T, Error>, Error> {
        match ended {
            Ok(found) => Ok(Ok(found)),
            Err(error) if self.ends_others(&error) => Err(error),
            Err(error) => {
                tracing::error!("variant {}: {error}", self.name);
                Ok(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_recipe::parse_resolved;
    use sextant_records::RunInfo;

    const RECIPE: &str = "data = { kind = \"emoji\", size = 8 }
model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
phases = [{ name = \"train\", steps = 1 }]
evaluation = { primary = \"frechet-distance\", quality = {} }";

    #[test]
    fn a_score_is_declared_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(declared(path, None).unwrap(), None);
        let recipe = parse_resolved(Path::new("recipe.toml"), RECIPE).unwrap();
        let run = RunFolder::new(path.join("none"));
        run.create(&recipe, &RunInfo::default()).unwrap();
        let now = || declared(path, Some(&run)).unwrap();
        assert_eq!(
            now(),
            Some(Score::FrechetDistance),
            "without a record, as the run has it"
        );
        let mut record = Record {
            title: "test".into(),
            recipe: "test.toml".into(),
            command: "sextant compare test.toml".into(),
            primary: Score::KernelDistance,
            declared: None,
            variants: Vec::new(),
            runs: vec!["none".into()],
            base: RECIPE.into(),
        };
        record.write(path).unwrap();
        assert_eq!(now(), Some(Score::KernelDistance));
        // Changed, and changed again.
        record.declared = Some(Score::ValidationLoss);
        record.write(path).unwrap();
        assert_eq!(now(), Some(Score::ValidationLoss));
    }
}
