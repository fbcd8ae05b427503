//! The operations of a run, counted from shapes in a rehearsal of a few steps.

use serde::Serialize;
use sextant_data::HostBatch;
use sextant_guidance::plan::Network;
use sextant_guidance::{Asked, Trace, traced};
use sextant_recipe::Phase;
use sextant_records::checkpoint::Saved;
use sextant_records::{ComputeCost, Operations};

use super::Run;
use super::checkpoint::SavedTensors;
use super::encoders::Target;
use super::error::Error;
use super::objective::Terms;
use super::setup::Earlier;

/// Steps that are rehearsed of each interval in which the same sources are called.
const REHEARSED: u64 = 4;

/// Floating-point operations of a step, as [`Operations`] counts them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct StepOperations {
    /// Frozen networks that see the images of the batch.
    pub encoding: f64,
    /// The student, forward and backward.
    pub student: f64,
    /// Forward passes of other networks.
    pub teacher: f64,
    /// The sources, forward and backward.
    pub guidance: f64,
}

impl StepOperations {
    /// All of them.
    pub fn sum(self) -> f64 {
        self.encoding + self.student + self.teacher + self.guidance
    }

    /// The mean of some steps.
    pub(super) fn mean(steps: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| steps.iter().map(of).sum::<f64>() / steps.len().max(1) as f64;
        Self {
            encoding: mean(|step| step.encoding),
            student: mean(|step| step.student),
            teacher: mean(|step| step.teacher),
            guidance: mean(|step| step.guidance),
        }
    }
}

impl Run {
    /// Operations of one step of a phase, of which `trace` tells what its sources asked for, and `pictures` if the encoder sees its
    /// batch.
    pub(super) fn step_operations(&self, phase: &Phase, trace: &Trace, pictures: bool) -> StepOperations {
        let batch = self.recipe.optimiser.batch;
        let passes = trace.forwards.iter().map(|asked| self.asked_operations(phase, asked));
        let seen = self
            .target
            .as_ref()
            .filter(|_| pictures)
            .map_or(0.0, Target::operations);
        StepOperations {
            encoding: (self.latent_operations() + seen) * batch as f64,
            student: (self.model.training_operations() * batch as u64) as f64,
            teacher: passes.sum::<u64>() as f64,
            guidance: trace.work as f64,
        }
    }

    /// Operations of the passes of another network that a source asked for.
    fn asked_operations(&self, phase: &Phase, asked: &Asked) -> u64 {
        let network = match asked.network {
            Network::Teacher => self.teachers.get(&phase.name).unwrap_or(&self.model),
            _ => &self.model,
        };
        let deepest = asked.depths.iter().copied().max().unwrap_or(0);
        asked.samples.len() as u64 * network.pass_operations(deepest, asked.output)
    }

    /// The cost of a run whose phases ended with the checkpoints `saved`.
    ///
    /// Operations are counted in a rehearsal of a few steps of each phase, and so need nothing that the training had counted.
    pub(super) fn cost(&self, saved: &[Saved]) -> ComputeCost {
        let recipe = &self.recipe;
        let images = recipe.optimiser.batch as u64;
        let (last, earlier) = match recipe.phases.split_last() {
            Some((last, earlier)) => (Some(last), earlier),
            None => (None, &[][..]),
        };
        let taught = last.filter(|phase| phase.teacher.is_some());
        let teacher = taught.map(|phase| self.teachers.get(&phase.name).unwrap_or(&self.model));
        let operations = self.operations(saved);
        ComputeCost {
            operations: operations
                .inspect_err(|error| tracing::warn!("operations were not counted: {error}"))
                .ok(),
            images_per_step: images,
            earlier_images: earlier.iter().map(|phase| phase.steps * images).sum(),
            teacher_parameters: teacher.map_or(0, |teacher| teacher.trainable_count() as u64),
            encoder: self.encoder,
        }
    }

    fn operations(&self, saved: &[Saved]) -> Result<Operations, Error> {
        let mut operations = Operations::default();
        for (index, phase) in self.recipe.phases.iter().enumerate() {
            let step = self.rehearse(phase, index, saved)?;
            operations = Operations {
                encoding: step.encoding,
                student: step.student,
                teacher: step.teacher,
                guidance: step.guidance,
                earlier_phases: operations.earlier_phases + operations.last_phase,
                last_phase: step.sum() * phase.steps as f64,
            };
        }
        Ok(operations)
    }

    /// Operations of encoding an image to the latents that are trained on; 0 where they are not made in the step.
    fn latent_operations(&self) -> f64 {
        let side = self.dataset.source_side();
        match (&self.autoencoder, side) {
            (Some(autoencoder), Ok(side)) => autoencoder.config().encoding_operations(side) as f64,
            _ => 0.0,
        }
    }

    /// Sets a phase up again and lets its sources guide a few of its steps: how much they ask for can depend on the draws.
    fn rehearse(&self, phase: &Phase, index: usize, saved: &[Saved]) -> Result<StepOperations, Error> {
        let batch = self.recipe.optimiser.batch;
        let student = (self.model.training_operations() * batch as u64) as f64;
        let encoding = self.latent_operations() * batch as f64;
        if phase.guidance.is_empty() {
            return Ok(StepOperations {
                encoding,
                student,
                ..StepOperations::default()
            });
        }
        let ended = saved.get(index).ok_or_else(|| Error::Untrained(phase.name.clone()))?;
        let seed = self.phase_seed(index);
        let mut worker = self.worker(phase, index, Earlier::Trained(&saved[..index]), seed)?;
        let parts = self.options.ranks.cut(&self.recipe.optimiser).accumulation;
        let null_class = self.model.null_class() as i64;
        let teacher = self.teachers.get(&phase.name).unwrap_or(&self.model);
        let diffusion = &self.recipe.diffusion;
        let (mut guidance, mut rows, mut passes, mut encoded) = (0.0, 0, 0, 0);
        for interval in worker.sources.active_intervals(phase.steps) {
            if worker.active_names(interval.start).is_empty() {
                continue;
            }
            let length = interval.end - interval.start;
            let pictures = worker.sees_pictures_at(interval.start);
            if pictures {
                encoded += length * batch as u64;
            }
            let count = REHEARSED.min(length);
            let mut work = 0;
            for i in 0..count {
                // In the middle of each of as many equal parts.
                let step = interval.start + (2 * i + 1) * length / (2 * count);
                let data = HostBatch::new(&self.dataset, seed, step, batch, diffusion, null_class, pictures)?;
                let data = worker.upload(data)?;
                let data = worker.part(&data, 0, batch / parts)?;
                let (losses, trace) = traced(|| worker.losses(&data, Terms::All));
                let total = losses?.total;
                if total.is_tracked() {
                    // Else autodiff would keep what it has of every step that is rehearsed.
                    total.backward();
                }
                work += trace.work;
                for asked in &trace.forwards {
                    rows += asked.samples.len() as u64;
                    passes += self.asked_operations(phase, asked);
                }
            }
            guidance += work as f64 / count as f64 * parts as f64 * length as f64;
        }
        let row = match rows {
            // The rehearsed draws had no row that counts.
            0 => {
                let (deepest, output) = (worker.sources.deepest_asked(), worker.sources.asks_for_outputs());
                let asked = output || deepest.is_some();
                let pass = teacher.pass_operations(deepest.unwrap_or(0), output);
                if asked { pass as f64 } else { 0.0 }
            }
            rows => passes as f64 / rows as f64,
        };
        // How many rows there were in the whole phase is known.
        let counters = ended.state()?.teacher;
        let steps = phase.steps as f64;
        let seen = self.target.as_ref().map_or(0.0, Target::operations) * encoded as f64;
        Ok(StepOperations {
            encoding: encoding + seen / steps,
            student,
            teacher: row * (counters.rows + counters.padded_rows) as f64 / steps,
            guidance: guidance / steps,
        })
    }
}
