//! Everything that belongs to one device: student, sources, optimiser, moving average, teacher, buffers.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use burn::module::{Module, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{DType, Device, Tensor, TensorData};
use sextant_data::HostBatch;
use sextant_guidance::{Buffers, GuidanceError, GuidanceStep, Services, SourceParams, Sources};
use sextant_interrupt as interrupt;
use sextant_model::device::compiles_kernels;
use sextant_model::diffusion::{Interpolant, Target};
use sextant_model::{Sit, TrainBatch, collect, ema_update, frozen_copy, param_id};
use sextant_recipe::{DiffusionRecipe, OptimiserRecipe, Precision, Recompute, Weights};
use sextant_records::checkpoint::Saved;
use sextant_records::{Seconds, TeacherCounters};

use super::adamw::AdamW;
use super::checkpoint::{SavedTensors, State, Tensors};
use super::encoders::{self, Encoders};
use super::error::{Error, RankError, StepError, caught};
use super::gradients::{self, Norms, Squares};
use super::loss_scale::LossScale;
use super::moments::Moments;
use super::objective::{Losses, StepOutput, Terms, per_sample};
use super::owned::Owned;
use super::reduce::shards::value_of;
use super::reduce::{Ranks, Shards, Wanted};
use super::schedule::ema_decay;

/// All that is trained: the student and the sources' parameters.
#[derive(Module, Debug)]
pub struct TrainModule {
    /// The network.
    pub student: Sit,
    /// Projectors and whatever else the sources declared; dropped after training.
    pub sources: SourceParams,
}

/// One device's part of a training.
pub struct Worker {
    /// The module that is trained.
    pub module: Owned<TrainModule>,
    /// Moving average of the student, as it stands after the last step.
    pub ema: Owned<Sit>,
    /// Further averages of it.
    pub further_emas: Vec<FurtherEma>,
    /// The loaded sources.
    pub sources: Sources,
    /// Their buffers, as they stand after the last step.
    pub buffers: Buffers,
    /// Rows that other networks have run on.
    pub counters: TeacherCounters,
    /// Time spent, by part.
    pub seconds: Seconds,
    /// Ends a part when the device is done with it, not when it is launched: for a benchmark. A training waits for nothing.
    pub waits: bool,
    /// The factor on the loss, of a student that computes in f16.
    pub loss_scale: Option<LossScale>,
    /// The parts of several ranks, where each has the moments and averages of its own alone.
    pub(super) shards: Option<Shards>,
    optimiser: AdamW,
    ema_decay: f64,
    ema_warmup: bool,
    /// The frozen network of an earlier phase.
    teacher: Option<Sit>,
    /// The frozen networks that encode batches.
    encoders: Encoders,
    diffusion: DiffusionRecipe,
    /// Seed of the sources' draws.
    seed: u64,
    /// Pad the rows of other networks' passes to a few counts.
    pad_rows: bool,
    recompute: Recompute,
    /// The device, without autodiff.
    device: Device,
    /// Buffers within a step that is not done yet.
    pub(super) working: Option<Buffers>,
}

/// A moving average beside the one that is validated and drawn from.
pub struct FurtherEma {
    /// Its decay.
    pub decay: f64,
    /// As it stands after the last step.
    pub network: Owned<Sit>,
}

/// The gradient of a step's mean loss, and the losses that it is of.
pub struct Gradients {
    pub(super) params: GradientsParams,
    /// The factor that they are to be multiplied by, `[1]`; 1 where they are not clipped.
    pub(super) factor: Option<Tensor<1>>,
    /// The sums of their squares, where other ranks have some of them.
    pub(super) squares: Option<Squares>,
    /// The losses, before the update.
    pub output: StepOutput,
}

impl Gradients {
    /// The gradients by parameter, not clipped.
    pub fn into_params(self) -> GradientsParams {
        self.params
    }
}

impl Worker {
    /// The state before the first step: the moving average begins as the student. `device` is without autodiff, the module's
    /// tensors with it.
    pub fn new(
        module: TrainModule,
        sources: Sources,
        teacher: Option<Sit>,
        optimiser: &OptimiserRecipe,
        diffusion: DiffusionRecipe,
        seed: u64,
        device: Device,
    ) -> Self {
        let device = device.inner();
        let further = |decay: &f64| FurtherEma {
            decay: *decay,
            network: Owned::new(frozen_copy(&module.student)),
        };
        Self {
            ema: Owned::new(frozen_copy(&module.student)),
            further_emas: optimiser.further_ema_decays.iter().map(further).collect(),
            buffers: sources.init_buffers(seed, &device),
            sources,
            counters: TeacherCounters::default(),
            seconds: Seconds::default(),
            waits: false,
            loss_scale: (module.student.precision() == Precision::F16).then(LossScale::default),
            shards: None,
            optimiser: AdamW::new(optimiser, &module),
            ema_decay: optimiser.ema_decay,
            ema_warmup: optimiser.ema_warmup,
            module: Owned::new(module),
            teacher,
            encoders: Encoders::default(),
            diffusion,
            seed,
            pad_rows: compiles_kernels(&device),
            recompute: Recompute::Off,
            device,
            working: None,
        }
    }

    /// With these networks, which encode its batches.
    pub fn with_encoders(self, encoders: Encoders) -> Self {
        Self { encoders, ..self }
    }

    /// With its moving averages on another device, to which the weights go in each step. Its sources must not ask for them.
    pub fn averaging_on(mut self, device: &Device) -> Self {
        let device = device.clone().inner();
        for network in self.averages_mut() {
            network.change(|network| network.to_device(&device));
        }
        self
    }

    /// With the moments and averages of its own part alone, if it is one of several ranks. Its sources must not ask for the averages.
    pub fn sharded(mut self, ranks: &Ranks) -> Self {
        if ranks.count() > 1 {
            self.shards = Some(Shards::of(&*self.module, ranks));
            self.keep_own_averages();
        }
        self
    }

    fn keep_own_averages(&mut self) {
        if let Some(shards) = self.shards.clone() {
            self.averages_mut().for_each(|network| shards.keep_own(network));
        }
    }

    fn averages_mut(&mut self) -> impl Iterator<Item = &mut Owned<Sit>> {
        let further = self.further_emas.iter_mut().map(|further| &mut further.network);
        std::iter::once(&mut self.ema).chain(further)
    }

    /// The moving average, or one of the further ones behind it.
    fn average_at(&self, which: usize) -> Option<&Sit> {
        let further = self.further_emas.iter().map(|further| &further.network);
        std::iter::once(&self.ema)
            .chain(further)
            .nth(which)
            .map(|network| &**network)
    }

    /// The moving average on the worker's device, to compute with. Where ranks have parts of it, all of them ask for it together.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn average(&self) -> Result<Sit, RankError> {
        let mut average = Owned::new(Sit::clone(&self.ema));
        if let Some(shards) = &self.shards {
            shards.gather(&mut average)?;
        }
        Ok(average.into_inner().to_device(&self.device))
    }

    /// Computing this part of the student's forward pass again, in the backward pass.
    pub fn recomputing(self, recompute: Recompute) -> Self {
        Self { recompute, ..self }
    }

    /// The device, without autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit.
    pub fn restore(mut self, saved: &Saved, state: &State) -> Result<Self, Error> {
        self = self.with_averages(saved)?;
        let names = self.sources.names();
        let TrainModule { student, sources } = self.module.into_inner();
        let module = TrainModule {
            student: saved.load(Weights::Model, student)?,
            sources: saved.load_sources(sources, &names)?,
        };
        let shards = self.shards.as_ref();
        let own = |id: u64| shards.is_none_or(|shards| shards.elsewhere(id.into()).is_none());
        self.optimiser.moments = saved.load_moments(&module, &self.device, own)?;
        self.module = Owned::new(module);
        self.buffers = saved.load_buffers(self.buffers, &names)?;
        self.seconds = state.seconds;
        self.counters = state.teacher;
        self.loss_scale = state.loss_scale;
        self.release_idle(state.step);
        Ok(self)
    }

    /// Goes on with the moving averages of a checkpoint.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit.
    pub fn with_averages(mut self, saved: &Saved) -> Result<Self, Error> {
        self.ema = Owned::new(saved.load(Weights::Ema, self.ema.into_inner())?);
        for further in &mut self.further_emas {
            let network = saved.load(Weights::FurtherEma(further.decay), Sit::clone(&further.network))?;
            further.network = Owned::new(network);
        }
        self.keep_own_averages();
        Ok(self)
    }

    /// The moving average, or one of the further ones behind it, by published names. The parts of other ranks are asked for: they
    /// [answer](Self::answer) while the first does something for all.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn collect_average(&self, which: usize) -> Result<Tensors, RankError> {
        let mut tensors = self.average_at(which).map(collect).unwrap_or_default();
        let Some(shards) = &self.shards else { return Ok(tensors) };
        for (name, data) in &mut tensors {
            let id = param_id(&format!("student.{name}"));
            if let Some(rank) = shards.elsewhere(id) {
                let values = shards.ask(rank, Wanted::Average(which, id.val()), data.as_bytes().len())?;
                *data = TensorData::from_bytes_vec(values, data.shape().clone(), DType::F32);
            }
        }
        Ok(tensors)
    }

    /// Writes the state of AdamW to `path`; the parts of other ranks as in [`collect_average`](Self::collect_average).
    ///
    /// # Errors
    /// A file that cannot be written, ranks that are lost.
    pub fn write_moments(&self, path: &Path) -> Result<(), Error> {
        let others = self.shards.as_ref().map(Shards::moments_elsewhere);
        let others = others.transpose()?.unwrap_or_default();
        Ok(self.optimiser.moments.write(path, others)?)
    }

    /// The values that another rank asks this one for, as bytes.
    pub fn answer(&self, wanted: Wanted) -> Vec<u8> {
        let moments = &self.optimiser.moments;
        match wanted {
            Wanted::Times => {
                let own = self.shards.iter().flat_map(Shards::own);
                own.flat_map(|own| (moments.time(own.id.val()) as u64).to_ne_bytes())
                    .collect()
            }
            Wanted::Moment(which, id) => moments.values(which, id),
            Wanted::Average(which, id) => self
                .average_at(which)
                .map_or(Vec::new(), |network| value_of(network, id.into())),
        }
    }

    /// The state of AdamW, for a checkpoint.
    pub fn moments(&self) -> &Moments {
        &self.optimiser.moments
    }

    /// The worker with these moments of AdamW.
    pub fn with_moments(mut self, moments: Moments) -> Self {
        self.optimiser.moments = moments;
        self
    }

    /// Names of the sources that are called at `step`.
    pub fn active_names(&self, step: u64) -> Vec<String> {
        self.sources.active_at(step).into_iter().map(str::to_owned).collect()
    }

    /// Those of them whose loss depends on what is trained.
    pub fn training_names(&self, step: u64) -> Vec<String> {
        let plans = self.sources.plans().filter(|(_, plan)| plan.trains());
        let training: Vec<&str> = plans.map(|(name, _)| name).collect();
        let mut names = self.active_names(step);
        names.retain(|name| training.contains(&name.as_str()));
        names
    }

    /// Names of all metrics that sources may return, with those of the sources before them.
    pub fn metric_names(&self) -> Vec<String> {
        let plans = self.sources.plans();
        plans
            .flat_map(|(name, plan)| plan.metrics.iter().map(move |metric| format!("{name}.{metric}")))
            .collect()
    }

    /// The batch of a step on the device, encoded where its data are pixels and the training is on latents of them.
    ///
    /// # Errors
    /// A fault that the backend reports.
    pub fn upload(&mut self, batch: HostBatch) -> Result<TrainBatch, StepError> {
        let started = Instant::now();
        let mut batch = caught(|| {
            let autoencoder = self.encoders.autoencoder.as_ref();
            Ok(TrainBatch::upload(batch, autoencoder, &self.device))
        })?;
        if !self.sees_pictures_at(batch.step) {
            batch.pictures = None;
        }
        if self.encoders.autoencoder.is_some() {
            self.seconds.encoding += self.since(started);
        }
        Ok(batch)
    }

    /// Samples `start..start + count` of a step's batch, with the fields that the encoder gives for them: a micro-batch.
    ///
    /// # Errors
    /// A fault that the backend reports.
    pub fn part(&mut self, batch: &TrainBatch, start: usize, count: usize) -> Result<TrainBatch, StepError> {
        let mut part = batch.part(start, count);
        if let Some(target) = self.encoders.target.as_ref().filter(|_| part.pictures.is_some()) {
            let started = Instant::now();
            let wanted = self.sources.fields_at(batch.step);
            caught(|| {
                target.add_fields(&mut part, &wanted);
                Ok(())
            })?;
            self.seconds.encoding += self.since(started);
        }
        Ok(part)
    }

    /// True if the encoder sees the pictures of `step`'s batch, for a source that is called then.
    pub fn sees_pictures_at(&self, step: u64) -> bool {
        let names = self.encoders.target.as_ref().map(encoders::Target::names);
        let fields = self.sources.fields_at(step);
        names.is_some_and(|names| names.iter().any(|name| fields.contains(name)))
    }

    /// The steps, of `0..steps`, at which the encoder sees the pictures of the batch.
    pub fn steps_with_pictures(&self, steps: u64) -> Vec<Range<u64>> {
        let intervals = self.sources.active_intervals(steps).into_iter();
        intervals.filter(|steps| self.sees_pictures_at(steps.start)).collect()
    }

    /// The gradient of the mean loss of `batch`, weighted with the batch's share of its step, and scaled as [`Worker::loss_scale`] says.
    ///
    /// # Errors
    /// A fault that a source or the backend reports.
    pub fn gradients(&mut self, batch: &TrainBatch) -> Result<Gradients, StepError> {
        let gradients = caught(|| {
            let mut losses = self.losses(batch, Terms::All)?;
            let started = Instant::now();
            let mut params = self.backward(&mut losses, batch.share * self.loss_factor());
            // AdamW skips a parameter without gradient, and its moments would stall where PyTorch's do not.
            let active = self.sources.active_at(batch.step);
            let of_active = |name: &str| active.contains(&name);
            self.module.sources.zero_missing_gradients(&mut params, of_active);
            self.seconds.backward += self.since(started);
            Ok(Gradients {
                params,
                factor: None,
                squares: None,
                output: losses.into(),
            })
        });
        if gradients.is_err() {
            self.working = None;
        }
        gradients
    }

    /// The gradients of `factor` times the total.
    fn backward(&self, losses: &mut Losses, factor: f64) -> GradientsParams {
        let mut gradients = (losses.total.clone() * factor).backward();
        let mut params = GradientsParams::from_module(&mut gradients, &*self.module);
        if let Some(way) = losses.way.take() {
            way.follow(&self.module.student, gradients, &mut params);
        }
        params
    }

    /// Has [`Worker::apply`] scale all gradients so that their joint norm is at most `limit`; the norms before.
    ///
    /// # Errors
    /// A step in which nothing has a gradient.
    pub fn clip(&mut self, gradients: &mut Gradients, limit: f64) -> Result<Norms, StepError> {
        let started = Instant::now();
        let squares = gradients.squares.take();
        let squares = squares.unwrap_or_else(|| gradients::squares(&*self.module, &gradients.params));
        let clipped = gradients::clip(&self.module, squares, limit, self.loss_factor());
        let (norms, factor) = clipped.ok_or(StepError::NoGradient)?;
        gradients.factor = Some(factor);
        self.seconds.clip += self.since(started);
        Ok(norms)
    }

    /// Changes the factor on the loss, where there is one, by what it made of the step's gradients. False if they overflow and the
    /// step has to be left out, as if it had not been: then nothing else changes. In f16 this waits for the device.
    pub fn adapt_loss_scale(&mut self, norms: &Norms) -> bool {
        let Some(scale) = &mut self.loss_scale else {
            return true;
        };
        let fits = scale.adapt(norms.all.clone().into_scalar::<f32>().is_finite());
        if !fits {
            self.working = None;
        }
        fits
    }

    fn loss_factor(&self) -> f64 {
        self.loss_scale.map_or(1.0, |scale| scale.factor)
    }

    /// Finishes optimiser step `step`, counted from 0: AdamW, moving averages, new values of buffers.
    ///
    /// # Errors
    /// Ranks that are lost, with whose parts the weights are not whole any more.
    pub fn apply(&mut self, gradients: Gradients, step: u64, lr: f64) -> Result<(), RankError> {
        let started = Instant::now();
        let Gradients { params, factor, .. } = gradients;
        let factor = factor.unwrap_or_else(|| Tensor::ones([1], &self.device));
        self.module
            .change(|module| self.optimiser.step(module, params, factor, lr));
        let student = &self.module.student;
        let decay = |decay| ema_decay(decay, self.ema_warmup, step);
        let shards = self.shards.as_ref();
        let own = |id: ParamId| shards.is_none_or(|shards| shards.elsewhere(id).is_none());
        self.ema
            .change(|ema| ema_update(ema, student, decay(self.ema_decay), own));
        for FurtherEma { decay: rate, network } in &mut self.further_emas {
            network.change(|ema| ema_update(ema, student, decay(*rate), own));
        }
        if let Some(buffers) = self.working.take() {
            self.buffers = buffers;
        }
        // The step's shares of the gradient may still ask: what no source needs any more goes a step later.
        self.release_idle(step);
        self.seconds.update += self.since(started);
        if let Some(shards) = &self.shards {
            let began = Instant::now();
            shards.gather(&mut self.module)?;
            self.seconds.ranks += began.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// Forward passes and losses of a micro-batch (SiT, arXiv 2401.08740, eq. 2.11; guidance added per sample).
    ///
    /// # Errors
    /// A fault that a source reports.
    pub fn losses(&mut self, batch: &TrainBatch, terms: Terms) -> Result<Losses, GuidanceError> {
        let started = Instant::now();
        let (path, prediction) = (self.diffusion.path, self.diffusion.prediction);
        let (x, noise, times) = (&batch.x, &batch.noise, &batch.times);
        let (x_t, velocity) = path.interpolate(x.clone(), noise.clone(), times);
        let target = prediction.target(x.clone(), noise.clone(), velocity.clone());
        let (depths, attending) = (self.sources.student_depths(), self.sources.attention_depths());
        let student = &self.module.student;
        let (t, labels) = (batch.t.clone(), batch.dropped.clone());
        let (out, way) = match self.recompute {
            Recompute::Off => {
                let out = student.forward_attending(x_t.clone(), t, labels, &depths, &attending);
                (out, None)
            }
            Recompute::Blocks => {
                let (out, way) = student.forward_recomputing(x_t.clone(), t, labels, &depths, &attending);
                (out, Some(way))
            }
        };
        let denoising = per_sample((out.output.clone() - target).square());
        self.seconds.student += self.since(started);

        let started = Instant::now();
        let teacher_before = self.counters.seconds;
        let step = GuidanceStep {
            batch,
            x_t: &x_t,
            velocity: &velocity,
            taps: &depths.into_iter().zip(out.taps).collect(),
            attention: &attending.into_iter().zip(out.attention).collect(),
            output: Some(&out.output),
        };
        let services = Services {
            teacher: self.teacher.as_ref(),
            ema: Some(&self.ema),
            path,
            seed: self.seed,
            null_class: student.config().null_class() as i64,
            precision: student.precision(),
            pad_rows: self.pad_rows,
            counters: &mut self.counters,
        };
        let buffers = self.working.get_or_insert_with(|| self.buffers.begun());
        let guidance = self.sources.guide(step, &self.module.sources, buffers, services)?;
        buffers.commit(&guidance);
        let teacher = self.counters.seconds - teacher_before;
        self.seconds.teacher += teacher;
        self.seconds.guidance += self.since(started) - teacher;
        let losses = Losses::new(denoising, guidance, terms);
        Ok(Losses { way, ..losses })
    }

    /// Does something that is no part of the training, such as a diagnostic pass: what it cost, and what buffers would have
    /// become, is forgotten.
    pub fn aside<T>(&mut self, pass: impl FnOnce(&mut Self) -> T) -> T {
        let before = (self.seconds, self.counters, self.working.take());
        let result = pass(self);
        (self.seconds, self.counters, self.working) = before;
        result
    }

    /// Norm of the gradient of some terms of the objective with respect to the student alone: `[1]`; none where the terms are a
    /// constant.
    ///
    /// # Errors
    /// A fault that a source reports.
    pub fn trunk_norm(&mut self, batch: &TrainBatch, terms: Terms) -> Result<Option<Tensor<1>>, GuidanceError> {
        let mut losses = self.losses(batch, terms)?;
        // A source whose loss is a constant at this step pulls at nothing.
        if !losses.total.is_tracked() {
            // Autodiff keeps what it has of a forward pass until there is a backward pass, and this one has none of its own: without
            // a trivial one, the next step would have its activations twice.
            drop(losses);
            let _ = self.module.student.final_layer.linear.bias.val().sum().backward();
            return Ok(None);
        }
        let scale = self.loss_factor();
        let grads = self.backward(&mut losses, scale);
        Ok(gradients::norm(&self.module.student, &grads).map(|norm| norm / scale))
    }

    /// Seconds since a part was begun.
    fn since(&self, started: Instant) -> f64 {
        if self.waits {
            // What a device has to say about its work, it says to whoever reads the result.
            let _ = self.device.sync();
        }
        started.elapsed().as_secs_f64()
    }

    /// Lets the teacher, and the encoder, go when no source will ask for it from `step` on.
    fn release_idle(&mut self, step: u64) {
        let names = self.encoders.target.as_ref().map(encoders::Target::names);
        if names.is_some_and(|names| !self.sources.reads_from(step, &names)) {
            self.encoders.target = None;
        }
        if self.teacher.is_some() && !self.sources.needs_teacher_from(step) {
            self.teacher = None;
        }
    }
}

/// The gradient of a step's mean loss, from `parts` micro-batches one after another.
///
/// # Errors
/// A fault that a source or the backend reports; nothing has changed then.
pub fn accumulate(worker: &mut Worker, batch: &TrainBatch, parts: usize) -> Result<Gradients, StepError> {
    let size = batch.samples() / parts;
    let mut sum = GradientsAccumulator::new();
    let mut outputs = Vec::with_capacity(parts);
    for part in 0..parts {
        if part > 0 {
            interrupt::check()?;
        }
        let micro = worker.part(batch, part * size, size)?;
        let gradients = worker.gradients(&micro)?;
        sum.accumulate(&*worker.module, gradients.params);
        outputs.push(gradients.output);
    }
    Ok(Gradients {
        params: sum.grads(),
        factor: None,
        squares: None,
        output: StepOutput::joined(outputs).ok_or(StepError::NoBatch)?,
    })
}
