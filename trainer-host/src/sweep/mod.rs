//! The same tuning budget for every variant of a comparison, the baseline's included, so that nobody wins by tuning.
//!
//! A sweep is a comparison whose variants are variant times setting, run on a seed that the comparison does not use. Its end
//! is the recipe of that comparison: every variant with its best setting.

mod outcome;
mod place;
mod setting;
mod text;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use outcome::{Edge, Sweep, Trial, Tuned};
pub use setting::{Choice, Setting, Vary, grid};
pub use text::{markdown, terminal};

use crate::Error;
use crate::compare::{self, Ended, PlannedRun, Purpose};
use sextant_recipe::{Recipe, RecipeFile, Variant};
use sextant_records::{FileError, FolderLock, make_folder, write_whole};
use sextant_train::{Options, Ranks};

/// Score of a trial, whatever decides the comparison: samples of short trials tell settings apart less well.
const SCORE: &str = "validation loss";

/// Request for a sweep.
#[derive(Clone, Debug)]
pub struct Request {
    /// Variations of every variant.
    pub vary: Vec<Vary>,
    /// Variations of one variant, by its name. All variants must come to the same number of settings.
    pub vary_in: Vec<(String, Vary)>,
    /// The most steps of each phase; the recipe's if none.
    pub steps: Option<u64>,
    /// Seed of every run; another than the recipe's.
    pub seed: u64,
    /// The command that makes it again.
    pub command: String,
}

/// Runs what is left of a sweep in `folder`, then writes `sweep.json`, `sweep.md` and, where every variant has a best setting, a
/// recipe with them, whose path is returned. `entering` is told each run's folder; `firsts` are the first ranks of the groups that share
/// the runs. A run whose training fails does not end the
/// others.
///
/// # Errors
/// Bad input and budgets that differ, before anything is written; an interrupt.
pub fn sweep(
    file: &RecipeFile,
    folder: &Path,
    request: &Request,
    options: &Options,
    firsts: &Ranks,
    entering: impl Fn(&Path),
) -> Result<(Sweep, Option<PathBuf>), Error> {
    let base = file.base()?;
    if request.seed == base.seed {
        return Err(Error::Input(format!(
            "--seed {} is the recipe's own: settings chosen on a seed look better there than they are. Choose another",
            request.seed
        )));
    }
    let settings = settings(file, request)?;
    let mut runs = file.clone();
    runs.variants.clear();
    for (variant, settings) in file.variants.iter().zip(&settings) {
        for setting in settings {
            runs.variants.push(trial(file, variant, setting, request.steps)?);
        }
    }
    let runs = compare::planned_runs(&runs, folder, &[request.seed], options)?;
    let steps = same_budget(&runs)?;
    // All of it: a sweep ends in one choice among all of its runs.
    make_folder(folder)?;
    let _lock = FolderLock::take(folder)?;
    let ends = compare::spread(firsts, Purpose::Sweep, &runs, || Ok(()), &entering)?;
    let all_settings = settings.iter().flatten();
    let trials = runs.iter().zip(ends).zip(all_settings).map(|((run, ended), setting)| {
        let result = run.folder().result().filter(|_| ended == Ended::Done);
        Trial {
            setting: setting.clone(),
            score: result.map(|result| result.validation_loss),
            failure: match ended {
                Ended::Done => None,
                Ended::Failed(reason) | Ended::Held(reason) => Some(reason),
            },
        }
    });
    let trials: Vec<Trial> = trials.collect();
    let budget = settings[0].len();
    let chunks = trials.chunks(budget).zip(runs.chunks(budget));
    let variants = file.variants.iter().zip(chunks).map(|(variant, (trials, runs))| {
        let phases = &runs[0].recipe().phases;
        let earlier = phases[..phases.len() - 1].iter().map(|phase| phase.steps).sum();
        Tuned::new(variant.name.clone(), earlier, trials.to_vec())
    });
    let sweep = Sweep {
        title: base.title.clone(),
        command: request.command.clone(),
        seed: request.seed,
        score: SCORE,
        steps,
        budget,
        variants: variants.collect(),
    };
    let text = serde_json::to_string_pretty(&sweep).map_err(|e| Error::Failed(e.to_string()))?;
    write_whole(&folder.join("sweep.json"), format!("{text}\n").as_bytes())?;
    write_whole(&folder.join("sweep.md"), markdown(&sweep).as_bytes())?;
    let tuned = write_tuned(file, folder, &sweep)?;
    Ok((sweep, tuned))
}

/// The settings of each variant.
fn settings(file: &RecipeFile, request: &Request) -> Result<Vec<Vec<Setting>>, Error> {
    if file.variants.is_empty() {
        return Err(FileError::new(
            file.path(),
            "has no [[variants]]: a sweep gives each of them the same settings; for one training, use [[variants]] with a name alone",
        ).into());
    }
    if request.vary.is_empty() && request.vary_in.is_empty() {
        return Err(Error::Input(
            "nothing is varied: give --lr 3e-4,1e-3,3e-3, or --vary KEY=VALUE,VALUE".into(),
        ));
    }
    for (name, _) in &request.vary_in {
        file.find_variant(name)?;
    }
    let of = |variant: &Variant| {
        let own = request.vary_in.iter().filter(|(name, _)| *name == variant.name);
        let varied: Vec<Vary> = request.vary.iter().chain(own.map(|(_, vary)| vary)).cloned().collect();
        match (1..varied.len()).find(|&i| varied[..i].iter().any(|other| other.key == varied[i].key)) {
            Some(twice) => Err(Error::Input(format!(
                "{} is varied twice in variant {:?}; give all its values at once",
                varied[twice].key, variant.name
            ))),
            None => Ok(grid(&varied)),
        }
    };
    let settings = file.variants.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    if settings.iter().any(|other| other.len() != settings[0].len()) {
        let counts = file.variants.iter().zip(&settings);
        let counts: Vec<String> = counts
            .map(|(variant, of)| format!("{} {}", variant.name, of.len()))
            .collect();
        return Err(Error::Input(format!(
            "the variants have different numbers of settings ({}), so that who is tried more would win by it; \
             give each the same number with --vary-in",
            counts.join(", ")
        )));
    }
    Ok(settings)
}

/// A variant with one setting, cut to `steps`, and with no more evaluation than the score needs.
fn trial(file: &RecipeFile, variant: &Variant, setting: &Setting, steps: Option<u64>) -> Result<Variant, Error> {
    let mut trial = tuned(file, variant, setting)?;
    let recipe = file.variant(&trial);
    let recipe = recipe.map_err(|e| Error::Input(format!("the setting {}: {e}", setting.words())))?;
    let merged = file.merged(&trial);
    let mut set = |key: &str, value: Value| {
        place::set(&mut trial.overlay, &merged, key, &value).map_err(|e| Error::Input(e.to_string()))
    };
    if let Some(most) = steps {
        for (index, phase) in recipe.phases.iter().enumerate() {
            set(&format!("phases.{index}.steps"), json!(phase.steps.min(most)))?;
        }
    }
    for section in ["quality", "representations"] {
        set(&format!("evaluation.{section}"), Value::Null)?;
    }
    trial.name = format!("{}/{}", variant.name, setting.folder());
    Ok(trial)
}

/// A variant with a setting in its overlay.
fn tuned(file: &RecipeFile, variant: &Variant, setting: &Setting) -> Result<Variant, Error> {
    let mut tuned = variant.clone();
    for choice in setting.choices() {
        let merged = file.merged(&tuned);
        place::set(&mut tuned.overlay, &merged, &choice.key, &choice.value)
            .map_err(|reason| Error::Input(format!("variant {:?}: {reason}", variant.name)))?;
    }
    Ok(tuned)
}

/// Steps of the last phase, which every run must have, of the same batch, in a folder of its own.
fn same_budget(runs: &[PlannedRun]) -> Result<u64, Error> {
    let budget = |recipe: &Recipe| {
        let steps = recipe.phases.last().map_or(0, |phase| phase.steps);
        (steps, recipe.optimiser.batch)
    };
    let first = &runs[0];
    let (steps, batch) = budget(first.recipe());
    for (index, run) in runs.iter().enumerate() {
        let (other_steps, other_batch) = budget(run.recipe());
        if (other_steps, other_batch) != (steps, batch) {
            return Err(Error::Input(format!(
                "budgets differ: {} has {steps} steps of {batch} samples and {} has {other_steps} of {other_batch}; \
                 what costs more cannot be compared with what costs less",
                first.folder().path().display(),
                run.folder().path().display()
            )));
        }
        if runs[..index].iter().any(|earlier| earlier.folder() == run.folder()) {
            return Err(FileError::new(
                run.folder().path(),
                "would hold two settings, whose values read alike as a folder's name; vary one of them less",
            )
            .into());
        }
    }
    Ok(steps)
}

/// The recipe of the comparison, with its own steps and evaluation: every variant with its best setting.
fn write_tuned(file: &RecipeFile, folder: &Path, sweep: &Sweep) -> Result<Option<PathBuf>, Error> {
    let best: Option<Vec<&Setting>> = sweep.variants.iter().map(Tuned::best_setting).collect();
    let Some(best) = best else { return Ok(None) };
    let mut whole = file.clone();
    for (variant, setting) in whole.variants.iter_mut().zip(best) {
        *variant = tuned(file, variant, setting)?;
    }
    let stem = file.path().file_stem().unwrap_or_default().to_string_lossy();
    let path = folder.join(format!("{stem}-tuned.toml"));
    let text = format!(
        "# Every variant with the best of its {} settings by {}, as found by\n#   {}\n# on seed {}. Compare them on other seeds:\n#   sextant compare {} --seeds 0,1,2\n\n{}",
        sweep.budget,
        sweep.score,
        sweep.command,
        sweep.seed,
        path.display(),
        whole.to_toml()?
    );
    write_whole(&path, text.as_bytes())?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
        [data]
        kind = "emoji"
        [model]
        patch_size = 4
        hidden_size = 32
        depth = 2
        num_heads = 2
        [evaluation.quality]
        [[phases]]
        name = "train"
        steps = 300
        guidance = [{ plugin = "none" }]
        [[variants]]
        name = "none"
        [[variants]]
        name = "two"
        phases = [{ name = "align", steps = 50 }, { name = "train", guidance = [{ plugin = "repa" }] }]
    "#;

    fn file() -> RecipeFile {
        sextant_recipe::parse(Path::new("test.toml"), RECIPE, &[]).unwrap()
    }

    fn request(vary: &[&str], vary_in: &[(&str, &str)]) -> Request {
        let parse = |text: &str| Vary::parse(text).unwrap();
        Request {
            vary: vary.iter().map(|text| parse(text)).collect(),
            vary_in: vary_in
                .iter()
                .map(|(name, text)| (name.to_string(), parse(text)))
                .collect(),
            steps: Some(100),
            seed: 1000,
            command: String::new(),
        }
    }

    #[test]
    fn a_trial_has_its_setting_fewer_steps_and_no_more_evaluation() {
        let file = file();
        let setting = &grid(&[Vary::parse("phases.train.guidance.0.coefficient=0.25").unwrap()])[0];
        let trial = trial(&file, &file.variants[1], setting, Some(100)).unwrap();
        assert_eq!(trial.name, "two/coefficient=0.25");
        let recipe = file.variant(&trial).unwrap();
        let phases: Vec<_> = recipe.phases.iter().map(|p| (p.name.as_str(), p.steps)).collect();
        assert_eq!(phases, [("align", 50), ("train", 100)]);
        assert_eq!(recipe.phases[1].guidance[0].coefficient, Some(0.25));
        assert_eq!(recipe.phases[1].guidance[0].plugin, "repa");
        assert!(recipe.evaluation.quality.is_none());
    }

    #[test]
    fn every_variant_gets_the_same_number_of_settings() {
        let lr = "optimiser.lr=1e-4,1e-3";
        let count = |request: &Request| settings(&file(), request).map(|s| s.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(count(&request(&[lr], &[])).unwrap(), [2, 2]);
        let key = "phases.train.guidance.0.coefficient=0.5,1.0";
        let error = count(&request(&[lr], &[("two", key)])).unwrap_err().to_string();
        assert!(error.contains("(none 2, two 4)"), "{error}");
        // A key of its own for one, another for the other.
        assert_eq!(count(&request(&[], &[("two", key), ("none", lr)])).unwrap(), [2, 2]);
    }

    #[test]
    fn what_is_varied_twice_or_nowhere_is_refused() {
        let lr = "optimiser.lr=1e-4,1e-3";
        for (request, words) in [
            (request(&[], &[]), "nothing is varied"),
            (request(&[lr, lr], &[]), "varied twice"),
            (request(&[], &[("three", lr)]), "there is no variant \"three\""),
        ] {
            let error = settings(&file(), &request).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_tuned_recipe_is_the_comparison_with_the_best_settings() {
        let folder = tempfile::tempdir().unwrap();
        let file = file();
        let settings = grid(&[Vary::parse("optimiser.lr=1e-4,1e-3").unwrap()]);
        let tuned = |name: &str, scores: [f64; 2]| {
            let trials = settings.iter().zip(scores).map(|(setting, score)| Trial {
                setting: setting.clone(),
                score: Some(score),
                failure: None,
            });
            Tuned::new(name.into(), 0, trials.collect())
        };
        let sweep = Sweep {
            title: String::new(),
            command: "sextant sweep".into(),
            seed: 1000,
            score: "validation loss",
            steps: 100,
            budget: 2,
            variants: vec![tuned("none", [0.5, 0.6]), tuned("two", [0.5, 0.4])],
        };
        let path = write_tuned(&file, folder.path(), &sweep).unwrap().unwrap();
        assert!(path.ends_with("test-tuned.toml"));
        let read = sextant_recipe::load(&path, &[]).unwrap();
        let recipes: Vec<_> = read.variants.iter().map(|v| read.variant(v).unwrap()).collect();
        assert_eq!(recipes.iter().map(|r| r.optimiser.lr).collect::<Vec<_>>(), [1e-4, 1e-3]);
        assert_eq!(recipes[1].phases[1].steps, 300);
        assert!(recipes[0].evaluation.quality.is_some());
    }
}
