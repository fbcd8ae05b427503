//! A run's folder: what lies where.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use sextant_recipe::{Change, Recipe, SourceConfig, changes, changes_training, parse_changed, parse_resolved};

use super::checkpoint::{Saved, list};
use super::history::{Fork, Place, RecipeChange};
use super::write::leftover_of;
use super::{
    FileError, FolderLock, LOCK_FILE, LibraryRecord, LockError, RecordError, ReplacedLibrary, RunFailure, RunInfo,
    RunResult, StorageFull, journal, make_folder, sync_folder, write_whole,
};

/// Name of a file in a run's folder while it is made from a checkpoint of another: what is there is a copy, and no run yet.
const FORKING: &str = ".sextant-fork";

/// A run on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at this path, whether there is one yet or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Locks the folder of a run that is there.
    ///
    /// # Errors
    /// Another process that holds it; a folder that is no run, which is not touched.
    pub fn lock(&self) -> Result<FolderLock, LockError> {
        self.is_run()?;
        FolderLock::take(&self.0)
    }

    /// Makes the folder of a new run, empty but for its lock.
    ///
    /// # Errors
    /// Something that is there already, which is not touched; another process that holds it.
    pub fn lock_new(&self) -> Result<FolderLock, LockError> {
        // Before anything is made in it: what is not locked may be anybody's. And `create` looks again, under the lock.
        let locked = || self.0.join(LOCK_FILE).exists();
        if !locked()
            && let Err(error) = self.is_free()
            // Another may have begun a run in it meanwhile: then its lock says who.
            && !locked()
        {
            return Err(error.into());
        }
        make_folder(&self.0)?;
        FolderLock::take(&self.0)
    }

    /// An error where something is in the folder that is not left of a run that was killed before it began.
    fn is_free(&self) -> Result<(), FileError> {
        let locked = self.0.join(LOCK_FILE).exists();
        let is_left = |path: &Path| match leftover_of(path) {
            Some(name) => name == "run.json" || name == "recipe.toml",
            None => path.ends_with(LOCK_FILE) || path.ends_with("run.json"),
        };
        let mut entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        match self.is_half_forked() || entries.all(|entry| locked && is_left(&entry.path())) {
            true => Ok(()),
            false => Err(FileError::new(
                &self.0,
                "there is something in this folder already; choose another with --out, or go on with `sextant train --resume`",
            )),
        }
    }

    /// Makes the folder with recipe and facts in it. Who shares it with other processes holds its lock.
    ///
    /// # Errors
    /// Something that is there already, a folder that cannot be written.
    pub fn create(&self, recipe: &Recipe, info: &RunInfo) -> Result<(), FileError> {
        self.claim()?;
        self.begin(recipe, info.clone())
    }

    fn claim(&self) -> Result<(), FileError> {
        self.is_free()?;
        if self.is_half_forked() {
            let copies = self.0.join("phases");
            if copies.exists() {
                fs::remove_dir_all(&copies).map_err(|e| FileError::new(&copies, e))?;
            }
            self.remove("metrics.jsonl")?;
            self.remove(FORKING)?;
        }
        make_folder(&self.0)
    }

    /// True if a fork into this folder was cut short, by a kill or by a full disk.
    fn is_half_forked(&self) -> bool {
        self.0.join(FORKING).exists() && !self.recipe_path().exists()
    }

    fn begin(&self, recipe: &Recipe, mut info: RunInfo) -> Result<(), FileError> {
        info.recipe = serde_json::to_value(recipe).map_err(|e| FileError::new(self.recipe_path(), e))?;
        self.write_json("run.json", &info)?;
        // Last, since a folder with a recipe is a run.
        self.write_recipe(recipe)
    }

    fn write_recipe(&self, recipe: &Recipe) -> Result<(), FileError> {
        let path = self.recipe_path();
        let text = toml::to_string(recipe).map_err(|e| FileError::new(&path, e))?;
        write_whole(&path, text.as_bytes())
    }

    /// Begins the run `out` as this one was at `place`: its checkpoint there, the ends of the phases before, and the log up to it.
    ///
    /// # Errors
    /// An `out` that has something in it, a file that cannot be read or written.
    pub fn fork(&self, out: &RunFolder, place: &Place) -> Result<(), RecordError> {
        let recipe = self.trained_by()?;
        let mut info = self.info()?;
        out.claim()?;
        write_whole(&out.0.join(FORKING), b"")?;
        let index = place.index(&recipe);
        let earlier = recipe.phases[..index].iter().filter_map(|phase| {
            let saved = self.latest(&phase.name)?;
            Some((phase.name.as_str(), saved.step))
        });
        let shared: Vec<(&str, u64)> = earlier.chain([(place.phase.as_str(), place.step)]).collect();
        for (phase, step) in &shared {
            let saved = list(&self.phase(phase)).into_iter().find(|saved| saved.step == *step);
            let saved = saved
                .ok_or_else(|| FileError::new(self.phase(phase), format!("has no checkpoint after step {step}")))?;
            copy_checkpoint(&saved, &out.phase(phase))?;
        }
        journal::fork(self, out, &shared)?;
        // What changed later is so from the fork on; but that trains on devices of its own.
        let is_earlier = |change: &RecipeChange| {
            let at = place.earlier(&change.phase, change.step, &recipe);
            (&at.phase, at.step) == (&change.phase, change.step)
        };
        info.changes
            .retain(|change| change.key != "device" || is_earlier(change));
        for change in &mut info.changes {
            let at = place.earlier(&change.phase, change.step, &recipe);
            (change.phase, change.step) = (at.phase, at.step);
        }
        for replaced in &mut info.replaced {
            let at = place.earlier(&replaced.phase, replaced.step, &recipe);
            (replaced.phase, replaced.step) = (at.phase, at.step);
        }
        info.fork = Some(Fork {
            run: std::path::absolute(&self.0).map_err(|e| FileError::new(&self.0, e))?,
            phase: place.phase.clone(),
            step: place.step,
        });
        out.begin(&recipe, info)?;
        Ok(out.remove(FORKING)?)
    }

    /// The resolved recipe's file.
    pub fn recipe_path(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }

    fn is_run(&self) -> Result<(), FileError> {
        match self.recipe_path().exists() {
            true => Ok(()),
            false => Err(FileError::new(&self.0, "is not a run: it has no recipe.toml")),
        }
    }

    /// The resolved recipe.
    ///
    /// # Errors
    /// A folder that is no run.
    pub fn recipe(&self) -> Result<Recipe, RecordError> {
        self.is_run()?;
        let path = self.recipe_path();
        // As it was resolved: overrides of this call do not belong to it.
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        Ok(parse_resolved(&path, &text)?)
    }

    /// The recipe that the run was trained by so far, whatever became of `recipe.toml` since.
    ///
    /// # Errors
    /// A folder that is no run.
    pub fn trained_by(&self) -> Result<Recipe, RecordError> {
        self.is_run()?;
        match self.info()?.recipe {
            Value::Null => self.recipe(),
            kept => Ok(serde_json::from_value(kept).map_err(|e| FileError::new(self.0.join("run.json"), e))?),
        }
    }

    /// The resolved recipe of a run that is looked at, not trained: as it was trained by.
    ///
    /// # Errors
    /// A folder that is no run; a `recipe.toml` that was edited since, in what decides a training, so that it does not say any more
    /// what the weights are of.
    pub fn unedited(&self) -> Result<Recipe, RecordError> {
        let (before, now) = (self.trained_by()?, self.recipe()?);
        if !changes_training(&before, &now) {
            return Ok(now);
        }
        let keys: Vec<String> = changes(&before, &now).into_iter().map(|change| change.key).collect();
        let reason = format!(
            "was edited since the run was trained ({}): `sextant train --resume RUN` goes on with what may change; put the rest back as run.json has it",
            keys.join(", ")
        );
        Err(FileError::new(self.recipe_path(), reason).into())
    }

    /// The resolved recipe with assignments of `--set`.
    ///
    /// # Errors
    /// A folder that is no run, an assignment that cannot be made.
    pub fn recipe_with(&self, sets: &[String]) -> Result<Recipe, RecordError> {
        if sets.is_empty() {
            return self.recipe();
        }
        let path = self.recipe_path();
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        Ok(parse_changed(&path, &text, sets)?)
    }

    /// The place at which it goes on: the last phase that has a checkpoint, and the latest there.
    pub fn place(&self, recipe: &Recipe) -> Place {
        let mut phases = recipe.phases.iter().rev();
        let latest = phases.find_map(|phase| Some((&phase.name, self.latest(&phase.name)?.step)));
        let (phase, step) = latest.map_or_else(
            || {
                (
                    recipe
                        .phases
                        .first()
                        .map(|phase| phase.name.clone())
                        .unwrap_or_default(),
                    0,
                )
            },
            |(name, step)| (name.clone(), step),
        );
        Place { phase, step }
    }

    /// A recipe of this run without the sources of these names, in every phase: how a run goes on whose plugin fails.
    /// A name is that of the instance, or the `plugin` of the recipe.
    ///
    /// # Errors
    /// A source that is not there.
    pub fn without(&self, mut recipe: Recipe, names: &[String]) -> Result<Recipe, RecordError> {
        let recorded = self.info().map(|info| info.plugins).unwrap_or_default();
        let of = |source: &SourceConfig| {
            let record = recorded.iter().find(|record| record.path == source.plugin);
            let given = source
                .name
                .clone()
                .or_else(|| record.map(|record| record.source.clone()));
            given.unwrap_or_else(|| source.plugin.clone())
        };
        for name in names {
            let all: Vec<String> = recipe
                .phases
                .iter()
                .flat_map(|phase| phase.guidance.iter().map(of))
                .collect();
            let mut found = false;
            for phase in &mut recipe.phases {
                phase.guidance.retain(|source| {
                    let this = of(source) == *name || source.plugin == *name;
                    found |= this;
                    !this
                });
            }
            if !found {
                let reason = format!("has no source called \"{name}\"; its sources: {}", all.join(", "));
                return Err(FileError::new(&self.0, reason).into());
            }
        }
        Ok(recipe)
    }

    /// Goes on by another recipe from `place` on, and writes down what changed; the recipe before stays beside it as
    /// `recipe.1.toml`, or the next number that is free. `meanwhile` changes what else depends on it: whatever is cut short is done
    /// again by the next call, since the record comes last.
    ///
    /// # Errors
    /// A file that cannot be written; an error of `meanwhile`.
    pub fn change_recipe<E: From<FileError>>(
        &self,
        before: &Recipe,
        recipe: &Recipe,
        place: &Place,
        meanwhile: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let path = self.recipe_path();
        let kept = (1..)
            .map(|n| self.0.join(format!("recipe.{n}.toml")))
            .find(|kept| !kept.exists());
        let text = toml::to_string(before).map_err(|e| FileError::new(&path, e))?;
        write_whole(&kept.expect("a number is free"), text.as_bytes())?;
        self.write_recipe(recipe)?;
        meanwhile()?;
        let mut info = self.info()?;
        let changes = changes(before, recipe).into_iter();
        info.changes
            .extend(changes.map(|change| RecipeChange::now(change, place)));
        info.recipe = serde_json::to_value(recipe).map_err(|e| FileError::new(&path, e))?;
        Ok(self.write_json("run.json", &info)?)
    }

    /// Writes down libraries and devices that take the place of others from `place` on.
    ///
    /// # Errors
    /// A `run.json` that cannot be read or written.
    pub fn note_others(&self, place: &Place, libraries: &[LibraryRecord], device: &str) -> Result<(), FileError> {
        let mut info = self.info()?;
        let replaced = libraries.iter().map(|library| ReplacedLibrary {
            phase: place.phase.clone(),
            step: place.step,
            library: library.clone(),
        });
        info.replaced.extend(replaced);
        if info.latest_device() != device {
            let moved = Change {
                key: "device".into(),
                from: info.latest_device().into(),
                to: device.into(),
            };
            info.changes.push(RecipeChange::now(moved, place));
        }
        self.write_json("run.json", &info)
    }

    /// `run.json`.
    ///
    /// # Errors
    /// A file that is not there or not whole.
    pub fn info(&self) -> Result<RunInfo, FileError> {
        self.read_json("run.json")
    }

    /// `result.json`, if the run is finished.
    pub fn result(&self) -> Option<RunResult> {
        self.read_json("result.json").ok()
    }

    /// Writes `result.json`, which makes the run finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(&self, result: &RunResult) -> Result<(), FileError> {
        self.write_json("result.json", result)
    }

    /// `failed.json`, if the run ended with an error and has not gone on since. A run with a result too was trained, and
    /// failed in what comes after.
    pub fn failure(&self) -> Option<RunFailure> {
        self.read_json("failed.json").ok()
    }

    /// Takes the result away, since the run goes on.
    ///
    /// # Errors
    /// A file that is there and cannot be removed.
    pub fn forget_result(&self) -> Result<(), FileError> {
        self.remove("result.json")
    }

    /// Writes `failed.json`, for a report that is made later. Where that fails, the log says so: the error itself is what the
    /// user has to see.
    pub fn note_failure(&self, message: impl ToString) {
        let failure = RunFailure {
            message: message.to_string(),
        };
        match self.write_json("failed.json", &failure) {
            Ok(()) => {}
            // Of a full disk one message is enough.
            Err(unwritten) if StorageFull::of(&unwritten).is_some() => tracing::info!("{unwritten}"),
            Err(unwritten) => tracing::warn!("{unwritten}"),
        }
    }

    /// Removes `failed.json`, since the run goes on.
    ///
    /// # Errors
    /// A file that is there and cannot be removed.
    pub fn forget_failure(&self) -> Result<(), FileError> {
        self.remove("failed.json")
    }

    fn remove(&self, name: &str) -> Result<(), FileError> {
        let path = self.0.join(name);
        // Asked first: a disk that is read-only says so whether the file is there or not.
        match path.exists() {
            true => fs::remove_file(&path).map_err(|e| FileError::new(&path, e)),
            false => Ok(()),
        }
    }

    /// Path of the log.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// Folder of a phase's checkpoints.
    pub fn phase(&self, name: &str) -> PathBuf {
        self.0.join("phases").join(name)
    }

    /// The latest checkpoint of a phase.
    pub fn latest(&self, phase: &str) -> Option<Saved> {
        list(&self.phase(phase)).pop()
    }

    /// Takes the final sample grid away, so that it is drawn again.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn forget_samples(&self) -> Result<(), FileError> {
        for name in ["final.npz", "final.png"] {
            let path = self.samples().join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|e| FileError::new(&path, e))?;
            }
        }
        Ok(())
    }

    /// Folder of the samples.
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), FileError> {
        let path = self.0.join(name);
        let text = serde_json::to_string_pretty(value).map_err(|e| FileError::new(&path, e))?;
        write_whole(&path, format!("{text}\n").as_bytes())
    }

    fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, FileError> {
        let path = self.0.join(name);
        let text = fs::read_to_string(&path).map_err(|e| FileError::new(&path, e))?;
        serde_json::from_str(&text).map_err(|e| FileError::new(&path, e))
    }
}

/// Copies a checkpoint into the folder of a phase; it gets its name when it is complete.
fn copy_checkpoint(saved: &Saved, phase: &Path) -> Result<(), FileError> {
    let name = saved
        .folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let partial = phase.join(format!(".partial-{name}"));
    fs::create_dir_all(&partial).map_err(|e| FileError::new(&partial, e))?;
    for entry in fs::read_dir(&saved.folder).map_err(|e| FileError::new(&saved.folder, e))? {
        let from = entry.map_err(|e| FileError::new(&saved.folder, e))?.path();
        let to = partial.join(from.file_name().unwrap_or_default());
        fs::copy(&from, &to)
            .and_then(|_| fs::OpenOptions::new().write(true).open(&to)?.sync_all())
            .map_err(|e| FileError::new(&to, e))?;
    }
    sync_folder(&partial)?;
    let whole = phase.join(name);
    fs::rename(&partial, &whole).map_err(|e| FileError::new(&whole, e))?;
    sync_folder(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let text = "data = { kind = \"emoji\", size = 8 }\nmodel = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }\n\
                    phases = [{ name = \"train\", steps = 1 }]";
        parse_resolved(Path::new("recipe.toml"), text).unwrap()
    }

    #[test]
    fn a_new_run_is_made_by_whoever_locks_it_first() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::new(place.path().join("runs/one"));
        assert!(matches!(run.lock(), Err(LockError::File(_))));
        assert!(!run.path().exists(), "what is no run is not made one by a look");
        let lock = run.lock_new().unwrap();
        assert!(matches!(run.lock_new(), Err(LockError::Held { .. })));
        run.create(&recipe(), &RunInfo::default()).unwrap();
        assert!(matches!(run.lock(), Err(LockError::Held { .. })));
        drop(lock);
        let _again = run.lock().unwrap();
        assert!(run.create(&recipe(), &RunInfo::default()).is_err());
    }

    #[test]
    fn a_run_that_was_killed_before_it_began_begins_anew() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::new(place.path());
        drop(run.lock_new().unwrap());
        for left in ["run.json.4711.partial", "run.json", "recipe.toml.4711.partial"] {
            fs::write(place.path().join(left), "{").unwrap();
        }
        let _lock = run.lock_new().unwrap();
        run.create(&recipe(), &RunInfo::default()).unwrap();
        assert_eq!(run.recipe().unwrap().phases.len(), 1);
    }

    #[test]
    fn what_is_somebody_elses_is_not_touched() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::new(place.path());
        fs::write(place.path().join("run.json"), "{}").unwrap();
        let error = run.lock_new().unwrap_err().to_string();
        assert!(error.contains("there is something in this folder already"), "{error}");
        assert!(run.create(&recipe(), &RunInfo::default()).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(place.path().join("run.json")).unwrap(), "{}");
    }

    const RECIPE: &str = r#"
        data = { kind = "emoji", size = 8 }
        model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
        phases = [{ name = "align", steps = 4 }, { name = "train", steps = 8 }]
    "#;

    /// A run with checkpoints, and a recipe that asks for more of it.
    fn run(folder: &Path) -> (RunFolder, Recipe, Recipe) {
        let recipe = parse_resolved(Path::new("recipe.toml"), RECIPE).unwrap();
        let run = RunFolder::new(folder.join("run"));
        run.create(&recipe, &RunInfo::default()).unwrap();
        for saved in ["align/step-000004", "train/step-000004", "train/step-000008"] {
            let saved = run.path().join("phases").join(saved);
            fs::create_dir_all(&saved).unwrap();
            fs::write(saved.join("state.json"), saved.display().to_string()).unwrap();
        }
        let mut more = recipe.clone();
        more.phases[1].steps = 12;
        (run, recipe, more)
    }

    fn place(phase: &str, step: u64) -> Place {
        Place {
            phase: phase.into(),
            step,
        }
    }

    #[test]
    fn an_edited_recipe_does_not_change_what_the_run_was_trained_by() {
        let folder = tempfile::tempdir().unwrap();
        let (run, ..) = run(folder.path());
        let text = fs::read_to_string(run.recipe_path()).unwrap();
        fs::write(run.recipe_path(), text.replace("steps = 8", "steps = 12")).unwrap();
        assert_eq!(run.recipe().unwrap().phases[1].steps, 12);
        assert_eq!(run.trained_by().unwrap().phases[1].steps, 8);
    }

    #[test]
    fn a_change_that_is_cut_short_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (run, before, more) = run(folder.path());
        let at = run.place(&before);
        assert_eq!(at, place("train", 8));
        let cut: Result<(), FileError> = run.change_recipe(&before, &more, &at, || Err(FileError::new("x", "cut")));
        assert!(cut.is_err());
        assert_eq!(run.trained_by().unwrap().phases[1].steps, 8);
        run.change_recipe(&before, &more, &at, || Ok::<_, FileError>(()))
            .unwrap();
        assert_eq!(run.trained_by().unwrap().phases[1].steps, 12);
        let [change] = &run.info().unwrap().changes[..] else {
            panic!("one change")
        };
        assert_eq!((change.key.as_str(), change.step), ("phases.1.steps", 8));
        assert_eq!((change.from.as_u64(), change.to.as_u64()), (Some(8), Some(12)));
        let kept = fs::read_to_string(run.path().join("recipe.1.toml")).unwrap();
        assert!(kept.contains("steps = 8"), "{kept}");
    }

    #[test]
    fn a_fork_has_what_came_before_and_nothing_later() {
        let folder = tempfile::tempdir().unwrap();
        let (run, before, more) = run(folder.path());
        run.change_recipe(&before, &more, &place("train", 8), || Ok::<_, FileError>(()))
            .unwrap();
        let lines = [("align", 2), ("align", 4), ("train", 2), ("train", 4), ("train", 6)];
        for (phase, step) in lines {
            journal::record(&run, phase, step, &[("denoising".to_owned(), 1.0)].into()).unwrap();
        }
        let fork = RunFolder::new(folder.path().join("fork"));
        run.fork(&fork, &place("train", 4)).unwrap();
        let steps = |phase: &str| {
            list(&fork.phase(phase))
                .iter()
                .map(|saved| saved.step)
                .collect::<Vec<_>>()
        };
        assert_eq!((steps("align"), steps("train")), (vec![4], vec![4]));
        let copied = fs::read_to_string(fork.phase("train").join("step-000004/state.json")).unwrap();
        assert!(copied.ends_with("train/step-000004"), "{copied}");
        let logged: Vec<_> = journal::read(&fork.metrics())
            .into_iter()
            .map(|line| (line.phase, line.step))
            .collect();
        assert_eq!(
            logged,
            lines[..4]
                .iter()
                .map(|(phase, step)| ((*phase).to_owned(), *step))
                .collect::<Vec<_>>()
        );
        let info = fork.info().unwrap();
        assert_eq!((info.changes[0].step, info.fork.unwrap().step), (4, 4));
        assert_eq!(fork.trained_by().unwrap().phases[1].steps, 12);
        assert!(run.fork(&fork, &place("train", 4)).is_err(), "there is something in it");
        // As a kill leaves it before it is a run: it is begun anew, and by whoever wants the folder.
        let earlier = place("align", 4);
        fs::remove_file(fork.recipe_path()).unwrap();
        assert!(run.fork(&fork, &earlier).is_err(), "that may be anybody's");
        fs::write(fork.path().join(FORKING), "").unwrap();
        run.fork(&fork, &earlier).unwrap();
        assert!(!fork.phase("train").exists() && !fork.path().join(FORKING).exists());
        let earlier = RunFolder::new(folder.path().join("earlier"));
        run.fork(&earlier, &place("align", 4)).unwrap();
        assert!(!earlier.phase("train").exists());
        assert!(
            run.fork(&RunFolder::new(folder.path().join("none")), &place("train", 5))
                .is_err()
        );
    }
}
