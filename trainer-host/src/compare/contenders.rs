//! The runs of a comparison: made ready, then carried out.

use std::path::Path;

use super::difference;
use super::protocol::{self, Protocol};
use super::record::{Record, RecordedVariant};
use crate::error::Error;
use crate::evaluation;
use crate::recipe::{Recipe, RecipeFile, Score};
use crate::train::{Options, Run, RunFolder, RunResult, Tour};

/// One variant with one seed, ready to run.
pub struct Contender {
    name: String,
    folder: RunFolder,
    run: Run,
    /// Of the first seed, whose samples the report shows.
    first: bool,
}

/// Every variant with every seed: all variants of the first seed first, so that an early look compares like with like. Writes
/// nothing.
///
/// # Errors
/// Whatever in the recipe or the folder cannot work.
pub fn contenders(file: &RecipeFile, folder: &Path, seeds: &[u64], options: &Options) -> Result<Vec<Contender>, Error> {
    if file.variants.is_empty() {
        return Err(Error::file(
            file.path(),
            "has no [[variants]]: a comparison needs at least one; `sextant train` runs a recipe without them",
        ));
    }
    if let Some(twice) = (1..seeds.len()).find(|&i| seeds[..i].contains(&seeds[i])) {
        return Err(Error::Input(format!("--seeds names {} twice", seeds[twice])));
    }
    let given = given(seeds);
    let count = given.len() * file.variants.len();
    let tour = Tour::new(options.progress);
    let mut contenders: Vec<Contender> = Vec::new();
    for (index, seed) in given.into_iter().enumerate() {
        for variant in &file.variants {
            let mut recipe = file.variant(variant)?;
            recipe.seed = seed.unwrap_or(recipe.seed);
            let what = match seed {
                None => variant.name.clone(),
                Some(seed) => format!("{}, seed {seed}", variant.name),
            };
            let run_folder = RunFolder::new(folder.join(path(&variant.name, seed)));
            same_training(&run_folder, &recipe)?;
            let options = Options {
                label: format!("{what} ({}/{count})", contenders.len() + 1),
                stage: Some(tour.stage(&variant.name, &recipe, &run_folder)),
                ..options.clone()
            };
            let run = Run::prepare(recipe, options).and_then(|run| evaluation::check(&run).map(|()| run));
            let run = run.map_err(|e| Error::Input(format!("variant {:?}: {e}", variant.name)))?;
            contenders.push(Contender {
                name: variant.name.clone(),
                folder: run_folder,
                run,
                first: index == 0,
            });
        }
    }
    protocol::same(&contenders.iter().map(Contender::protocol).collect::<Vec<_>>())?;
    Ok(contenders)
}

/// What `comparison.json` says of a comparison. `declared` is the primary score that was declared before its first run, if one
/// has begun.
///
/// # Errors
/// A base recipe that is none.
pub fn record(file: &RecipeFile, seeds: &[u64], declared: Option<Score>, command: String) -> Result<Record, Error> {
    let base = file.base()?;
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
        base: toml::to_string(&base).map_err(|e| Error::Training(e.to_string()))?,
    })
}

/// The primary score that was declared before the first run in `folder` began; none where none has.
///
/// # Errors
/// A record, or a run's recipe, that cannot be read.
pub fn declared(folder: &Path, contenders: &[Contender]) -> Result<Option<Score>, Error> {
    let mut begun = contenders.iter().filter(|c| c.folder.recipe_path().exists());
    let Some(first) = begun.next() else { return Ok(None) };
    Ok(Some(match Record::read(folder)? {
        Some(record) => record.declared.unwrap_or(record.primary),
        None => first.folder.recipe()?.evaluation.primary,
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

/// A run that is there already must have been trained by this recipe.
fn same_training(folder: &RunFolder, recipe: &Recipe) -> Result<(), Error> {
    if !folder.recipe_path().exists() {
        return Ok(());
    }
    let (there, here) = (difference::training(&folder.recipe()?)?, difference::training(recipe)?);
    match difference::first(&there, &here, "recipe") {
        None => Ok(()),
        Some(difference) => Err(Error::file(
            folder.path(),
            format!(
                "holds a run of another recipe: {} is {} there and {} here; choose another folder with --out",
                difference.key, difference.first, difference.second
            ),
        )),
    }
}

impl Contender {
    fn protocol(&self) -> Protocol<'_> {
        Protocol {
            folder: self.folder.path(),
            recipe: self.run.recipe(),
            data: &self.run.info().data,
            judges: self.run.recipe().evaluation.quality.as_ref().map(|_| &[][..]),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// What it is trained by.
    pub fn recipe(&self) -> &Recipe {
        self.run.recipe()
    }

    /// Trains and evaluates what is left of it. An error stays in the run's folder, where the report finds it.
    ///
    /// # Errors
    /// An interrupt, and a folder that cannot be written: what must end the comparison. A training or an evaluation that
    /// fails does not end the others.
    pub fn carry_out(&self, entering: &impl Fn(&Path)) -> Result<(), Error> {
        self.enter(entering)?;
        let trained = self.run.execute(&self.folder);
        self.survived(trained.and_then(|_| evaluation::of_run(&self.run, &self.folder, self.first)))
            .map(|_| ())
    }

    /// Trains what is left of it, or says why that failed.
    ///
    /// # Errors
    /// As [`carry_out`](Self::carry_out).
    pub fn train(&self, entering: &impl Fn(&Path)) -> Result<Result<RunResult, String>, Error> {
        self.enter(entering)?;
        self.survived(self.run.execute(&self.folder))
    }

    fn enter(&self, entering: &impl Fn(&Path)) -> Result<(), Error> {
        let recipe = self.run.recipe();
        if !self.folder.recipe_path().exists() {
            self.folder.create(recipe, self.run.info())?;
            entering(self.folder.path());
            return Ok(());
        }
        let before = self.folder.recipe()?;
        if difference::value(&before)? != difference::value(recipe)? {
            let grid = |recipe: &Recipe| {
                let evaluation = recipe.evaluation.clone();
                (evaluation.samples, evaluation.columns, evaluation.sampler)
            };
            if grid(&before) != grid(recipe) {
                self.folder.forget_samples()?;
            }
            self.folder.replace_recipe(recipe)?;
        }
        entering(self.folder.path());
        Ok(())
    }

    fn survived<T>(&self, ended: Result<T, Error>) -> Result<Result<T, String>, Error> {
        match ended {
            Ok(found) => Ok(Ok(found)),
            Err(interrupted @ Error::Interrupted { .. }) => Err(interrupted),
            Err(error) => {
                tracing::error!("variant {}: {error}", self.name);
                Ok(Err(error.to_string()))
            }
        }
    }
}
