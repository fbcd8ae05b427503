//! The bill: what a run cost beside its time, counted from shapes.

use serde::{Deserialize, Serialize};

use super::checkpoint::Saved;
use super::{Run, Seconds, StepData, Terms};
use crate::data::StepItem;
use crate::error::Error;
use crate::guidance::traced;
use crate::recipe::Phase;

/// Steps that are rehearsed of each stretch in which the same sources are called.
const REHEARSED: u64 = 4;

/// What a run cost, beside its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bill {
    /// Floating-point operations; none where they could not be counted.
    pub operations: Option<Operations>,
    /// Images of an optimiser step.
    pub images_per_step: u64,
    /// Images of all steps of earlier phases, repeats included.
    pub earlier_images: u64,
    /// Parameters of the last phase's teacher; 0 without one.
    pub teacher_parameters: u64,
    /// The making of the guide, if a source reads its features.
    pub guide: Option<GuideCost>,
}

/// Floating-point operations, a multiplication and an addition being two, counted from shapes: matrix products,
/// convolutions and attention, not what is linear in the size of its operands. A backward pass is twice its forward pass, less
/// what nobody needs: the gradients of inputs and of frozen features. Diagnostics, validation and samples do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// A step's student, forward and backward.
    pub student: f64,
    /// A step's forward passes of other networks, at the mean number of rows that they ran on.
    pub teacher: f64,
    /// A step's sources, forward and backward.
    pub guidance: f64,
    /// All steps of the last phase.
    pub last_phase: f64,
    /// All steps of earlier phases.
    pub earlier_phases: f64,
}

impl Operations {
    /// A whole step of the last phase.
    pub fn step(&self) -> f64 {
        self.student + self.teacher + self.guidance
    }
}

/// Mean seconds of a step of the last phase, by part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Waiting for data.
    pub data: f64,
    /// The student's forward pass and the denoising loss.
    pub student: f64,
    /// Forward passes of other networks.
    pub teacher: f64,
    /// The sources, without those passes.
    pub guidance: f64,
    /// The backward pass.
    pub backward: f64,
    /// Clipping, AdamW, moving average.
    pub update: f64,
}

impl Parts {
    /// The mean over `steps` steps that took `seconds` in all.
    pub fn mean(seconds: &Seconds, steps: u64) -> Self {
        let mean = |sum: f64| sum / steps.max(1) as f64;
        Self {
            data: mean(seconds.data),
            student: mean(seconds.student),
            teacher: mean(seconds.teacher),
            guidance: mean(seconds.guidance),
            backward: mean(seconds.backward),
            update: mean(seconds.update),
        }
    }
}

/// The making of a guide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GuideCost {
    /// Its parameters.
    pub parameters: u64,
    /// Floating-point operations of its training; none where they are not known.
    pub training_operations: Option<f64>,
    /// Floating-point operations of encoding the data once.
    pub encoding_operations: f64,
}

/// Floating-point operations of a phase's mean step.
#[derive(Clone, Copy, Default)]
struct StepOperations {
    student: f64,
    teacher: f64,
    guidance: f64,
}

impl StepOperations {
    fn sum(self) -> f64 {
        self.student + self.teacher + self.guidance
    }
}

impl Run {
    /// The bill of a run whose phases ended with the checkpoints `saved`.
    ///
    /// Operations are counted in a rehearsal of a few steps of each phase, and so need nothing that the training had counted.
    pub(super) fn bill(&self, saved: &[Saved]) -> Bill {
        let recipe = &self.recipe;
        let images = recipe.optimiser.batch as u64;
        let (last, earlier) = match recipe.phases.split_last() {
            Some((last, earlier)) => (Some(last), earlier),
            None => (None, &[][..]),
        };
        let taught = last.is_some_and(|phase| phase.teacher.is_some());
        let operations = self.operations(saved);
        Bill {
            operations: operations
                .inspect_err(|error| tracing::warn!("operations were not counted: {error}"))
                .ok(),
            images_per_step: images,
            earlier_images: earlier.iter().map(|phase| phase.steps * images).sum(),
            teacher_parameters: if taught { self.model.trainable_count() as u64 } else { 0 },
            guide: self.guide,
        }
    }

    fn operations(&self, saved: &[Saved]) -> Result<Operations, Error> {
        let mut operations = Operations::default();
        for (index, phase) in self.recipe.phases.iter().enumerate() {
            let step = self.rehearse(phase, index, saved)?;
            operations = Operations {
                student: step.student,
                teacher: step.teacher,
                guidance: step.guidance,
                earlier_phases: operations.earlier_phases + operations.last_phase,
                last_phase: step.sum() * phase.steps as f64,
            };
        }
        Ok(operations)
    }

    /// Sets a phase up again and lets its sources guide a few of its steps: how much they ask for can depend on the draws.
    fn rehearse(&self, phase: &Phase, index: usize, saved: &[Saved]) -> Result<StepOperations, Error> {
        let batch = self.recipe.optimiser.batch;
        let student = (self.model.training_operations() * batch as u64) as f64;
        if phase.guidance.is_empty() {
            return Ok(StepOperations {
                student,
                ..StepOperations::default()
            });
        }
        let ended = saved
            .get(index)
            .ok_or_else(|| Error::Training(format!("phase {:?} has no checkpoint", phase.name)))?;
        let seed = self.phase_seed(index);
        let mut setup = self.setup(phase, index, &saved[..index], seed)?;
        let parts = self.recipe.optimiser.accumulation;
        let null_class = self.model.null_class() as i64;
        let (mut guidance, mut rows, mut passes) = (0.0, 0, 0);
        for stretch in setup.replica.sources.stretches(phase.steps) {
            if setup.replica.active_names(stretch.start).is_empty() {
                continue;
            }
            let length = stretch.end - stretch.start;
            let count = REHEARSED.min(length);
            let mut work = 0;
            for i in 0..count {
                // In the middle of each of as many equal parts.
                let step = stretch.start + (2 * i + 1) * length / (2 * count);
                let item = StepItem::new(&self.dataset, seed, step, batch);
                let data = StepData::prepare(item, &self.recipe.diffusion, null_class).part(0, batch / parts);
                let (losses, trace) = traced(|| setup.replica.losses(&setup.model, &data, Terms::All));
                losses.map_err(|e| Error::Training(e.to_string()))?;
                setup.replica.commit();
                work += trace.work;
                for asked in trace.forwards {
                    let pass = match asked.output {
                        true => self.model.forward_operations(),
                        false => self
                            .model
                            .feature_operations(asked.depths.into_iter().max().unwrap_or(0)),
                    };
                    rows += asked.samples.len() as u64;
                    passes += asked.samples.len() as u64 * pass;
                }
            }
            guidance += work as f64 / count as f64 * parts as f64 * length as f64;
        }
        let row = match rows {
            // The rehearsed draws had no row that counts.
            0 => {
                let sources = &setup.replica.sources;
                let deepest = sources
                    .deepest_asked()
                    .map(|depth| self.model.feature_operations(depth));
                let whole = sources.asks_for_outputs().then(|| self.model.forward_operations());
                whole.or(deepest).unwrap_or(0) as f64
            }
            rows => passes as f64 / rows as f64,
        };
        // How many rows there were in the whole phase is known.
        let counters = ended.state()?.teacher;
        let steps = phase.steps as f64;
        Ok(StepOperations {
            student,
            teacher: row * (counters.rows + counters.padded_rows) as f64 / steps,
            guidance: guidance / steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_means_over_steps() {
        let seconds = Seconds {
            data: 1.0,
            student: 2.0,
            teacher: 3.0,
            guidance: 4.0,
            backward: 5.0,
            update: 6.0,
            step: 21.0,
        };
        let parts = Parts::mean(&seconds, 4);
        assert_eq!((parts.data, parts.teacher, parts.update), (0.25, 0.75, 1.5));
        assert_eq!(Parts::mean(&Seconds::default(), 0), Parts::default());
    }
}
