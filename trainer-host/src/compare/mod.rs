//! A comparison: every variant of a recipe, then one page. The page is assembled from the runs' folders alone, so that it can
//! be made again without running anything, and from runs of different folders.

mod planned;

use std::path::Path;

pub(crate) use planned::{PlannedRun, planned_runs};
use sextant_recipe::RecipeFile;
use sextant_records::FileError;
use sextant_report::comparison::{Request, Source, assemble, distinct, write};
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
    /// The way in which it ended.
    pub status: Status,
}

/// Runs what is left of every variant of `file` below `folder`, with each of `seeds` (or the recipe's own, if there are
/// none), then writes `report.html`, `report.md` and `results.csv`. `command` is what makes it again; `entering` is told
/// each run's folder. Runs of given seeds lie in folders `seed-N`, so that further seeds can be added later.
///
/// # Errors
/// Bad input, before anything is written; an interrupt. A variant whose training fails does not end the others.
pub fn compare(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
    command: String,
    entering: impl Fn(&Path),
) -> Result<Comparison, Error> {
    let runs = planned_runs(file, folder, seeds, options)?;
    std::fs::create_dir_all(folder).map_err(|e| FileError::new(folder, format!("cannot be made: {e}")))?;
    // First, so that an interrupted comparison can be reported as it stands.
    planned::record(file, folder, seeds, &runs, command)?.write(folder)?;
    let mut failed = Vec::new();
    for run in &runs {
        if run.carry_out(&entering)?.is_err() {
            failed.push(run.name().to_owned());
        }
    }
    let source = Source::read(folder)?;
    let troubled: Vec<String> = (source.entries.iter())
        .filter(|entry| entry.trouble.is_some())
        .map(|entry| entry.variant.clone())
        .collect();
    let report = assemble(vec![source], &Request::default())?;
    write(&report, folder)?;
    let unfinished = report.variants.iter().filter(|variant| {
        let finished = matches!(variant.outcome, Outcome::Finished(_));
        !finished || troubled.contains(&variant.name)
    });
    failed.extend(unfinished.map(|variant| variant.name.clone()));
    let failed = distinct(failed);
    let status = if failed.is_empty() {
        Status::Complete
    } else {
        Status::Failed(failed)
    };
    Ok(Comparison { report, status })
}
