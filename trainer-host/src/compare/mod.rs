//! A comparison: every variant of a recipe, then one page. The page is assembled from the runs' folders alone, so that it can
//! be made again without running anything, and from runs of different folders.

mod planned;
mod spread;

use std::path::Path;

pub(crate) use planned::{PlannedRun, planned_runs};
use sextant_recipe::RecipeFile;
use sextant_report::comparison::{Request, RunSet, assemble, distinct, write};
use sextant_report::{Outcome, Report};
use sextant_train::{Options, Ranks};
pub(crate) use spread::{Ended, Purpose, lead, spread};

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
    /// Runs that other processes hold, and go on with: a message each.
    pub held: Vec<String>,
}

/// Runs what is left of every variant of `file` below `folder`, with each of `seeds` (or the recipe's own, if there are
/// none), then writes `report.html`, `report.md` and `results.csv`. `command` is what makes it again; `entering` is told
/// each run's folder. Runs of given seeds lie in folders `seed-N`, so that further seeds can be added later.
///
/// Several processes, on one machine or on several, can share a comparison: a run that another holds is left to it. Several groups of
/// ranks share it too, whose first ranks `firsts` are; each run is of one of them.
///
/// # Errors
/// Bad input, and a comparison all of whose runs others hold, before anything is written; an interrupt. A variant whose training
/// fails does not end the others.
pub fn compare(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
    firsts: &Ranks,
    command: String,
    entering: impl Fn(&Path),
) -> Result<Comparison, Error> {
    let runs = planned_runs(file, folder, seeds, options)?;
    let record = planned::record(file, folder, seeds, &runs, command)?;
    let mut recorded = false;
    let begins = || {
        // Before the first run, so that an interrupted comparison can be reported as it stands.
        recorded = true;
        Ok(record.write(folder)?)
    };
    let ends = spread(firsts, Purpose::Comparison, &runs, begins, &entering)?;
    let (mut failed, mut held, mut held_names) = (Vec::new(), Vec::new(), Vec::new());
    for (run, ended) in runs.iter().zip(&ends) {
        match ended {
            Ended::Done => {}
            Ended::Failed(_) => failed.push(run.name().to_owned()),
            Ended::Held(words) => {
                held.push(words.clone());
                held_names.push(run.name().to_owned());
            }
        }
    }
    if held.len() == runs.len() {
        return Err(Error::Input(held.swap_remove(0)));
    }
    if !recorded {
        record.write(folder)?;
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
