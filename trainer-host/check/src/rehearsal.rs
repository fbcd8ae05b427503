//! Training steps of the production code on a case: a small student, and the source beside it.

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use sextant_data::{FieldBatch, HostBatch};
use sextant_guidance::Sources;
use sextant_model::{TrainBatch, apply, collect, frozen_copy};
use sextant_recipe::{DiffusionRecipe, OptimiserRecipe, SourceConfig};
use sextant_train::{Terms, TrainModule, Worker, accumulate, ema_decay, learning_rate};

use super::case::Case;
use super::invariant::Break;
use super::outcome::reached;
use super::subject::Subject;
use super::{network, numbers};

/// A training of a case's batch, over and over.
pub struct Rehearsal<'a> {
    subject: &'a Subject,
    case: Case,
    config: Option<SourceConfig>,
    worker: Worker,
    optimiser: OptimiserRecipe,
}

impl<'a> Rehearsal<'a> {
    /// A training before its first step, with the source on this schedule, or without any.
    ///
    /// # Errors
    /// A discard where the plan refuses the geometry.
    pub fn new(subject: &'a Subject, case: &Case, config: Option<SourceConfig>) -> Result<Self, Break> {
        let optimiser = OptimiserRecipe {
            lr: 1e-2,
            ema_decay: 0.9,
            batch: case.samples.len(),
            ..OptimiserRecipe::default()
        };
        Ok(Self {
            subject,
            case: case.clone(),
            worker: worker(subject, case, config.clone(), &optimiser)?,
            config,
            optimiser,
        })
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// Where the source fails.
    pub fn step(&mut self, index: u64) -> Result<(), Break> {
        let batch = self.batch(index);
        let gradients = accumulate(&mut self.worker, &batch, self.optimiser.accumulation);
        self.subject.beat();
        let updated = gradients.and_then(|mut gradients| {
            self.worker.clip(&mut gradients, self.optimiser.max_grad_norm)?;
            Ok(gradients)
        });
        let gradients = updated.map_err(|reason| Break::broken(format!("step {index} fails: {reason}")))?;
        let decay = ema_decay(self.optimiser.ema_decay, self.optimiser.ema_warmup, index);
        self.worker
            .apply(gradients, index, learning_rate(&self.optimiser, index), decay);
        Ok(())
    }

    /// Everything that a checkpoint would hold, by name, but for the optimiser's moments, which act on the next step.
    ///
    /// # Errors
    /// Where a buffer cannot be read.
    pub fn state(&self) -> Result<BTreeMap<String, TensorData>, Break> {
        let Worker {
            module, ema, buffers, ..
        } = &self.worker;
        let prefixed = |prefix: &'static str, tensors: BTreeMap<String, TensorData>| {
            tensors
                .into_iter()
                .map(move |(name, value)| (format!("{prefix} `{name}`"), value))
        };
        Ok(prefixed("student's", collect(&module.student))
            .chain(prefixed("moving average's", collect(ema)))
            .chain(prefixed("parameter", module.sources.named()))
            .chain(prefixed("buffer", buffers.named()?))
            .collect())
    }

    /// The same training after a stop: saved as a checkpoint saves it, and loaded into a new instance of the source.
    ///
    /// # Errors
    /// Where what was saved cannot be loaded.
    pub fn resumed(&self) -> Result<Self, Break> {
        let old = &self.worker;
        let load = |error: sextant_model::WeightsError| Break::broken(error.to_string());
        let mut fresh = Self::new(self.subject, &self.case, self.config.clone())?;
        let mut new = fresh.worker;
        new.module = TrainModule {
            student: apply(new.module.student, &collect(&old.module.student)).map_err(load)?,
            sources: new.module.sources.load_named(&old.module.sources.named())?,
        };
        new.ema = apply(new.ema, &collect(&old.ema)).map_err(load)?;
        new.buffers = new.buffers.load_named(&old.buffers.named()?)?;
        // The optimiser's moments are kept in memory; that they survive a checkpoint is burn's business, not a source's.
        fresh.worker = new.with_moments(old.moments());
        Ok(fresh)
    }

    /// The gradient of some terms of the objective with respect to every trained parameter, by path; none where the terms
    /// are a constant.
    ///
    /// # Errors
    /// Where the source fails.
    pub fn gradient(&mut self, terms: Terms) -> Result<Option<BTreeMap<String, Vec<f32>>>, Break> {
        let batch = self.batch(self.case.step);
        let losses = self.worker.aside(|worker| worker.losses(&batch, terms))?;
        self.subject.beat();
        if !losses.total.is_tracked() {
            return Ok(None);
        }
        Ok(Some(reached(&self.worker.module, &losses.total.backward())))
    }

    /// Whether the source weighs the denoising loss at this step.
    ///
    /// # Errors
    /// Where the source fails.
    pub fn weighs_denoising(&mut self) -> Result<bool, Break> {
        let batch = self.batch(self.case.step);
        let losses = self.worker.aside(|worker| worker.losses(&batch, Terms::All))?;
        Ok(losses.guidance.iter().any(|source| source.denoising_weight.is_some()))
    }

    /// The gradients that one step of the production code gives the optimiser, and the module that they belong to.
    ///
    /// # Errors
    /// Where the source fails.
    pub fn gradients(&mut self) -> Result<(GradientsParams, TrainModule), Break> {
        let batch = self.batch(self.case.step);
        let gradients = self.worker.aside(|worker| worker.gradients(&batch));
        self.subject.beat();
        let gradients = gradients.map_err(|reason| Break::broken(format!("the step fails: {reason}")))?;
        Ok((gradients.into_params(), self.worker.module.clone()))
    }

    fn batch(&self, step: u64) -> TrainBatch {
        let case = &self.case;
        let side = case.side();
        let shape = [case.samples.len(), case.channels, side, side];
        let pixels = case.channels * side * side;
        let fields = self.subject.fields().iter().map(|field| {
            let (shape, values) = (field.shape(case), numbers::field(case, field));
            let shape = [vec![case.samples.len()], shape].concat();
            (field.name.clone(), FieldBatch { shape, values })
        });
        let batch = HostBatch {
            step,
            shape,
            x: numbers::normal(case, "x", pixels),
            noise: numbers::normal(case, "noise", pixels),
            t: case.times(),
            labels: case.labels(),
            dropped: case.dropped(),
            ids: case.ids(),
            fields: fields.collect(),
        };
        TrainBatch::upload(batch, self.worker.device())
    }
}

/// A worker before its first step, with new instances.
fn worker(
    subject: &Subject,
    case: &Case,
    config: Option<SourceConfig>,
    optimiser: &OptimiserRecipe,
) -> Result<Worker, Break> {
    let device = subject.device().clone();
    let plain = device.clone().inner();
    let sources = match config {
        Some(config) => subject.sources_with(config, case)?,
        None => Sources::with_libraries(Vec::new(), &case.geometry(subject.fields()))?,
    };
    let draw = |what, depth, device| network::draw(case, depth, what, device).map_err(|e| Break::Discard(e.0));
    let teacher = frozen_copy(&draw("teacher", case.teacher_depth, &plain)?);
    let module = TrainModule {
        sources: numbers::parameters(case, &sources, &device),
        student: draw("student", case.depth, &device)?,
    };
    let diffusion = DiffusionRecipe {
        path: case.path,
        ..DiffusionRecipe::default()
    };
    Ok(Worker::new(
        module,
        sources,
        Some(teacher),
        optimiser,
        diffusion,
        case.seed,
        plain,
    ))
}
