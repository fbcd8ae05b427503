//! `sextant train --resume`: a run goes on, with what may change of it, or another one begins at one of its checkpoints.

use std::path::Path;

use super::TrainArgs;
use super::commands::options_of;
use crate::Error;
use sextant_evaluation as evaluation;
use sextant_recipe::{Recipe, changes_training};
use sextant_records::checkpoint::list;
use sextant_records::{FileError, FolderLock, Place, RunFolder};
use sextant_train::checkpoint::SavedTensors;
use sextant_train::{Options, Run, check_changes, explained};

/// The run that `--resume` names, ready to go on, with its folder and the lock of that. Everything is checked before anything is written.
pub fn ready(args: &TrainArgs, resume: &Path) -> Result<(Run, RunFolder, Option<FolderLock>), Error> {
    let (folder, at) = parted(resume);
    let out = match (&args.out, at) {
        (Some(out), Some(_)) => Some(RunFolder::new(out)),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Error::Input(format!(
                "--resume {}: what comes after that checkpoint would be lost; name a new folder with --out, in which a copy goes on from there",
                resume.display()
            )));
        }
        (Some(_), None) => {
            return Err(Error::Input(
                "a run goes on in its own folder; --out goes with --resume RUN@STEP, which begins another one at a checkpoint".into(),
            ));
        }
    };
    // Before anything of it is read: another process may be changing it.
    let own = out.is_none().then(|| folder.lock()).transpose()?;
    let before = folder.trained_by()?;
    let options = options_of(args, out.as_ref().unwrap_or(&folder))?;
    let place = match at {
        None => newest(&folder, &before, &options, &changes(args))?,
        Some(at) => checkpoint(&folder, &before, at)?,
    };
    let mut sets = args.set.clone();
    if let Some(steps) = args.steps {
        sets.push(format!(
            "phases.{}.steps={steps}",
            before.phases.len().saturating_sub(1)
        ));
    }
    let edited = folder.recipe_with(&sets)?;
    check_changes(&folder, &before, &edited, &place)?;
    let recipe = folder.without(edited.clone(), &args.without)?;
    if is_over(&edited, &place) && changes_training(&edited, &recipe) {
        return Err(FileError::new(folder.path(), "all steps are done: --without would change nothing").into());
    }
    let run = evaluation::prepare(recipe, options)?;
    run.check_files(&folder)?;
    let (folder, lock) = match out {
        None => (folder, own),
        Some(out) => {
            let lock = out.lock_new()?;
            folder.fork(&out, &place)?;
            (out, Some(lock))
        }
    };
    run.adopt(&folder, &before, &place)?;
    Ok((run, folder, lock))
}

/// The recipe that `--resume` goes on by, as it stands.
///
/// # Errors
/// A folder that is no run, keys that it cannot be given.
pub fn recipe(args: &TrainArgs, resume: &Path) -> Result<Recipe, Error> {
    let (folder, _) = parted(resume);
    Ok(folder.recipe_with(&args.set)?)
}

/// True if a run that is at `place` has done all of a recipe's steps.
fn is_over(recipe: &Recipe, place: &Place) -> bool {
    let last = recipe.phases.last();
    last.is_some_and(|phase| phase.name == place.phase && place.step >= phase.steps)
}

/// A run, and what follows its last `@`; a folder may have one in its name.
fn parted(resume: &Path) -> (RunFolder, Option<&str>) {
    let whole = RunFolder::new(resume);
    match resume.to_str().and_then(|text| text.rsplit_once('@')) {
        Some((run, at)) if !whole.recipe_path().exists() => (RunFolder::new(run), Some(at)),
        _ => (whole, None),
    }
}

/// The changes that are asked for of a run, as words of a command.
fn changes(args: &TrainArgs) -> Vec<String> {
    let steps = args.steps.map(|steps| steps.to_string());
    let option = |name: &str, value: &String| [name.to_owned(), value.clone()];
    let steps = steps.iter().flat_map(|steps| option("--steps", steps));
    let sets = args.set.iter().flat_map(|set| option("--set", set));
    let without = args.without.iter().flat_map(|name| option("--without", name));
    steps.chain(sets).chain(without).collect()
}

/// The place at which a run goes on by itself. A checkpoint that is damaged is found here, before the run is changed; the command that
/// is advised makes the `changes` too.
fn newest(folder: &RunFolder, recipe: &Recipe, options: &Options, changes: &[String]) -> Result<Place, Error> {
    let place = folder.place(recipe);
    if let Some(saved) = folder.latest(&place.phase) {
        saved
            .read_all()
            .map_err(|error| explained(error, folder, recipe, options, changes))?;
    }
    Ok(place)
}

/// The place of a whole checkpoint that `STEP` (of the last phase that has it) or `PHASE:STEP` names.
fn checkpoint(folder: &RunFolder, recipe: &Recipe, at: &str) -> Result<Place, Error> {
    let (phase, step) = match at.split_once(':') {
        Some((phase, step)) => (Some(phase), step),
        None => (None, at),
    };
    let step: u64 = step.parse().map_err(|_| {
        Error::Input(format!(
            "--resume RUN@{at}: write RUN@STEP or RUN@PHASE:STEP, STEP being a number of steps"
        ))
    })?;
    let named = recipe
        .phases
        .iter()
        .rev()
        .filter(|named| phase.is_none_or(|phase| named.name == phase));
    let there = named.flat_map(|phase| {
        list(&folder.phase(&phase.name))
            .into_iter()
            .map(move |saved| (&phase.name, saved))
    });
    let there: Vec<_> = there.collect();
    let found = there.iter().find(|(_, saved)| saved.step == step);
    let (phase, saved) = found.ok_or_else(|| {
        let kept: Vec<String> = there
            .iter()
            .map(|(phase, saved)| format!("{phase}:{}", saved.step))
            .collect();
        let kept = if kept.is_empty() {
            "none".to_owned()
        } else {
            kept.join(", ")
        };
        FileError::new(folder.path(), format!("has no checkpoint {at}; kept are: {kept}"))
    })?;
    saved.read_all()?;
    Ok(Place {
        phase: (*phase).clone(),
        step,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "data = { kind = \"emoji\", size = 8 }
model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
phases = [{ name = \"align\", steps = 4 }, { name = \"train\", steps = 8 }]";

    #[test]
    fn a_step_follows_the_last_at_of_what_is_no_run_itself() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a@8");
        let parts = |path: &Path| {
            let (run, at) = parted(path);
            (run.path().to_owned(), at.map(str::to_owned))
        };
        assert_eq!(parts(&run), (folder.path().join("a"), Some("8".into())));
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join("recipe.toml"), "").unwrap();
        assert_eq!(parts(&run), (run.clone(), None));
        let at = folder.path().join("a@8@align:4");
        assert_eq!(parts(&at), (run, Some("align:4".into())));
    }

    #[test]
    fn a_checkpoint_that_is_not_there_lists_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        for saved in ["align/step-000004", "train/step-000004"] {
            std::fs::create_dir_all(run.path().join("phases").join(saved)).unwrap();
        }
        let recipe = sextant_recipe::parse_resolved(Path::new("recipe.toml"), RECIPE).unwrap();
        let message = |at: &str| checkpoint(&run, &recipe, at).unwrap_err().to_string();
        let absent = message("5");
        assert!(
            absent.contains("no checkpoint 5; kept are: train:4, align:4"),
            "{absent}"
        );
        assert!(message("align:8").ends_with("kept are: align:4"));
        assert!(message("last").contains("RUN@PHASE:STEP"));
        // It is there, and has no file.
        assert!(message("4").contains("train/step-000004"));
    }
}
