//! Measurements of a run in the report's terms.

use std::collections::BTreeMap;

use super::entry::{Ending, Entry};
use crate::{Measurements, Outcome, Pace, Parts, Point, SeedRun};
use sextant_recipe::Recipe;
use sextant_recipe::SourceConfig;
use sextant_records::RunResult;
use sextant_records::journal::Line;

/// Every run, seed by seed, variant by variant. A step's overhead is over that of the baseline's run with the same seed.
pub fn runs(variants: &[String], seeds: &[u64], entries: &[Entry], baseline: Option<&str>) -> Vec<SeedRun> {
    let find = |name: &str, seed: u64| entries.iter().find(|e| e.variant == name && e.seed == seed);
    let mut runs = Vec::new();
    for &seed in seeds {
        let base = baseline.and_then(|name| find(name, seed)).and_then(Entry::result);
        for name in variants {
            let Some(entry) = find(name, seed) else { continue };
            let base = base
                .filter(|_| baseline != Some(name))
                .map(|result| result.seconds_per_step);
            runs.push(SeedRun {
                variant: name.clone(),
                seed,
                outcome: match &entry.ending {
                    Ending::Finished(result) => Outcome::Finished(measurements(result, base)),
                    Ending::Failed(message) => Outcome::Failed {
                        message: message.clone(),
                    },
                    Ending::Interrupted(step) => Outcome::Interrupted { step: *step },
                    Ending::Running(step) => Outcome::Running { step: *step },
                },
            });
        }
    }
    runs
}

/// The end of a variant: the mean of what its runs measured, or the first that did not finish.
pub fn over_seeds(runs: &[SeedRun], name: &str) -> Outcome {
    let runs: Vec<&SeedRun> = runs.iter().filter(|run| run.variant == name).collect();
    let mut measured = Vec::new();
    for run in &runs {
        match &run.outcome {
            Outcome::Finished(measurements) => measured.push(measurements),
            Outcome::Failed { message } if runs.len() > 1 => {
                return Outcome::Failed {
                    message: format!("seed {}: {message}", run.seed),
                };
            }
            other => return other.clone(),
        }
    }
    match Measurements::mean(&measured) {
        Some(mean) => Outcome::Finished(mean),
        None => Outcome::Failed {
            message: "it was not run".into(),
        },
    }
}

fn measurements(result: &RunResult, baseline: Option<f64>) -> Measurements {
    let seconds = &result.seconds;
    Measurements {
        steps: result.steps,
        validation_loss: result.validation_loss,
        validation_by_time: result.validation_by_time.clone(),
        guidance_loss: (!result.guidance_loss.is_empty()).then(|| result.guidance_loss.values().sum()),
        seconds_per_step: result.seconds_per_step,
        overhead: baseline.map(|base| result.seconds_per_step / base - 1.0),
        peak_memory_bytes: result.peak_memory_bytes,
        student_parameters: result.student_parameters,
        guidance_parameters: result.guidance_parameters,
        clipped_share: result.clipped_share,
        total_seconds: seconds.step + result.earlier_phases_seconds,
        earlier_phases_seconds: result.earlier_phases_seconds,
        parts: Parts::mean(&result.seconds, result.steps),
        operations: result.cost.operations,
        teacher_parameters: result.cost.teacher_parameters,
        encoder: result.cost.encoder,
    }
}

/// The cost of a step and of what came before the first, with the making of an encoder. A run that did not finish has images alone.
pub fn pace(recipe: &Recipe, outcome: &Outcome) -> Pace {
    let batch = recipe.optimiser.batch as f64;
    let earlier = recipe.phases.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let images = Pace {
        images: batch,
        earlier_images: earlier.iter().map(|phase| phase.steps as f64 * batch).sum(),
        ..Pace::default()
    };
    let Outcome::Finished(measured) = outcome else {
        return images;
    };
    let encoder = measured.encoder.map_or(Some(0.0), |encoder| {
        Some(encoder.training_operations? + encoder.encoding_operations)
    });
    Pace {
        operations: measured.operations.map(|o| o.step()),
        seconds: measured.seconds_per_step,
        earlier_operations: measured.operations.and_then(|o| Some(o.earlier_phases + encoder?)),
        earlier_seconds: measured.earlier_phases_seconds,
        ..images
    }
}

/// The log's columns as curves; those of a single source under the names that all variants share.
pub fn curves(lines: &[Line]) -> BTreeMap<String, Vec<Point>> {
    let mut curves: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    let alone = |prefix| is_one(lines, prefix);
    let (guidance, share) = (alone("guidance."), alone("share."));
    for line in lines {
        for (name, value) in line.of_training() {
            let name = match name.split_once('.') {
                Some(("guidance", _)) if guidance => "guidance",
                Some(("share", _)) if share => "guidance_share",
                _ => name,
            };
            curves
                .entry(name.to_owned())
                .or_default()
                .push(Point { step: line.step, value });
        }
    }
    curves
}

/// Tells that all names with this beginning are one.
fn is_one(lines: &[Line], prefix: &str) -> bool {
    let names = lines.iter().flat_map(|line| line.values.keys());
    let mut names: Vec<&String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort_unstable();
    names.dedup();
    names.len() == 1
}

/// A variant's guidance in words.
pub fn description(recipe: &Recipe) -> String {
    let source = |s: &SourceConfig| format!("{}, coefficient {}", s.plugin, s.coefficient());
    let phases = recipe.phases.iter().map(|phase| {
        let sources: Vec<String> = phase.guidance.iter().map(source).collect();
        let guided = if sources.is_empty() {
            "no guidance".into()
        } else {
            sources.join(" + ")
        };
        format!("{} steps of {guided}", phase.steps)
    });
    phases.collect::<Vec<_>>().join(", then ")
}
