//! What the folders of runs say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use sextant_records::FileError;
use sextant_records::RunFolder;
use sextant_records::journal::{self, Line};

/// How deep runs are looked for: `seed-0/VARIANT` of a comparison is two, `seed-1000/VARIANT/SETTING` of a sweep three.
const DEPTH: usize = 4;

/// The runs of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The folder.
    pub folder: PathBuf,
    /// Its runs, in the order of their names; none as long as nothing has begun.
    pub runs: Vec<WatchedRun>,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedRun {
    /// Its path below the folder; the folder's own name where that is the run.
    pub name: String,
    /// Where it is.
    pub at: At,
    /// What was logged, by column: step and value in rising order of steps. Columns of the last phase have their own names,
    /// those of an earlier one `PHASE/NAME`. Losses and shares of all sources are added up, as `guidance` and `guidance_share`.
    pub curves: BTreeMap<String, Vec<(f64, f64)>>,
    /// Time since the last line of its log.
    pub silent: Option<Duration>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing is logged yet.
    Waiting,
    /// In a phase, with steps that are logged and in all.
    Training {
        /// The phase.
        phase: String,
        /// Steps of it that are logged.
        step: u64,
        /// Its steps.
        steps: u64,
    },
    /// All steps are done, the result is not there yet.
    Evaluating {
        /// Steps of the last phase.
        steps: u64,
    },
    /// The result is there.
    Finished {
        /// Steps of the last phase.
        steps: u64,
    },
    /// It ended with an error, and has not gone on since.
    Failed {
        /// How far it had come.
        at: Box<At>,
        /// The first line of the error's message.
        message: String,
    },
    /// The recipe cannot be read, for this reason.
    Unreadable(String),
}

impl At {
    /// The steps of the phase where it is; none where that is not known.
    fn steps(&self) -> Option<u64> {
        match self {
            Self::Training { steps, .. } | Self::Evaluating { steps } | Self::Finished { steps } => Some(*steps),
            Self::Failed { at, .. } => at.steps(),
            Self::Waiting | Self::Unreadable(_) => None,
        }
    }
}

impl Watched {
    /// Looks at a folder: a run, or one that holds runs.
    ///
    /// # Errors
    /// Where there is no such folder.
    pub fn look(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(FileError::new(
                folder,
                "there is no such folder: name a run, or a folder of runs",
            ).into());
        }
        let mut found = Vec::new();
        find(folder, DEPTH, &mut found);
        found.sort();
        let name = |path: &Path| match path.strip_prefix(folder) {
            Ok(below) if !below.as_os_str().is_empty() => below.to_string_lossy().into_owned(),
            _ => own_name(folder),
        };
        let runs = found
            .iter()
            .map(|path| WatchedRun::look(name(path), &RunFolder::new(path)));
        Ok(Self {
            folder: folder.into(),
            runs: runs.collect(),
        })
    }

    /// The columns that any run has, the most telling first.
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = ["validation", "denoising", "guidance", "guidance_share"]
            .map(str::to_owned)
            .into();
        let names: BTreeSet<&String> = self.runs.iter().flat_map(|run| run.curves.keys()).collect();
        columns.retain(|column| names.contains(column));
        let others: Vec<String> = names
            .into_iter()
            .filter(|name| !columns.contains(name))
            .cloned()
            .collect();
        columns.extend(others);
        columns
    }

    /// The greatest step that the curves of a column may come to, for an axis that all share.
    pub fn last_step(&self, column: &str) -> f64 {
        let planned = self
            .runs
            .iter()
            .filter(|run| run.curves.contains_key(column))
            .filter_map(|run| run.at.steps().filter(|_| !column.contains('/')))
            .map(|steps| steps as f64);
        let logged = self
            .runs
            .iter()
            .filter_map(|run| Some(run.curves.get(column)?.last()?.0));
        planned.chain(logged).fold(1.0, f64::max)
    }

    /// The least and the greatest finite value of a column, over all runs.
    pub fn range(&self, column: &str) -> Option<(f64, f64)> {
        let values = self.runs.iter().filter_map(|run| run.curves.get(column)).flatten();
        let finite = values.map(|(_, value)| *value).filter(|value| value.is_finite());
        finite.fold(None, |range, value| match range {
            None => Some((value, value)),
            Some((least, greatest)) => Some((f64::min(least, value), f64::max(greatest, value))),
        })
    }
}

fn own_name(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    whole
        .file_name()
        .map_or(".".into(), |name| name.to_string_lossy().into_owned())
}

fn find(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if RunFolder::new(folder).recipe_path().exists() {
        found.push(folder.into());
    } else if depth > 0 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.for_each(|entry| find(&entry.path(), depth - 1, found));
    }
}

impl WatchedRun {
    fn look(name: String, folder: &RunFolder) -> Self {
        let lines = journal::read(&folder.metrics());
        let changed = std::fs::metadata(folder.metrics())
            .and_then(|file| file.modified())
            .ok();
        let (at, last) = match folder.recipe() {
            Err(error) => (At::Unreadable(error.to_string()), None),
            Ok(recipe) => {
                let phases: Vec<(String, u64)> = recipe.phases.into_iter().map(|p| (p.name, p.steps)).collect();
                let at = place(&phases, &lines, folder.result().is_some());
                (failed(at, folder), phases.last().map(|(name, _)| name.clone()))
            }
        };
        Self {
            name,
            at,
            curves: curves(&lines, last.as_deref()),
            silent: changed.and_then(|time| time.elapsed().ok()),
        }
    }

    /// The latest value of a column.
    pub fn latest(&self, column: &str) -> Option<f64> {
        Some(self.curves.get(column)?.last()?.1)
    }
}

/// Where a run is, by what it logged: the latest phase of the recipe of which there is a line.
fn place(phases: &[(String, u64)], lines: &[Line], finished: bool) -> At {
    let steps = phases.last().map_or(0, |(_, steps)| *steps);
    if finished {
        return At::Finished { steps };
    }
    for (index, (phase, steps)) in phases.iter().enumerate().rev() {
        let logged = lines
            .iter()
            .filter(|line| line.phase == *phase)
            .map(|line| line.step)
            .max();
        match logged {
            Some(step) if step >= *steps && index + 1 == phases.len() => return At::Evaluating { steps: *steps },
            Some(step) => {
                return At::Training {
                    phase: phase.clone(),
                    step,
                    steps: *steps,
                };
            }
            None => {}
        }
    }
    At::Waiting
}

/// The same place, of a run that has failed there: one that is trained may fail in what comes after.
fn failed(at: At, folder: &RunFolder) -> At {
    match folder.failure() {
        Some(failure) => At::Failed {
            at: Box::new(at),
            message: first_line(&failure.message),
        },
        None => at,
    }
}

/// The first line that has words, without characters that would talk to the terminal.
fn first_line(message: &str) -> String {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().chars().filter(|c| !c.is_control()).collect()
}

fn curves(lines: &[Line], last: Option<&str>) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut curves: BTreeMap<String, BTreeMap<u64, f64>> = BTreeMap::new();
    for line in lines {
        let mut columns: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, value) in line.of_training() {
            let column = match name.split_once('.') {
                Some(("guidance", _)) => "guidance",
                Some(("share", _)) => "guidance_share",
                _ => name,
            };
            *columns.entry(column).or_default() += value;
        }
        for (column, value) in columns {
            let name = match last {
                Some(last) if last != line.phase => format!("{}/{column}", line.phase),
                _ => column.to_owned(),
            };
            // Of a step that is logged twice the last counts.
            curves.entry(name).or_default().insert(line.step, value);
        }
    }
    let points = |points: BTreeMap<u64, f64>| points.into_iter().map(|(step, value)| (step as f64, value)).collect();
    curves.into_iter().map(|(name, curve)| (name, points(curve))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const RECIPE: &str = r#"
        [data]
        kind = "emoji"
        [model]
        patch_size = 4
        hidden_size = 32
        depth = 2
        num_heads = 2
        [[phases]]
        name = "align"
        steps = 50
        [[phases]]
        name = "train"
        steps = 100
    "#;

    /// A run's folder with this log.
    pub fn run(folder: &Path, log: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
        std::fs::write(folder.join("metrics.jsonl"), log).unwrap();
    }

    pub const ALIGN: &str =
        "{\"phase\":\"align\",\"step\":50,\"denoising\":1.5,\"guidance.a\":0.5,\"guidance.b\":0.25}\n";
    pub const TRAIN: &str = "{\"phase\":\"train\",\"step\":40,\"denoising\":1.0,\"validation\":0.8}\n\
         {\"phase\":\"train\",\"step\":80,\"denoising\":0.9,\"validation\":0.6}\n";

    #[test]
    fn a_folder_that_is_empty_yet_has_no_runs_and_one_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Watched::look(folder.path()).unwrap().runs, []);
        let error = Watched::look(&folder.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("no such folder"));
    }

    #[test]
    fn where_a_run_is_shows_in_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let at = |log: &str| {
            run(&folder.path().join("run"), log);
            Watched::look(folder.path()).unwrap().runs.remove(0).at
        };
        let training = |phase: &str, step, steps| At::Training {
            phase: phase.into(),
            step,
            steps,
        };
        assert_eq!(at(""), At::Waiting);
        assert_eq!(at(ALIGN), training("align", 50, 50));
        assert_eq!(at(&format!("{ALIGN}{TRAIN}")), training("train", 80, 100));
        // A line that is being written is not one yet.
        assert_eq!(
            at(&format!("{ALIGN}{TRAIN}{{\"phase\":\"train\",\"st")),
            training("train", 80, 100)
        );
        let all = format!("{ALIGN}{TRAIN}{{\"phase\":\"train\",\"step\":100,\"denoising\":1}}\n");
        assert_eq!(at(&all), At::Evaluating { steps: 100 });
        std::fs::write(folder.path().join("run/recipe.toml"), "phases = 3").unwrap();
        assert!(matches!(at_of(folder.path()), At::Unreadable(reason) if reason.contains("recipe.toml")));
    }

    #[test]
    fn a_run_that_failed_is_not_one_that_trains() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &format!("{ALIGN}{TRAIN}"));
        let trains = at_of(folder.path());
        let of = RunFolder::new(folder.path());
        of.note_failure(&Error::Training("\u{1b}no teacher\nand more".into()));
        let fails = Watched::look(folder.path()).unwrap();
        assert_eq!(
            fails.runs[0].at,
            At::Failed {
                at: Box::new(trains.clone()),
                message: "no teacher".into()
            }
        );
        assert_eq!(fails.last_step("validation"), 100.0, "the axis stays");
        of.forget_failure().unwrap();
        assert_eq!(at_of(folder.path()), trains, "it goes on");
    }

    fn at_of(folder: &Path) -> At {
        Watched::look(folder).unwrap().runs.remove(0).at
    }

    #[test]
    fn runs_are_found_in_comparisons_over_seeds_and_in_sweeps() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["seed-1/none", "seed-0/none", "seed-0/repa", "sweep/seed-9/none/lr=0.1"] {
            run(&folder.path().join(name), "");
        }
        std::fs::create_dir_all(folder.path().join("seed-0/none/phases/train")).unwrap();
        let names: Vec<_> = Watched::look(folder.path())
            .unwrap()
            .runs
            .into_iter()
            .map(|r| r.name)
            .collect();
        assert_eq!(
            names,
            ["seed-0/none", "seed-0/repa", "seed-1/none", "sweep/seed-9/none/lr=0.1"]
        );
        let one = Watched::look(&folder.path().join("seed-0/repa")).unwrap();
        assert_eq!(one.runs[0].name, "repa");
    }

    #[test]
    fn columns_of_earlier_phases_bear_their_names_and_sources_add_up() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &format!("{ALIGN}{TRAIN}"));
        let watched = Watched::look(folder.path()).unwrap();
        assert_eq!(
            watched.columns(),
            ["validation", "denoising", "align/denoising", "align/guidance"]
        );
        let curves = &watched.runs[0].curves;
        assert_eq!(curves["align/guidance"], [(50.0, 0.75)]);
        assert_eq!(curves["validation"], [(40.0, 0.8), (80.0, 0.6)]);
        assert_eq!(watched.range("validation"), Some((0.6, 0.8)));
        assert_eq!(watched.range("nothing"), None);
        assert_eq!(
            (watched.last_step("validation"), watched.last_step("align/denoising")),
            (100.0, 50.0)
        );
    }
}
