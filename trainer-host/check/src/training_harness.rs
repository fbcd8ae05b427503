//! Training steps of the production code on a case: a small student, and the source beside it.

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use sextant_data::{Clean, FieldBatch, HostBatch};
use sextant_model::{TrainBatch, apply, collect};
use sextant_recipe::{DiffusionRecipe, OptimiserRecipe, SourceConfig};
use sextant_train::{Losses, Owned, StepError, Terms, TrainModule, Worker, accumulate, learning_rate};

use super::case::Case;
use super::outcome::reached;
use super::plugin::PluginUnderTest;
use super::violation::{Violation, discard};
use super::{network, numbers};

/// A training of a case's batch, over and over.
pub struct TrainingHarness<'a> {
    plugin: &'a PluginUnderTest,
    case: Case,
    config: Option<SourceConfig>,
    worker: Worker,
    optimiser: OptimiserRecipe,
}

impl<'a> TrainingHarness<'a> {
    /// A training before its first step, with the source on this schedule, or without any.
    ///
    /// # Errors
    /// A discard where the plan refuses the geometry, and of a batch without samples.
    pub fn new(plugin: &'a PluginUnderTest, case: &Case, config: Option<SourceConfig>) -> Result<Self, Violation> {
        if case.samples.is_empty() {
            return discard("no step has a batch without samples");
        }
        let optimiser = OptimiserRecipe {
            lr: 1e-2,
            ema_decay: 0.9,
            batch: case.samples.len(),
            ..OptimiserRecipe::default()
        };
        let device = plugin.device();
        let sources = plugin.sources(config.clone(), case)?;
        let teacher = network::frozen(case, case.teacher_depth, "teacher", device)?;
        let module = TrainModule {
            sources: numbers::parameters(case, &sources, device),
            student: network::draw(case, case.depth, "student", device)?,
        };
        let diffusion = DiffusionRecipe {
            path: case.path,
            ..DiffusionRecipe::default()
        };
        let (teacher, inner) = (Some(teacher), device.clone().inner());
        Ok(Self {
            plugin,
            case: case.clone(),
            worker: Worker::new(module, sources, teacher, &optimiser, diffusion, case.seed, inner),
            config,
            optimiser,
        })
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn step(&mut self, index: u64) -> Result<(), Violation> {
        let batch = self.batch(index);
        let gradients = accumulate(&mut self.worker, &batch, self.optimiser.accumulation);
        self.plugin.beat();
        let mut gradients = gradients.map_err(|error| failure(error, index))?;
        let clipped = self.worker.clip(&mut gradients, self.optimiser.max_grad_norm);
        clipped.map_err(|error| failure(error, index))?;
        // Its rate is constant: a length is not needed.
        let lr = learning_rate(&self.optimiser, index, u64::MAX);
        let applied = self.worker.apply(gradients, index, lr);
        applied.map_err(|error| failure(error.into(), index))
    }

    /// Everything that a checkpoint would hold, by name, but for the optimiser's moments, which act on the next step.
    ///
    /// # Errors
    /// A buffer that cannot be read.
    pub fn state(&self) -> Result<BTreeMap<String, TensorData>, Violation> {
        let Worker {
            module, ema, buffers, ..
        } = &self.worker;
        let prefixed = |prefix: &'static str, tensors: BTreeMap<String, TensorData>| {
            tensors
                .into_iter()
                .map(move |(name, value)| (format!("{prefix} `{name}`"), value))
        };
        Ok(prefixed("student's", collect(&module.student))
            .chain(prefixed("moving average's", collect(&**ema)))
            .chain(prefixed("parameter", module.sources.named()))
            .chain(prefixed("buffer", buffers.named()?))
            .collect())
    }

    /// The same training after a stop: saved as a checkpoint saves it, and loaded into a new instance of the source.
    ///
    /// # Errors
    /// A state that cannot be loaded.
    pub fn resumed(&self) -> Result<Self, Violation> {
        let old = &self.worker;
        let load = |error: sextant_model::WeightsError| Violation::broken(error.to_string());
        let mut fresh = Self::new(self.plugin, &self.case, self.config.clone())?;
        let mut new = fresh.worker;
        let TrainModule { student, sources } = new.module.into_inner();
        new.module = Owned::new(TrainModule {
            student: apply(student, &collect(&old.module.student)).map_err(load)?,
            sources: sources.load_named(&old.module.sources.named())?,
        });
        new.ema = Owned::new(apply(new.ema.into_inner(), &collect(&*old.ema)).map_err(load)?);
        new.buffers = new.buffers.load_named(&old.buffers.named()?)?;
        // The optimiser's moments are kept in memory; that they survive a checkpoint is no business of a source.
        fresh.worker = new.with_moments(old.moments().clone());
        Ok(fresh)
    }

    /// The gradient of some terms of the objective with respect to every trained parameter, by path; none where the terms
    /// are a constant.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn gradient(&mut self, terms: Terms) -> Result<Option<BTreeMap<String, Vec<f32>>>, Violation> {
        let losses = self.losses(terms)?;
        if !losses.total.is_tracked() {
            return Ok(None);
        }
        Ok(Some(reached(&*self.worker.module, &losses.total.backward())))
    }

    /// Asks whether the source weighs the denoising loss at this step.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn weighs_denoising(&mut self) -> Result<bool, Violation> {
        let losses = self.losses(Terms::All)?;
        Ok(losses.guidance.iter().any(|source| source.denoising_weight.is_some()))
    }

    /// The gradients that one step of the production code gives the optimiser, and the module that they belong to.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn gradients(&mut self) -> Result<(GradientsParams, TrainModule), Violation> {
        let batch = self.batch(self.case.step);
        let gradients = self.worker.aside(|worker| worker.gradients(&batch));
        self.plugin.beat();
        let gradients = gradients.map_err(|error| failure(error, self.case.step))?;
        Ok((gradients.into_params(), TrainModule::clone(&self.worker.module)))
    }

    /// The losses of the case's step, which leave no trace: what is evaluated next finds the buffers as this did.
    fn losses(&mut self, terms: Terms) -> Result<Losses, Violation> {
        let batch = self.batch(self.case.step);
        let losses = self.worker.aside(|worker| worker.losses(&batch, terms));
        self.plugin.beat();
        Ok(losses?)
    }

    fn batch(&self, step: u64) -> TrainBatch {
        let case = &self.case;
        let side = case.side();
        let shape = [case.samples.len(), case.channels, side, side];
        let pixels = case.channels * side * side;
        let fields = self.plugin.fields().iter().map(|field| {
            let (shape, values) = (field.shape(case), numbers::field(case, field));
            let shape = [vec![case.samples.len()], shape].concat();
            (field.name.clone(), FieldBatch { shape, values })
        });
        let batch = HostBatch {
            step,
            shape,
            x: Clean::Values(numbers::normal(case, "x", pixels)),
            pictures: None,
            noise: numbers::normal(case, "noise", pixels),
            t: case.times(),
            labels: case.labels(),
            dropped: case.dropped(),
            ids: case.ids(),
            fields: fields.collect(),
        };
        TrainBatch::upload(batch, None, self.worker.device())
    }
}

/// A source's failure is its own; what else fails a step, counted from 0, is a violation.
fn failure(error: StepError, step: u64) -> Violation {
    match error {
        StepError::Guidance(error) => error.into(),
        error => Violation::broken(format!("step {} fails: {error}", step + 1)),
    }
}
