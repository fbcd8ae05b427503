//! What belongs to one device and is no parameter: moving average, teacher, plugin instances, buffers.
//!
//! A module that held these would be forked with every step by burn's multi-device strategies, and a cloned
//! average would share its parameters' ids with the student; so they travel inside the step's input.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, Int, Shape, Tensor, TensorData};

use super::checkpoint::{Saved, State};
use super::{StepData, Trainee};
use sextant_data::FieldBatch;
use crate::Error;
use sextant_guidance::{Buffers, GuidanceError, GuidanceStep, Services, SourceLoss, Sources};
use sextant_records::TeacherCounters;
use sextant_model::{Sit, apply};
use sextant_recipe::DiffusionRecipe;

/// Which terms of the objective a pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Denoising and every active source: training.
    All,
    /// Denoising alone.
    Denoising,
    /// The source at this place of [`SourceLoss`]es alone.
    Source(usize),
}

/// The losses of one pass, per sample, in the autodiff graph.
#[derive(Debug)]
pub struct Losses {
    /// Mean squared error of the network's output over C, H, W: `[B]`.
    pub denoising: Tensor<1>,
    /// Of each active source.
    pub guidance: Vec<SourceLoss>,
    /// `mean(weight * denoising) + sum of coefficient * mean(guidance)`, shape `[1]`.
    pub total: Tensor<1>,
}

/// Seconds spent in the parts of steps. On devices that run asynchronously these are the times to launch;
/// the whole step's time is right everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Seconds {
    /// Waiting for the loader.
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
    /// Whole steps, without diagnostics, validation and checkpoints.
    pub step: f64,
}

/// The state of one device. See the module.
pub struct Replica {
    /// Moving average of the student, as it stands after the last step.
    pub ema: Sit,
    /// The frozen network of an earlier phase.
    pub teacher: Option<Sit>,
    /// The loaded sources.
    pub sources: Sources,
    /// Their buffers, as they stand after the last step.
    pub buffers: Buffers,
    /// Path, prediction, times.
    pub diffusion: DiffusionRecipe,
    /// Seed of the sources' draws.
    pub seed: u64,
    /// Pad the rows of other networks' passes to a few counts.
    pub pad_rows: bool,
    /// Rows that other networks have run on.
    pub counters: TeacherCounters,
    /// Where the time goes.
    pub seconds: Seconds,
    /// The device, without autodiff.
    device: Device,
    /// Buffers within a step that is not done yet.
    working: Option<Buffers>,
    error: Option<String>,
}

impl Replica {
    /// The state before the first step.
    pub fn new(
        ema: Sit,
        teacher: Option<Sit>,
        sources: Sources,
        buffers: Buffers,
        diffusion: DiffusionRecipe,
        seed: u64,
        device: Device,
    ) -> Self {
        Self {
            ema,
            teacher,
            sources,
            buffers,
            diffusion,
            seed,
            pad_rows: sextant_model::device::compiles_kernels(&device),
            counters: TeacherCounters::default(),
            seconds: Seconds::default(),
            device: device.inner(),
            working: None,
            error: None,
        }
    }

    /// The device, without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// Where its files cannot be read or do not fit.
    pub fn restore(&mut self, saved: &Saved, state: &State) -> Result<(), Error> {
        self.ema = apply(self.ema.clone(), &saved.ema()?)?;
        self.buffers = std::mem::take(&mut self.buffers).load_named(&saved.buffers_of(&self.sources.names())?)?;
        self.seconds = state.seconds;
        self.counters = state.teacher;
        self.release_idle(state.step);
        Ok(())
    }

    /// Names of the sources that are called at `step`.
    pub fn active_names(&self, step: u64) -> Vec<String> {
        self.sources.active_at(step).into_iter().map(str::to_owned).collect()
    }

    /// Keeps the reason why a step failed, for the strategy to read before any update.
    pub fn fail(&mut self, reason: String) {
        self.error.get_or_insert(reason);
        self.working = None;
    }

    /// Why the step failed, if it did.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// The step is done: its buffers are the buffers.
    pub fn commit(&mut self) {
        if let Some(buffers) = self.working.take() {
            self.buffers = buffers;
        }
    }

    /// Seconds and counts so far, for [`Replica::restore_measurements`] after a pass that is a diagnostic.
    pub fn measurements(&self) -> (Seconds, TeacherCounters) {
        (self.seconds, self.counters)
    }

    /// Forgets what was measured, and what buffers would have become, since [`Replica::measurements`].
    pub fn restore_measurements(&mut self, (seconds, counters): (Seconds, TeacherCounters)) {
        self.seconds = seconds;
        self.counters = counters;
        self.working = None;
    }

    /// Lets the teacher go when no source will ask for it from `step` on.
    pub fn release_idle(&mut self, step: u64) {
        if self.teacher.is_some() && !self.sources.needs_teacher_from(step) {
            self.teacher = None;
        }
    }

    /// Forward passes and losses of one micro-batch (SiT, arXiv 2401.08740, eq. 2.11; guidance added per sample).
    ///
    /// # Errors
    /// What a source reports.
    pub fn losses(&mut self, model: &Trainee, data: &StepData, terms: Terms) -> Result<Losses, GuidanceError> {
        let started = Instant::now();
        let batch = Batch::upload(data, &self.device);
        let path = self.diffusion.path;
        let (x_t, velocity) = path.interpolate(batch.x.clone(), batch.noise.clone(), &data.t);
        let target = self
            .diffusion
            .prediction
            .target(path, batch.x.clone(), batch.noise.clone(), &data.t);
        let depths = self.sources.student_depths();
        let attending = self.sources.attention_depths();
        let out =
            model
                .student
                .forward_attending(x_t.clone(), batch.t.clone(), batch.dropped.clone(), &depths, &attending);
        let denoising = per_sample((out.velocity.clone() - target).square());
        self.seconds.student += started.elapsed().as_secs_f64();

        let guidance = if terms == Terms::Denoising {
            Vec::new()
        } else {
            let started = Instant::now();
            let teacher_before = self.counters.seconds;
            let taps = depths.into_iter().zip(out.taps).collect();
            let attention = attending.into_iter().zip(out.attention).collect();
            let step = GuidanceStep {
                index: data.step,
                x: &batch.x,
                noise: &batch.noise,
                x_t: &x_t,
                t: &batch.t,
                velocity: &velocity,
                labels: &batch.labels,
                dropped: &batch.dropped,
                taps: &taps,
                attention: &attention,
                output: Some(&out.velocity),
                fields: &batch.fields,
                ids: &data.ids,
                times: &data.t,
                label_values: &data.labels,
                dropped_values: &data.dropped,
            };
            let services = Services {
                teacher: self.teacher.as_ref(),
                ema: Some(&self.ema),
                path,
                seed: self.seed,
                null_class: model.student.config().null_class() as i64,
                pad_rows: self.pad_rows,
                counters: &mut self.counters,
            };
            let buffers = self.working.get_or_insert_with(|| self.buffers.clone());
            let losses = self.sources.guide(step, &model.sources, buffers, services)?;
            buffers.commit(&losses);
            let teacher = self.counters.seconds - teacher_before;
            self.seconds.teacher += teacher;
            self.seconds.guidance += started.elapsed().as_secs_f64() - teacher;
            losses
        };
        Ok(Losses {
            total: total(&denoising, &guidance, terms),
            denoising,
            guidance,
        })
    }
}

/// Mean over everything but the batch: `[B, C, H, W]` to `[B]`.
pub(super) fn per_sample(squares: Tensor<4>) -> Tensor<1> {
    squares.flatten::<2>(1, 3).mean_dim(1).squeeze_dim(1)
}

fn total(denoising: &Tensor<1>, guidance: &[SourceLoss], terms: Terms) -> Tensor<1> {
    let weighted = |source: &SourceLoss| source.loss.clone().mean() * source.coefficient;
    match terms {
        Terms::Source(i) => weighted(&guidance[i]),
        Terms::Denoising | Terms::All => {
            let weights = guidance.iter().filter_map(|g| g.denoising_weight.clone());
            let denoising = weights.fold(denoising.clone(), |loss, weight| loss * weight);
            guidance
                .iter()
                .fold(denoising.mean(), |sum, source| sum + weighted(source))
        }
    }
}

/// The tensors of a micro-batch, outside autodiff.
struct Batch {
    x: Tensor<4>,
    noise: Tensor<4>,
    t: Tensor<1>,
    labels: Tensor<1, Int>,
    dropped: Tensor<1, Int>,
    fields: BTreeMap<String, DispatchTensor>,
}

impl Batch {
    fn upload(data: &StepData, device: &Device) -> Self {
        let images = |values: &[f32]| Tensor::from_data(TensorData::new(values.to_vec(), data.shape), device);
        let count = [data.shape[0]];
        let labels = |values: &[i64]| Tensor::from_data(TensorData::new(values.to_vec(), count), device);
        Self {
            x: images(&data.x),
            noise: images(&data.noise),
            t: Tensor::from_data(TensorData::new(data.t.clone(), count), device),
            labels: labels(&data.labels),
            dropped: labels(&data.dropped),
            fields: data
                .fields
                .iter()
                .map(|(name, field)| (name.clone(), upload(field, device)))
                .collect(),
        }
    }
}

/// A field as the bridge takes it, of any rank.
fn upload(field: &FieldBatch, device: &Device) -> DispatchTensor {
    // The rank lives in the value, not in the type: as one dimension up, reshaped there.
    let flat = Tensor::<1>::from_data(TensorData::new(field.values.clone(), [field.values.len()]), device);
    Dispatch::float_reshape(flat.into_dispatch(), Shape::from(field.shape.clone()))
}
