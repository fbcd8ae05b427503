//! A training step, timed: the step of the loop itself, in a training of which nothing is kept.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use sextant_guidance::traced;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_model::diffusion::SamplerConfig;
use sextant_records::{Seconds, median};

use super::checkpoint::State;
use super::cost::StepOperations;
use super::error::{Error, StepError};
use super::phase::{PhaseSettings, Training};
use super::plan::StepMemory;
use super::progress::ProgressMode;
use super::sample::{self, Drawing};
use super::setup::Earlier;
use super::{Run, memory};

/// The steps of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchSteps {
    /// Steps before the first that is timed: caches are cold, and kernels not yet compiled.
    pub warmup: u64,
    /// Steps that are timed.
    pub timed: u64,
}

/// A step of a recipe's last phase, as it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredStep {
    /// Median seconds of each part, and of the whole, here with the wait for its data.
    pub seconds: Seconds,
    /// Median seconds up to the backward pass: the whole without that, the clip and the update.
    pub forward: f64,
    /// Median seconds that are in no part, such as the batch's way to the device.
    pub rest: f64,
    /// Seconds of the fastest and of the slowest step.
    pub range: [f64; 2],
    /// Mean operations.
    pub operations: StepOperations,
    /// Floating-point operations a second that matrix products reach on this device, now.
    pub product_speed: f64,
    /// Largest resident memory of the process up to the last step, in bytes, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Bytes that the allocator has taken of the device, where it has memory of its own.
    pub device_bytes: Option<u64>,
    /// The estimate of `sextant plan`.
    pub estimate: StepMemory,
}

impl MeasuredStep {
    /// Share of what products reach on the device that the step's operations reach.
    pub fn share_of_peak(&self) -> f64 {
        self.operations.sum() / self.seconds.step / self.product_speed
    }
}

impl Run {
    /// Times steps of the last phase, from its first one on. Earlier phases are not run: where it begins with their networks, or is
    /// taught by one, it is with untrained ones of the same shape. Writes nothing.
    ///
    /// # Errors
    /// A step that fails, a request to stop.
    pub fn bench(&self, steps: BenchSteps) -> Result<MeasuredStep, Error> {
        let phase = self.last_phase()?;
        let index = self.recipe.phases.len() - 1;
        let seed = self.phase_seed(index);
        let mut worker = self.worker(phase, index, Earlier::NotRun, seed)?;
        worker.waits = true;
        let settings = PhaseSettings {
            phase: phase.name.clone(),
            steps: phase.steps,
            optimiser: self.recipe.optimiser.clone(),
            output: self.recipe.output.clone(),
            validate_every: None,
            folder: PathBuf::new(),
        };
        let total = steps.warmup + steps.timed;
        let progress = self.options.progress.start(&self.options.label, 0, total);
        let mut progress = progress.warming_up(steps.warmup, "warming up");
        let quiet = ProgressMode::Quiet.start("", 0, total);
        let mut training = Training::new(settings, worker, State::default(), quiet);
        let mut batches = self.loader(phase, seed, 0).iter();
        let (mut seconds, mut operations) = (Vec::new(), Vec::new());
        for step in 0..total {
            interrupt::check()?;
            let before = training.worker().seconds;
            let pictures = training.worker().sees_pictures_at(step);
            let (stepped, trace) = traced(|| training.advance(&mut batches));
            stepped.map_err(|reason| match reason {
                StepError::Interrupted(stopped) => stopped.into(),
                reason => Error::Bench { step: step + 1, reason },
            })?;
            if step >= steps.warmup {
                seconds.push(between(&before, &training.worker().seconds));
                operations.push(self.step_operations(phase, &trace, pictures));
            }
            progress.step(step + 1);
        }
        let resident_bytes = memory::peak_bytes();
        let of_device = self.options.device.memory_pool_usage();
        drop(training);
        let over = |part: fn(&Seconds) -> f64| median(seconds.iter().map(part));
        let whole = seconds.iter().map(|step| step.step);
        Ok(MeasuredStep {
            seconds: Seconds {
                data: over(|s| s.data),
                encoding: over(|s| s.encoding),
                student: over(|s| s.student),
                teacher: over(|s| s.teacher),
                guidance: over(|s| s.guidance),
                backward: over(|s| s.backward),
                clip: over(|s| s.clip),
                update: over(|s| s.update),
                ranks: over(|s| s.ranks),
                step: over(|s| s.step),
            },
            forward: over(|s| s.step - s.backward - s.clip - s.update),
            rest: over(|s| {
                s.step - s.data - s.encoding - s.student - s.teacher - s.guidance - s.backward - s.clip - s.update
            }),
            range: [whole.clone().fold(f64::INFINITY, f64::min), whole.fold(0.0, f64::max)],
            operations: StepOperations::mean(&operations),
            product_speed: device::product_speed(&self.options.device),
            resident_bytes,
            device_bytes: of_device.map(|usage| usage.bytes_reserved),
            estimate: self.plan.phases[index].memory.clone(),
        })
    }

    /// Median seconds in which a batch of images is drawn by Euler's method of so many `steps`, without guidance, as latents, by a
    /// network of the last phase's shape.
    ///
    /// # Errors
    /// A sampler that does not get through, a request to stop.
    pub fn bench_sampling(&self, steps: usize, passes: BenchSteps) -> Result<f64, Error> {
        let index = self.recipe.phases.len() - 1;
        let worker = self.worker(self.last_phase()?, index, Earlier::NotRun, self.phase_seed(index))?;
        let batch = self.recipe.optimiser.batch;
        let drawing = Drawing {
            sampler: SamplerConfig {
                steps,
                ..SamplerConfig::default()
            },
            batch,
            ..Drawing::of(&self.recipe)
        };
        let labels = sample::labels(self.dataset.class_names().len(), batch);
        let (device, shape) = (&self.options.device, self.dataset.shape());
        let mut seconds = Vec::new();
        for pass in 0..passes.warmup + passes.timed {
            interrupt::check()?;
            let started = Instant::now();
            sample::latents(&worker.ema, &drawing, 0, &labels, shape, device)?;
            if pass >= passes.warmup {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        Ok(median(seconds))
    }
}

/// The seconds of one step, the wait for its data being a part of it.
fn between(before: &Seconds, after: &Seconds) -> Seconds {
    let data = after.data - before.data;
    Seconds {
        data,
        encoding: after.encoding - before.encoding,
        student: after.student - before.student,
        teacher: after.teacher - before.teacher,
        guidance: after.guidance - before.guidance,
        backward: after.backward - before.backward,
        clip: after.clip - before.clip,
        update: after.update - before.update,
        ranks: after.ranks - before.ranks,
        step: data + after.step - before.step,
    }
}
