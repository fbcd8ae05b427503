//! A comparison's report as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use sextant_records::evaluation::Evaluation;
pub use sextant_records::{EncoderCost, Operations, Parts};
use sextant_stats::statistics::{Comparison, SpeedUp};

/// Everything that the page of a comparison shows. All text is plain text: escaping is the renderer's business.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// File name of the base recipe, as the user gave it.
    pub recipe: String,
    /// Remarks on what went wrong or is not as it seems, a sentence each.
    pub remarks: Vec<String>,
    /// Time at which the report was made, as it should be read.
    pub created: String,
    /// The device that trained, in words.
    pub device: String,
    /// Programs that ran, by name and version: sextant, burn, the plugin ABI, the operating system.
    pub versions: Vec<(String, String)>,
    /// The data set in words: name, size, split, fingerprint.
    pub data: String,
    /// The command that makes this comparison again.
    pub command: String,
    /// The variants in the order of the recipe, which is also their order in every table, legend and grid.
    pub variants: Vec<Variant>,
    /// The resolved base recipe (TOML) that the variants' overlays change.
    pub base_recipe: String,
    /// Layout of the sample grids; the same for every variant.
    pub grid: SampleGrid,
    /// The seeds that every variant was trained with. Curves, samples and plugins are of the first.
    pub seeds: Vec<u64>,
    /// Every run, variant by variant, seed by seed.
    pub runs: Vec<SeedRun>,
    /// The name of the primary score.
    pub score: String,
    /// The primary score by variant and seed, of those that have it.
    pub scores: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Verdicts by the primary score over the seeds; none without a baseline.
    pub verdict: Option<Comparison>,
    /// Set where the primary score is another than the recipes had declared before the runs.
    pub chosen_afterwards: bool,
    /// Speed-ups to the baseline’s end, by variant.
    pub speed_ups: BTreeMap<String, SpeedUps>,
    /// Every score beside the primary one, compared over the seeds in the same way: by every judge, so that a reader
    /// sees where they disagree.
    pub other_scores: Vec<Comparison>,
    /// The guided variants against each variant that was trained longer without guidance, by the primary score.
    pub against_longer: Vec<Comparison>,
}

/// The speed-up of a variant over the baseline, by the validation loss.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeedUps {
    /// In optimiser steps of the last phase.
    pub steps: SpeedUp,
    /// In training images, those of earlier phases on the bill.
    pub images: Option<SpeedUp>,
    /// In floating-point operations, earlier phases and the making of an encoder on the bill; none where they were not
    /// counted.
    pub operations: Option<SpeedUp>,
    /// In seconds of training steps, earlier phases on the bill.
    pub seconds: SpeedUp,
}

/// One variant with one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedRun {
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// The end of its run.
    pub outcome: Outcome,
}

/// The layout that all variants' sample grids share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SampleGrid {
    /// Images in a row.
    pub columns: usize,
    /// Rows of images.
    pub rows: usize,
    /// Class names: one a column, or one a cell (row by row). Any other number is listed as it is.
    pub labels: Vec<String>,
    /// Way in which the samples were drawn (sampler, steps, guidance scale, weights, seed), in words; may be empty.
    pub note: String,
}

/// One variant of the comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Variant {
    /// The name that the recipe gives it.
    pub name: String,
    /// Its guidance in a few words, for instance `repa, depth 4, coefficient 0.5`.
    pub guidance: String,
    /// The end of its run; with several seeds, the mean of what they measured, or the first that did not finish.
    pub outcome: Outcome,
    /// Values logged during the last phase by name, with each seed in the order of [`Report::seeds`]; empty where a run
    /// has no log. `denoising`, `validation`, `guidance`, `grad_norm` and `guidance_share` have readable titles, others their
    /// own names. Points may be in any order; of several at one step, the last counts.
    pub curves: Vec<BTreeMap<String, Vec<Point>>>,
    /// Cost of a step, by which curves can be drawn over images, operations and time.
    pub pace: Pace,
    /// Sample grids over training, of the first seed, in rising order of steps; the last is that of the end. Laid out as
    /// [`Report::grid`] says.
    pub grids: Vec<Grid>,
    /// Evaluations with each seed, in the order of [`Report::seeds`]; none where it was not.
    pub evaluations: Vec<Option<Evaluation>>,
    /// The most suspicious samples of the first seed, each with its nearest training images: an encoded PNG.
    pub neighbours_png: Option<Vec<u8>>,
    /// The pictures that the first evaluation's maps name, encoded PNGs by file name.
    pub map_pngs: BTreeMap<String, Vec<u8>>,
    /// Changes of this variant to the base recipe (TOML); empty when there are none.
    pub overlay: String,
    /// The plugins that its run loaded.
    pub plugins: Vec<Plugin>,
    /// Changes of its runs' recipes while they were interrupted, and forks.
    pub changes: Vec<RunChange>,
}

/// Cost of one step of a variant's last phase, and of what came before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pace {
    /// Images a step.
    pub images: f64,
    /// Floating-point operations a step; none where they were not counted.
    pub operations: Option<f64>,
    /// Seconds a step.
    pub seconds: f64,
    /// Images of earlier phases.
    pub earlier_images: f64,
    /// Floating-point operations of earlier phases; none where they were not counted.
    pub earlier_operations: Option<f64>,
    /// Seconds of earlier phases.
    pub earlier_seconds: f64,
}

/// A sample grid at one point of the training.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Grid {
    /// Optimiser steps done.
    pub step: u64,
    /// An encoded PNG, laid out as [`Report::grid`] says.
    pub png: Vec<u8>,
}

impl Report {
    /// The same without its pictures, which as text would drown the rest.
    pub fn without_pictures(mut self) -> Self {
        for variant in &mut self.variants {
            variant.neighbours_png = None;
            variant.grids.clear();
            variant.map_pngs.clear();
        }
        self
    }

    /// Measurements of each finished variant: its place in the report, its name, its numbers.
    pub(crate) fn finished(&self) -> impl Iterator<Item = (usize, &str, &Measurements)> {
        let variants = self.variants.iter().enumerate();
        variants.filter_map(|(index, variant)| match &variant.outcome {
            Outcome::Finished(measured) => Some((index, variant.name.as_str(), measured)),
            _ => None,
        })
    }

    /// Everything that was evaluated, variant by variant, seed by seed.
    pub(crate) fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.variants
            .iter()
            .flat_map(|variant| variant.evaluations.iter().flatten())
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Interrupted { step: 0 }
    }
}

/// The end of a variant's run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "most runs finish, and a report has few")]
pub enum Outcome {
    /// It ran to its last step.
    Finished(Measurements),
    /// It was stopped, and can be resumed.
    Interrupted {
        /// The last completed step.
        step: u64,
    },
    /// Another process is training it.
    Running {
        /// The last completed step so far.
        step: u64,
    },
    /// It ended with an error.
    Failed {
        /// The error as the user saw it.
        message: String,
    },
}

/// Measurements of a finished run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measurements {
    /// Optimiser steps of the last phase.
    pub steps: u64,
    /// Denoising loss on the fixed validation set with fixed times and noise, after the last step.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub validation_loss: f64,
    /// The same at each of the fixed times: time and loss, in rising order of time. Of single runs alone.
    pub validation_by_time: Vec<[f64; 2]>,
    /// Mean guidance loss at the end, before its coefficient; `None` without a source.
    pub guidance_loss: Option<f64>,
    /// Median wall time of a step in the last phase, in seconds.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub seconds_per_step: f64,
    /// Extra time of a step as a fraction of the baseline's (0.25 is a quarter more); `None` for the baseline itself or
    /// when there is none.
    pub overhead: Option<f64>,
    /// Largest resident memory of the process during the run, in bytes; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Trainable parameters of the student.
    pub student_parameters: u64,
    /// Trainable parameters of the sources, dropped after training.
    pub guidance_parameters: u64,
    /// Fraction (0 to 1) of the steps whose gradient was clipped.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub clipped_share: f64,
    /// Wall time of all training steps that this variant needed, earlier phases included, in seconds.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub total_seconds: f64,
    /// The part of it that earlier phases took, such as Self-Transcendence's teacher, in seconds.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub earlier_phases_seconds: f64,
    /// Seconds of a step by part.
    pub parts: Parts,
    /// Floating-point operations; none where they were not counted.
    pub operations: Option<Operations>,
    /// Parameters of the last phase's teacher; 0 without one.
    pub teacher_parameters: u64,
    /// The making of the encoder whose features a source reads, where that is known: on the bill as well.
    pub encoder: Option<EncoderCost>,
}

impl Measurements {
    /// The mean of what several seeds measured; none of none. Counts are those of the first: seeds do not change them.
    pub fn mean(of: &[&Self]) -> Option<Self> {
        let first = *of.first()?;
        let mean = |value: fn(&Self) -> f64| of.iter().map(|m| value(m)).sum::<f64>() / of.len() as f64;
        // There is no mean where one of them lacks it.
        let optional = |value: fn(&Self) -> Option<f64>| {
            let all: Option<Vec<f64>> = of.iter().map(|m| value(m)).collect();
            all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
        };
        Some(Self {
            validation_loss: mean(|m| m.validation_loss),
            validation_by_time: Vec::new(),
            guidance_loss: optional(|m| m.guidance_loss),
            seconds_per_step: mean(|m| m.seconds_per_step),
            overhead: optional(|m| m.overhead),
            peak_memory_bytes: of.iter().map(|m| m.peak_memory_bytes).max().flatten(),
            clipped_share: mean(|m| m.clipped_share),
            total_seconds: mean(|m| m.total_seconds),
            earlier_phases_seconds: mean(|m| m.earlier_phases_seconds),
            parts: Parts {
                data: mean(|m| m.parts.data),
                encoding: mean(|m| m.parts.encoding),
                student: mean(|m| m.parts.student),
                teacher: mean(|m| m.parts.teacher),
                guidance: mean(|m| m.parts.guidance),
                backward: mean(|m| m.parts.backward),
                update: mean(|m| m.parts.update),
            },
            ..first.clone()
        })
    }
}

/// One logged value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The optimiser step, counted from 1.
    pub step: u64,
    /// The value; one that is not finite is a gap in the curve.
    #[serde(serialize_with = "number_or_null::serialize")]
    pub value: f64,
}

/// A shared library that a run loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plugin {
    /// The source's name, as its plugin states it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the library's file, in hexadecimal.
    pub sha256: String,
    /// The phase and its step after which it took the place of another library; none for one that the run began with.
    pub since: Option<(String, u64)>,
}

/// A change of a run that had begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunChange {
    /// The key with both values, or the run that it was forked from.
    pub what: String,
    /// The phase and its steps that were done before.
    pub since: (String, u64),
    /// The run's seed.
    pub seed: u64,
    /// The time, where that is known.
    pub at: String,
}

/// JSON has no NaN and no infinity: both are written as `null`.
mod number_or_null {
    use serde::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_json_cannot_hold_are_null() {
        let points = [(1, 0.1 + 0.2), (2, f64::INFINITY)].map(|(step, value)| Point { step, value });
        let json = serde_json::to_string(&points).unwrap();
        assert_eq!(
            json,
            r#"[{"step":1,"value":0.30000000000000004},{"step":2,"value":null}]"#
        );
    }
}
