//! A comparison: every variant of a recipe, then one page. The page is assembled from the runs' folders alone, so that it can
//! be made again without running anything, and from runs of different folders.

mod planned;

use std::collections::VecDeque;
use std::path::Path;

pub(crate) use planned::{PlannedRun, planned_runs};
use sextant_recipe::RecipeFile;
use sextant_records::LockError;
use sextant_report::comparison::{Request, RunSet, assemble, distinct, write};
use sextant_report::{Outcome, Report};
use sextant_train::Options;

use crate::Error;

/// The end of a comparison.
#[derive(Debug)]
pub enum Status {
    /// Every variant is finished.
    Complete,
    /// These are not, or could not be evaluated.
    Failed(Vec<String>),
}

/// A comparison that has run.
#[derive(Debug)]
pub struct Comparison {
    /// Content of its page.
    pub report: Report,
    /// The way in which it ended, but for what others do.
    pub status: Status,
    /// Runs that other processes hold, and go on with.
    pub held: Vec<LockError>,
}

/// Runs what is left of every variant of `file` below `folder`, with each of `seeds` (or the recipe's own, if there are
/// none), then writes `report.html`, `report.md` and `results.csv`. `command` is what makes it again; `entering` is told
/// each run's folder. Runs of given seeds lie in folders `seed-N`, so that further seeds can be added later.
///
/// Several processes, on one machine or on several, can share a comparison: a run that another holds is left to it.
///
/// # Errors
/// Bad input, and a comparison all of whose runs others hold, before anything is written; an interrupt. A variant whose training
/// fails does not end the others.
pub fn compare(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
    command: String,
    entering: impl Fn(&Path),
) -> Result<Comparison, Error> {
    let runs = planned_runs(file, folder, seeds, options)?;
    let record = planned::record(file, folder, seeds, &runs, command)?;
    let (mut failed, mut held, mut held_names) = (Vec::new(), Vec::new(), Vec::new());
    let mut recorded = false;
    // What is held is asked for once more at the end: it may be finished by then, or its process dead.
    let mut left: VecDeque<(&PlannedRun, bool)> = runs.iter().map(|run| (run, false)).collect();
    while let Some((run, again)) = left.pop_front() {
        let lock = match run.lock() {
            Ok(lock) => lock,
            Err(LockError::Held { .. }) if !again => {
                tracing::warn!(
                    "variant {}: another process is at it; the others come first",
                    run.name()
                );
                left.push_back((run, true));
                continue;
            }
            Err(other @ LockError::Held { .. }) => {
                held.push(other);
                held_names.push(run.name().to_owned());
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        if !recorded {
            // Before the first run, so that an interrupted comparison can be reported as it stands.
            record.write(folder)?;
            recorded = true;
        }
        if run.carry_out(&lock, &entering)?.is_err() {
            failed.push(run.name().to_owned());
        }
    }
    if !recorded && !held.is_empty() {
        return Err(held.swap_remove(0).into());
    }
    let set = RunSet::read(folder)?;
    let troubled: Vec<String> = (set.entries.iter())
        .filter(|entry| entry.trouble.is_some())
        .map(|entry| entry.variant.clone())
        .collect();
    let report = assemble(vec![set], &Request::default())?;
    write(&report, folder)?;
    let unfinished = report.variants.iter().filter(|variant| {
        let finished = matches!(variant.outcome, Outcome::Finished(_)) || held_names.contains(&variant.name);
        !finished || troubled.contains(&variant.name)
    });
    failed.extend(unfinished.map(|variant| variant.name.clone()));
    let failed = distinct(failed);
    let status = if failed.is_empty() {
        Status::Complete
    } else {
        Status::Failed(failed)
    };
    Ok(Comparison { report, status, held })
}
