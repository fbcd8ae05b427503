//! A run that goes on: what of it may have changed meanwhile, and what to do where its newest checkpoint is damaged.

use std::path::{Path, PathBuf};

use sextant_data::Dataset;
use sextant_recipe::{Recipe, changes, measuring_refusals, refusals};
use sextant_records::checkpoint::Saved;
use sextant_records::{Place, RunFolder, journal, quoted};

use super::checkpoint::{SavedTensors, list};
use super::{Error, Options, Run};

/// Checks that the run in `folder`, begun by `before`, can go on from `place` by the recipe `after`.
///
/// # Errors
/// Every key that cannot be changed, with the reason.
pub fn check_changes(folder: &RunFolder, before: &Recipe, after: &Recipe, place: &Place) -> Result<(), Error> {
    none_of(refusals(before, after, place.index(before), place.step), folder)
}

/// Checks that the network of the run in `folder`, trained by `before`, can be measured by the recipe `after`.
///
/// # Errors
/// Every key that is not of a measurement, with the reason why it stays.
pub fn check_measurement(folder: &RunFolder, before: &Recipe, after: &Recipe) -> Result<(), Error> {
    none_of(measuring_refusals(before, after), folder)
}

/// Checks that data are those that the run in `folder` began with.
///
/// # Errors
/// Other data, a folder that is no run.
pub fn check_data(folder: &RunFolder, dataset: &Dataset) -> Result<(), Error> {
    let info = folder.info()?;
    let other = |what, before: &str, now: &str| Error::OtherData {
        run: folder.path().into(),
        what,
        before: before.into(),
        now: now.into(),
    };
    if info.data != dataset.fingerprint() {
        return Err(other("data", &info.data, dataset.fingerprint()));
    }
    let none = "none";
    match (info.encoded_by.as_deref(), dataset.encoder_fingerprint()) {
        (before, now) if before == now => Ok(()),
        (before, now) => Err(other(
            "latents: another autoencoder",
            before.unwrap_or(none),
            now.unwrap_or(none),
        )),
    }
}

fn none_of(refused: Vec<String>, folder: &RunFolder) -> Result<(), Error> {
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::Change {
        run: folder.path().into(),
        refused,
    })
}

/// Settings of a recipe that a sample grid depends on.
fn grid(recipe: &Recipe) -> impl PartialEq {
    let evaluation = recipe.evaluation.clone();
    (evaluation.samples, evaluation.columns, evaluation.sampler)
}

/// True for what the log has of a step that is not the last of its phase.
fn logged_midway(recipe: &Recipe, step: u64, name: &str) -> bool {
    let due = |every: u64| every > 0 && step.is_multiple_of(every);
    match name.split('.').next() {
        Some("evaluation") => false,
        Some("validation") => due(recipe.evaluation.every),
        Some("share") => due(recipe.output.share_every),
        _ => due(recipe.output.log_every),
    }
}

impl Run {
    /// Checks that data and networks are those that the run in `folder` began with.
    ///
    /// # Errors
    /// Other data, another encoder, another judge under the same name.
    pub fn check_files(&self, folder: &RunFolder) -> Result<(), Error> {
        let (before, now) = (folder.info()?, self.info());
        for file in &now.files {
            let known = file.among(&before.files);
            if let Some(known) = known.filter(|known| known.sha256 != file.sha256) {
                return Err(Error::OtherFile {
                    run: folder.path().into(),
                    before: Box::new(known.clone()),
                    now: Box::new(file.clone()),
                });
            }
        }
        check_data(folder, self.dataset())
    }

    /// Makes this run's recipe that of the run in `folder`, which was trained by `before` as far as `place`, and writes down what
    /// changed. A phase that had ended there, and has more steps now, goes on as if it had had them from the beginning.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn adopt(&self, folder: &RunFolder, before: &Recipe, place: &Place) -> Result<(), Error> {
        let now = self.recipe();
        if changes(before, now).is_empty() {
            return Ok(());
        }
        folder.change_recipe(before, now, place, || {
            let steps = |recipe: &Recipe| recipe.phases.get(place.index(before)).map(|phase| phase.steps);
            let raised = steps(now) > steps(before);
            if raised {
                folder.forget_result()?;
            }
            if raised && steps(before) == Some(place.step) {
                let said = |name: &str| logged_midway(before, place.step, name);
                journal::reopen(folder, &place.phase, place.step, said)?;
            }
            if raised || grid(before) != grid(now) {
                folder.forget_samples()?;
            }
            Ok(())
        })
    }
}

impl Options {
    /// The command that goes on with `run` (`RUN`, or `RUN@STEP`) as this process does: on its device, with the plugins that it finds,
    /// and with the words of `more`.
    pub fn resumption(&self, run: &str, more: &[String]) -> String {
        let mut words = ["sextant", "train", "--resume", run].map(str::to_owned).to_vec();
        if self.device_name != "auto" {
            words.extend(["--device".to_owned(), self.device_name.clone()]);
        }
        for folder in self.plugins.asked() {
            words.extend(["--plugin-dir".to_owned(), folder.display().to_string()]);
        }
        words.extend_from_slice(more);
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Names, where an error of reading is due to the newest checkpoint being damaged, the intact one before it and the command that goes
/// on from there, with `options` and the `changes` that were asked for, as words. Any other error stays as it is.
pub fn explained(error: Error, folder: &RunFolder, recipe: &Recipe, options: &Options, changes: &[String]) -> Error {
    with_advice(
        error,
        folder,
        recipe,
        |_| true,
        |found| match found {
            Some((phase, saved)) => {
                let place = match recipe.phases.len() {
                    1 => saved.step.to_string(),
                    _ => format!("{phase}:{}", saved.step),
                };
                let run = folder.path().display();
                let out = free(&format!("{run}-from-{}", saved.step)).display().to_string();
                let more = [changes, &["--out".to_owned(), out]].concat();
                format!(
                    "take the damaged folder away, and the same command goes on from it, or go on from there with: {}",
                    options.resumption(&format!("{run}@{place}"), &more)
                )
            }
            None => "the run has to begin anew".to_owned(),
        },
    )
}

/// The same for who looks at the network of the last phase, as `sextant eval` does; `command` is the one that looks at a checkpoint.
pub fn explained_to(error: Error, folder: &RunFolder, recipe: &Recipe, command: impl Fn(&Path) -> String) -> Error {
    let is_last = |phase: &str| recipe.phases.last().is_some_and(|last| last.name == phase);
    with_advice(error, folder, recipe, is_last, |found| match found {
        Some((_, saved)) => format!("use it with: {}", command(&saved.folder)),
        None => "`sextant train --resume` says how the run goes on".to_owned(),
    })
}

/// The error, explained where it is one of reading and the newest checkpoint is damaged: with the newest intact one of the phases that
/// are wanted, and the advice on it.
fn with_advice(
    error: Error,
    folder: &RunFolder,
    recipe: &Recipe,
    is_wanted: impl Fn(&str) -> bool,
    advice: impl FnOnce(Option<(&str, &Saved)>) -> String,
) -> Error {
    let read = matches!(
        error,
        Error::File(_) | Error::Tensors(_) | Error::Weights { .. } | Error::Guidance(_)
    );
    let of_phase = |phase: &str| list(&folder.phase(phase)).into_iter().rev();
    let mut newest_first = recipe.phases.iter().rev().flat_map(|phase| {
        let name = phase.name.as_str();
        of_phase(name).map(move |saved| (name, saved))
    });
    let Some((_, damaged)) = newest_first.next().filter(|(_, newest)| read && !is_whole(newest)) else {
        return error;
    };
    let found = newest_first.find(|(phase, saved)| is_wanted(phase) && is_whole(saved));
    let found = found.as_ref().map(|(phase, saved)| (*phase, saved));
    let is_there = match found {
        Some((phase, saved)) => format!(
            "the checkpoint before it, after step {} of phase {phase:?}, is whole",
            saved.step
        ),
        None => "no checkpoint before it is whole".to_owned(),
    };
    Error::Damaged {
        source: Box::new(error),
        checkpoint: damaged.folder,
        advice: format!("{is_there}: {}", advice(found)),
    }
}

/// The first folder of this name, or with a number after it, that is not there.
fn free(name: &str) -> PathBuf {
    let numbered = (2..).map(|n| PathBuf::from(format!("{name}-{n}")));
    let mut names = std::iter::once(PathBuf::from(name)).chain(numbered);
    names.find(|path| !path.exists()).expect("a number is free")
}

/// True if all of a checkpoint can be read.
fn is_whole(saved: &Saved) -> bool {
    saved.read_all().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_recipe::parse_resolved;

    #[test]
    fn the_log_of_a_last_step_keeps_what_another_would_have_said() {
        let recipe = "data = { kind = \"emoji\", size = 8 }
model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
phases = [{ name = \"train\", steps = 6 }]
evaluation = { every = 3 }
output = { log_every = 4, share_every = 2 }";
        let recipe = parse_resolved(Path::new("recipe.toml"), recipe).unwrap();
        let kept = |step: u64| {
            let names = [
                "denoising",
                "guidance.repa",
                "share.repa",
                "validation",
                "evaluation.copies.fraction",
            ];
            names.map(|name| logged_midway(&recipe, step, name))
        };
        assert_eq!(kept(6), [false, false, true, true, false]);
        assert_eq!(kept(8), [true, true, true, false, false]);
    }

    #[test]
    fn a_proposed_folder_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("run").display().to_string();
        assert_eq!(free(&name), PathBuf::from(&name));
        std::fs::create_dir(&name).unwrap();
        assert_eq!(free(&name), PathBuf::from(format!("{name}-2")));
    }
}
