//! Training steps of the production code on a case: a small student, and the source beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use burn::optim::GradientsParams;
use burn::tensor::TensorData;
use burn::train::{Learner, TrainStep};

use super::case::Case;
use super::outcome::reached;
use super::plugin::PluginUnderTest;
use super::violation::{Violation, discard};
use super::{network, numbers};
use crate::data::FieldBatch;
use crate::guidance::SourceConfig;
use crate::model::{apply, collect};
use crate::recipe::{DiffusionRecipe, OptimiserRecipe};
use crate::train::{Losses, Replica, StepData, StepInput, Terms, Trainee, learner, update};

/// A training of a case's batch, over and over.
pub struct TrainingHarness<'a> {
    plugin: &'a PluginUnderTest,
    case: Case,
    config: Option<SourceConfig>,
    learner: Learner<Trainee>,
    replica: Arc<Mutex<Replica>>,
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
        let device = plugin.device();
        let student = network::draw(case, case.depth, "student", device)?;
        let optimiser = OptimiserRecipe {
            lr: 1e-2,
            ema_decay: 0.9,
            batch: case.samples.len(),
            ..OptimiserRecipe::default()
        };
        let replica = replica(plugin, case, config.clone())?;
        let model = Trainee {
            sources: numbers::parameters(case, &replica.sources, device),
            student,
        };
        Ok(Self {
            plugin,
            case: case.clone(),
            config,
            learner: learner(model, &optimiser),
            replica: Arc::new(Mutex::new(replica)),
            optimiser,
        })
    }

    /// One optimiser step.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn step(&mut self, index: u64) -> Result<(), Violation> {
        let input = self.input(index);
        let updated = update(&mut self.learner, &input, &self.optimiser, index);
        self.plugin.beat();
        updated.map(|_| ()).map_err(|reason| self.failure(index, &reason))
    }

    /// Everything that a checkpoint would hold, by name, but for the optimiser's moments, which act on the next step.
    ///
    /// # Errors
    /// A buffer that cannot be read.
    pub fn state(&self) -> Result<BTreeMap<String, TensorData>, Violation> {
        let (model, replica) = (self.learner.model(), self.replica());
        let prefixed = |prefix: &'static str, tensors: BTreeMap<String, TensorData>| {
            tensors
                .into_iter()
                .map(move |(name, value)| (format!("{prefix} `{name}`"), value))
        };
        Ok(prefixed("student's", collect(&model.student))
            .chain(prefixed("moving average's", collect(&replica.ema)))
            .chain(prefixed("parameter", model.sources.named()))
            .chain(prefixed("buffer", replica.buffers.named()?))
            .collect())
    }

    /// The same training after a stop: saved as a checkpoint saves it, and loaded into a new instance of the source.
    ///
    /// # Errors
    /// A state that cannot be loaded.
    pub fn resumed(&self) -> Result<Self, Violation> {
        let (model, old) = (self.learner.model(), self.replica());
        let mut fresh = Self::new(self.plugin, &self.case, self.config.clone())?;
        let new = fresh.learner.model();
        let load = |error: crate::model::WeightsError| Violation::broken(error.to_string());
        let loaded = Trainee {
            student: apply(new.student, &collect(&model.student)).map_err(load)?,
            sources: new.sources.load_named(&model.sources.named())?,
        };
        // The optimiser's moments are kept in memory; that they survive a checkpoint is burn's business, not a source's.
        fresh.learner = self.learner.clone();
        fresh.learner.load_model(burn::module::Module::into_record(loaded));
        {
            let mut replica = fresh.replica();
            replica.ema = apply(replica.ema.clone(), &collect(&old.ema)).map_err(load)?;
            replica.buffers = std::mem::take(&mut replica.buffers).load_named(&old.buffers.named()?)?;
        }
        drop(old);
        Ok(fresh)
    }

    /// The gradient of some terms of the objective with respect to every trained parameter, by path; none where the terms
    /// are a constant.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn gradient(&self, terms: Terms) -> Result<Option<BTreeMap<String, Vec<f32>>>, Violation> {
        let model = self.learner.model();
        let losses = self.losses(&model, self.case.step, terms)?;
        if !losses.total.is_tracked() {
            return Ok(None);
        }
        Ok(Some(reached(&model, &losses.total.backward())))
    }

    /// Asks whether the source weighs the denoising loss at this step.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn weighs_denoising(&self) -> Result<bool, Violation> {
        let losses = self.losses(&self.learner.model(), self.case.step, Terms::All)?;
        Ok(losses.guidance.iter().any(|source| source.denoising_weight.is_some()))
    }

    /// The gradients that one step of the production code gives the optimiser, and the model that they belong to.
    ///
    /// # Errors
    /// A failure of the source.
    pub fn gradients(&self) -> Result<(GradientsParams, Trainee), Violation> {
        let model = self.learner.model();
        let before = self.replica().measurements();
        let output = TrainStep::step(&model, self.input(self.case.step));
        self.plugin.beat();
        let mut replica = self.replica();
        replica.restore_measurements(before);
        let error = replica.take_error();
        drop(replica);
        match error {
            Some(reason) => Err(self.failure(self.case.step, &reason)),
            None => Ok((output.grads, model)),
        }
    }

    /// The reason why a step failed. The production code gives words; whether they are the source's shows when it is asked again.
    fn failure(&self, index: u64, reason: &str) -> Violation {
        match self.losses(&self.learner.model(), index, Terms::All) {
            Err(why) => why,
            Ok(_) => Violation::broken(format!("step {} fails: {reason}", index + 1)),
        }
    }

    /// The losses of a step of the case's batch, which leave no trace: what is evaluated next finds the buffers as this did.
    fn losses(&self, model: &Trainee, index: u64, terms: Terms) -> Result<Losses, Violation> {
        let data = self.input(index).data;
        let mut replica = self.replica();
        let before = replica.measurements();
        let losses = replica.losses(model, &data, terms);
        replica.restore_measurements(before);
        self.plugin.beat();
        Ok(losses?)
    }

    fn replica(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn input(&self, step: u64) -> StepInput {
        let case = &self.case;
        let side = case.side();
        let shape = [case.samples.len(), case.channels, side, side];
        let pixels = case.channels * side * side;
        let fields = self.plugin.fields().iter().map(|field| {
            let (shape, values) = (field.shape(case), numbers::field(case, field));
            let shape = [vec![case.samples.len()], shape].concat();
            (field.name.clone(), FieldBatch { shape, values })
        });
        StepInput {
            data: StepData {
                step,
                shape,
                x: numbers::normal(case, "x", pixels),
                noise: numbers::normal(case, "noise", pixels),
                t: case.times(),
                labels: case.labels(),
                dropped: case.dropped(),
                ids: case.ids(),
                fields: fields.collect(),
            },
            replica: self.replica.clone(),
            scale: 1.0,
        }
    }
}

/// The state of the device, with new instances.
fn replica(plugin: &PluginUnderTest, case: &Case, config: Option<SourceConfig>) -> Result<Replica, Violation> {
    let device = plugin.device().clone();
    let plain = device.clone().inner();
    let sources = plugin.sources(config, case)?;
    let diffusion = DiffusionRecipe {
        path: case.path,
        ..DiffusionRecipe::default()
    };
    let buffers = sources.init_buffers(case.seed, &device);
    let teacher = Some(network::frozen(case, case.teacher_depth, "teacher", &device)?);
    // The average begins as the student, as it does in a run.
    let ema = network::frozen(case, case.depth, "student", &device)?;
    Ok(Replica::new(
        ema, teacher, sources, buffers, diffusion, case.seed, plain,
    ))
}
