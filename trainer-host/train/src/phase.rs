//! One phase: the training loop, and what is due between its steps.
//!
//! A step that fails leaves no trace: nothing is changed before all of it is known to be good. The last good step is written to
//! disk, as it is on an interrupt.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Tensor;
use sextant_data::{DataError, HostBatch};
use sextant_interrupt as interrupt;
use sextant_model::device::compiles_kernels;
use sextant_model::{Sit, TrainBatch};
use sextant_recipe::{OptimiserRecipe, OutputRecipe, Weights};
use sextant_records::checkpoint::{Saved, list};
use sextant_records::journal::{Journal, MACHINE};
use sextant_records::{Seconds, ValidationLoss};

use super::accumulator::{Diverged, ScalarAccumulator};
use super::checkpoint::{self, Contents, State};
use super::error::{Error, StepError, caught};
use super::gradients::Norms;
use super::loss_scale::LossScale;
use super::memory;
use super::objective::{StepOutput, Terms};
use super::progress::Progress;
use super::reduce::Ranks;
use super::sample::TrainingSamples;
use super::schedule::learning_rate;
use super::validation::{ValidationBatch, shared_validation_loss};
use super::worker::{Worker, accumulate};

/// Settings of a phase's loop.
pub struct PhaseSettings {
    /// Name of the phase.
    pub phase: String,
    /// Steps of the phase in all.
    pub steps: u64,
    /// Optimiser settings.
    pub optimiser: OptimiserRecipe,
    /// Files that are written, and how often.
    pub output: OutputRecipe,
    /// Steps between two validations; 0 for one at the end, none for no validation at all.
    pub validate_every: Option<u64>,
    /// Folder for the checkpoints.
    pub folder: PathBuf,
}

/// The end of a phase's training.
#[derive(Debug)]
pub enum Ending {
    /// All steps are done.
    Finished(Saved),
    /// Someone asked to stop.
    Interrupted(Saved),
    /// The step after the saved one failed, for this reason.
    Failed {
        /// The last good step (0 where the first failed).
        saved: Saved,
        /// The step that failed, counted from 1.
        step: u64,
        /// The cause.
        reason: StepError,
    },
}

/// Sees every step; what tests and other programs look through.
pub trait Observer: Send {
    /// After a step's update. `norm` is that of all gradients before clipping, `[1]`.
    fn stepped(&mut self, step: u64, output: &StepOutput, norm: &Tensor<1>);
}

/// Steps of a process that compile most kernels, and choose among them, where a device needs that.
const WARMUP: u64 = 3;

/// Tells whether something is due after this step that is so every so many; 0 is never.
fn falls_due(every: u64, step: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// A phase under way.
pub struct Training {
    settings: PhaseSettings,
    worker: Worker,
    state: State,
    scalars: ScalarAccumulator,
    validation: Vec<ValidationBatch>,
    progress: Progress,
    journal: Option<Journal>,
    samples: Option<TrainingSamples>,
    ranks: Ranks,
    /// Step and seconds when the last line was logged.
    logged: (u64, Seconds),
    /// The last step of this process that compiles kernels; its seconds and those before it are in no line.
    warm: u64,
    /// The step after which the device was last waited for.
    waited: u64,
    observer: Option<Box<dyn Observer>>,
}

impl Training {
    /// A phase that goes on from `state`, which `worker` is in.
    pub fn new(settings: PhaseSettings, worker: Worker, state: State, progress: Progress) -> Self {
        let (warm, progress) = match compiles_kernels(worker.device()) {
            true => {
                let warm = state.step + WARMUP;
                (warm, progress.warming_up(warm, "the first steps compile kernels"))
            }
            false => (state.step, progress),
        };
        Self {
            warm,
            waited: state.step,
            scalars: ScalarAccumulator::restore(&state.scalars, worker.device()),
            logged: (state.step, worker.seconds),
            settings,
            worker,
            state,
            validation: Vec::new(),
            progress,
            journal: None,
            samples: None,
            ranks: Ranks::default(),
            observer: None,
        }
    }

    /// Shares each batch with other ranks: this one is given its slice of it.
    pub fn with_ranks(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// Writes the log here.
    pub fn with_journal(self, journal: Journal) -> Self {
        Self {
            journal: Some(journal),
            ..self
        }
    }

    /// Draws grids of samples, where the settings say how often.
    pub fn with_samples(self, samples: TrainingSamples) -> Self {
        Self {
            samples: Some(samples),
            ..self
        }
    }

    /// Validates on these batches.
    pub fn with_validation(self, validation: Vec<ValidationBatch>) -> Self {
        Self { validation, ..self }
    }

    /// Shows every step to `observer`.
    pub fn with_observer(self, observer: Box<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The device's part, as it stands.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Trains on `batches`, in their order, until the phase's steps are done.
    ///
    /// # Errors
    /// A loss that is not finite, or a disk that is full: there is nothing good to save then.
    pub fn run(&mut self, batches: impl Iterator<Item = Result<HostBatch, DataError>>) -> Result<Ending, Error> {
        let mut batches = batches;
        let _hold = interrupt::hold();
        if let Some(shares) = self.state.due.take() {
            if let Some(ending) = self.after_step(shares)? {
                return Ok(ending);
            }
            self.settle()?;
        }
        while self.state.step < self.settings.steps {
            if self.ranks.is_stopping() {
                return Ok(Ending::Interrupted(self.checkpoint()?));
            }
            if self.ranks.take_save() && self.state.step > 0 {
                self.checkpoint()?;
            }
            let batch = match self.advance(&mut batches) {
                Ok(batch) => batch,
                Err(StepError::Interrupted(_)) => return Ok(Ending::Interrupted(self.checkpoint()?)),
                Err(reason) => return self.failed(self.state.step + 1, reason),
            };
            self.wait_where_due();
            match self.ranks.clone().led(|| self.shares_due(&batch)) {
                Ok(shares) => {
                    if let Some(ending) = self.after_step(shares.unwrap_or_default())? {
                        return Ok(ending);
                    }
                }
                // The step is done, and good: what failed is a look at it.
                Err(reason) => return self.failed(self.state.step, reason),
            }
        }
        Ok(Ending::Finished(self.checkpoint()?))
    }

    /// One optimiser step, on the next of `batches`, and nothing of what is due after it. On an error nothing has changed.
    ///
    /// # Errors
    /// A batch that did not come, or a fault of a source or the backend.
    pub fn advance(
        &mut self,
        batches: &mut impl Iterator<Item = Result<HostBatch, DataError>>,
    ) -> Result<TrainBatch, StepError> {
        let waiting = Instant::now();
        let batch = batches.next().map(|batch| batch.map_err(StepError::from));
        self.worker.seconds.data += waiting.elapsed().as_secs_f64();
        self.step(batch.unwrap_or(Err(StepError::NoBatch)))
    }

    /// One optimiser step, on this rank's slice of the batch. On an error, of whichever rank, nothing has changed.
    fn step(&mut self, batch: Result<HostBatch, StepError>) -> Result<TrainBatch, StepError> {
        let (step, optimiser) = (self.state.step, &self.settings.optimiser);
        let started = Instant::now();
        let before = (self.worker.seconds, self.worker.counters);
        let accumulated = batch.and_then(|batch| {
            let mut batch = self.worker.upload(batch)?;
            batch.share /= self.ranks.count() as f64;
            let gradients = accumulate(&mut self.worker, &batch, optimiser.accumulation)?;
            Ok((batch, gradients))
        });
        let accumulated = self
            .ranks
            .reduce(&mut self.worker, accumulated, before.1, optimiser.batch);
        if let Err(StepError::Interrupted(_)) = accumulated {
            (self.worker.seconds, self.worker.counters) = before;
        }
        let (batch, mut gradients) = accumulated?;
        let norms = self.worker.clip(&mut gradients, optimiser.max_grad_norm)?;
        let output = gradients.output.clone();
        let lr = learning_rate(optimiser, step, self.settings.steps);
        let scale = self.worker.loss_scale;
        let applied = self.worker.adapt_loss_scale(&norms);
        if applied {
            self.worker.apply(gradients, step, lr)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.worker.seconds.step += seconds;
        self.state.step_seconds.push(seconds as f32);
        if self.ranks.leads() {
            self.add(&output, Some(&norms).filter(|_| applied), scale);
        }
        if let Some(observer) = &mut self.observer {
            observer.stepped(step, &output, &norms.all);
        }
        self.state.step += 1;
        Ok(batch)
    }

    /// Adds a step to the log; without norms one that was left out.
    fn add(&mut self, output: &StepOutput, norms: Option<&Norms>, scale: Option<LossScale>) {
        let (step, scalars) = (self.state.step, &mut self.scalars);
        scalars.add("denoising", step, output.denoising.clone().mean());
        for (name, loss) in &output.guidance {
            scalars.add(&format!("guidance.{name}"), step, loss.clone().mean());
        }
        for (name, value) in &output.metrics {
            scalars.add(&format!("metric.{name}"), step, value.clone());
        }
        if let Some(scale) = scale {
            let device = output.denoising.device();
            let left_out = if norms.is_some() { 0.0 } else { 1.0 };
            for (name, value) in [("loss_scale", scale.factor as f32), ("left_out", left_out)] {
                scalars.add(name, step, Tensor::from_data([value], &device));
            }
        }
        let Some(norms) = norms else { return };
        let clipped = norms
            .all
            .clone()
            .greater_elem(self.settings.optimiser.max_grad_norm)
            .float();
        scalars.add("clipped", step, clipped);
        scalars.add("grad_norm", step, norms.all.clone());
        for (name, norm) in &norms.sources {
            scalars.watch(&format!("gradient.{name}"), step, norm.clone());
        }
    }

    /// Waits for the device where something is due after the step that reads from it. A device that computes by itself has only been
    /// asked until then: what it is waited for belongs to the steps since the last time.
    fn wait_where_due(&mut self) {
        let (step, output) = (self.state.step, &self.settings.output);
        let due = |every| falls_due(every, step);
        let every = [
            output.log_every,
            output.share_every,
            output.samples_every,
            output.checkpoint_every,
            self.settings.validate_every.unwrap_or(0),
        ];
        if step != self.warm && step != self.settings.steps && !every.into_iter().any(due) {
            return;
        }
        let started = Instant::now();
        // What the device has to say about its work, it says to whoever reads the result.
        let _ = self.worker.device().sync();
        let (seconds, steps) = (started.elapsed().as_secs_f64(), step - self.waited);
        self.worker.seconds.step += seconds;
        let since = self.state.step_seconds.len().saturating_sub(steps as usize);
        for step in &mut self.state.step_seconds[since..] {
            *step += (seconds / steps as f64) as f32;
        }
        self.waited = step;
        if step == self.warm {
            self.logged = (step, self.worker.seconds);
        }
    }

    /// Does what is due after a step. Where somebody asks to stop meanwhile, all of it stays due, for whoever goes on from the
    /// checkpoint of the step.
    fn after_step(&mut self, shares: Vec<(String, f64)>) -> Result<Option<Ending>, Error> {
        let average = self.average_due()?;
        match self.due(&shares, average) {
            Err(error) if error.is_interrupt() => {
                self.state.due = Some(shares);
                Ok(Some(Ending::Interrupted(self.checkpoint()?)))
            }
            done => done.map(|()| None),
        }
    }

    /// The moving average, if something looks at it after this step. All ranks ask for it where each has a part of it.
    fn average_due(&self) -> Result<Option<Sit>, Error> {
        let (step, settings) = (self.state.step, &self.settings);
        let validates = |every| falls_due(every, step) || step == settings.steps;
        let is_due = settings.validate_every.is_some_and(validates) || falls_due(settings.output.samples_every, step);
        Ok(is_due.then(|| self.worker.average()).transpose()?)
    }

    /// Has the first rank do something for all. The others answer what it asks for of their parts.
    fn led<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let ranks = self.ranks.clone();
        ranks.led_answering(self, work, |training, wanted| training.worker.answer(wanted))
    }

    /// What all ranks do together comes first, and so what can be interrupted, when nothing is changed yet.
    fn due(&mut self, shares: &[(String, f64)], average: Option<Sit>) -> Result<(), Error> {
        let (step, last) = (self.state.step, self.settings.steps);
        let due = |every| falls_due(every, step);
        let ranks = self.ranks.clone();
        let validated = match (self.settings.validate_every, &average) {
            (Some(every), Some(average)) if due(every) || step == last => {
                shared_validation_loss(average, &self.validation, &ranks)?
            }
            _ => None,
        };
        let grids = match (&self.samples, &average) {
            (Some(samples), Some(average)) if due(self.settings.output.samples_every) => {
                // Of weights that are no numbers, the loss that became none first says more than the samples.
                let sound = self.scalars.means().map_err(|diverged| self.diverged(diverged));
                ranks.agreed_at_leisure(sound)?;
                samples.draw(step, average, &self.worker.module.student, &ranks)?
            }
            _ => Vec::new(),
        };
        drop(average);
        self.led(|training| training.note(shares, validated, grids))?;
        Ok(())
    }

    /// Log and checkpoint.
    fn note(
        &mut self,
        shares: &[(String, f64)],
        validated: Option<ValidationLoss>,
        grids: Vec<(Weights, Vec<u8>)>,
    ) -> Result<(), Error> {
        let (step, last) = (self.state.step, self.settings.steps);
        let due = |every| falls_due(every, step);
        let mut line = BTreeMap::from_iter(shares.iter().cloned());
        if let Some(loss) = validated {
            line.insert("validation".to_owned(), loss.mean);
            self.state.validation = (step == last).then_some(loss);
        }
        if due(self.settings.output.log_every) {
            line.extend(self.take_means()?);
        } else if step == last {
            // The sums stay, for a phase whose steps are raised goes on as if it had not ended.
            let means = self.scalars.means().map_err(|diverged| self.diverged(diverged))?;
            line.extend(means);
        }
        if due(self.settings.output.log_every) || step == last {
            line.insert("lr".to_owned(), learning_rate(&self.settings.optimiser, step - 1, last));
            line.extend(self.machine());
        }
        if !line.is_empty() {
            self.progress.log(&line);
            if let Some(journal) = &mut self.journal {
                journal.append(step, &line)?;
            }
        }
        for (weights, png) in grids {
            if let Some(journal) = &mut self.journal {
                journal.picture(step, &format!("samples.{weights}"), &png)?;
            }
        }
        if let Some(loss) = self.state.validation.as_ref().filter(|loss| !loss.is_finite()) {
            return Err(self.unsound("the validation loss", loss.mean, step));
        }
        self.progress.step(step);
        if due(self.settings.output.checkpoint_every) && step < last {
            self.save()?;
        }
        Ok(())
    }

    /// Speed and memory since the last line.
    fn machine(&mut self) -> Vec<(String, f64)> {
        let ((before, then), now) = (self.logged, self.worker.seconds);
        let steps = (self.state.step - before) as f64;
        self.logged = (self.state.step, now);
        let parts = [
            ("data", now.data - then.data),
            ("encoding", now.encoding - then.encoding),
            ("student", now.student - then.student),
            ("teacher", now.teacher - then.teacher),
            ("guidance", now.guidance - then.guidance),
            ("backward", now.backward - then.backward),
            ("update", now.clip + now.update - then.clip - then.update),
        ];
        let parts = parts.map(|(part, seconds)| (format!("{MACHINE}seconds.{part}"), seconds / steps));
        let shared = (self.ranks.count() > 1).then(|| {
            let seconds = (now.ranks - then.ranks) / steps;
            (format!("{MACHINE}seconds.ranks"), seconds)
        });
        let whole = now.step + now.data - then.step - then.data;
        let speed = (
            format!("{MACHINE}samples_per_second"),
            steps * self.settings.optimiser.batch as f64 / whole.max(1e-9),
        );
        let resident = memory::resident_bytes().map(|bytes| (format!("{MACHINE}resident_bytes"), bytes as f64));
        // What the pools of its allocator have taken of the device; backends without such pools, as the CPU's, do not tell.
        let of_device = self.worker.device().memory_pool_usage();
        let of_device = of_device.map(|usage| (format!("{MACHINE}device_bytes"), usage.bytes_reserved as f64));
        let speeds = parts.into_iter().chain(shared).chain([speed]);
        speeds
            .filter(|_| self.state.step > self.warm)
            .chain(resident)
            .chain(of_device)
            .collect()
    }

    fn take_means(&mut self) -> Result<BTreeMap<String, f64>, Error> {
        let steps = self.scalars.count("clipped");
        let means = self.scalars.take_means().map_err(|diverged| self.diverged(diverged))?;
        if let Some(clipped) = means.get("clipped") {
            let (sum, counted) = &mut self.state.clipped;
            *sum += clipped * f64::from(steps);
            *counted += u64::from(steps);
        }
        Ok(means)
    }

    /// Each source's share of the trunk's gradient norm: |c_i g_i| over the sum of such norms and the
    /// denoising gradient's. Passes of their own, on the first micro-batch of the step that was just done.
    fn shares_due(&mut self, batch: &TrainBatch) -> Result<Vec<(String, f64)>, StepError> {
        let every = self.settings.output.share_every;
        if !falls_due(every, self.state.step) {
            return Ok(Vec::new());
        }
        let names = self.worker.active_names(batch.step);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let size = batch.samples() / self.settings.optimiser.accumulation;
        let micro = self.worker.aside(|worker| worker.part(batch, 0, size))?;
        let terms = std::iter::once(Terms::Denoising).chain((0..names.len()).map(Terms::Source));
        let norms = terms.map(|terms| {
            let norm = self.worker.aside(|worker| worker.trunk_norm(&micro, terms))?;
            Ok(norm.map_or(0.0, |norm| f64::from(norm.into_scalar::<f32>())))
        });
        let norms = caught(|| norms.collect::<Result<Vec<f64>, StepError>>())?;
        let sum: f64 = norms.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let shares = names.iter().zip(&norms[1..]);
        Ok(shares
            .map(|(name, norm)| (format!("share.{name}"), norm / sum))
            .collect())
    }

    /// Brings the state to where the worker is.
    fn take_stock(&mut self) -> Result<(), Error> {
        let scalars = self.scalars.state().map_err(|diverged| self.diverged(diverged))?;
        self.state.scalars = scalars;
        self.state.seconds = self.worker.seconds;
        self.state.teacher = self.worker.counters;
        self.state.loss_scale = self.worker.loss_scale;
        Ok(())
    }

    /// Writes into the checkpoint of this step that nothing is due any more.
    fn settle(&mut self) -> Result<(), Error> {
        self.ranks.clone().led(|| {
            self.take_stock()?;
            checkpoint::write_state(&self.settings.folder, &self.state)
        })?;
        Ok(())
    }

    /// The checkpoint of this step, for all ranks.
    fn checkpoint(&mut self) -> Result<Saved, Error> {
        let saved = self.led(Self::save)?;
        Ok(saved.unwrap_or_else(|| checkpoint::place(&self.settings.folder, self.state.step)))
    }

    fn save(&mut self) -> Result<Saved, Error> {
        self.take_stock()?;
        let contents = Contents {
            worker: &self.worker,
            state: &self.state,
        };
        let saved = checkpoint::write(&self.settings.folder, contents, self.settings.output.keep)?;
        tracing::info!("checkpoint {}", saved.folder.display());
        Ok(saved)
    }

    fn failed(&mut self, step: u64, reason: StepError) -> Result<Ending, Error> {
        tracing::info!("step {step} of {} failed: {reason}", self.settings.phase);
        let saved = self
            .checkpoint()
            .map_err(|e| Error::Diverged(format!("{reason}\nand then no checkpoint could be written: {e}")))?;
        Ok(Ending::Failed { saved, step, reason })
    }

    /// The error for a loss or gradient that is not finite: nothing good comes after it.
    fn diverged(&self, diverged: Diverged) -> Error {
        let Diverged { name, step, value } = diverged;
        let culprit: String = match name.split_once('.') {
            Some(("guidance", source)) => format!("the loss of source \"{source}\""),
            Some(("gradient", source)) => format!("the gradient of source \"{source}\""),
            _ if name == "denoising" => "the denoising loss".into(),
            _ => match self.worker.training_names(step).as_slice() {
                [] => "the gradient of the denoising loss".into(),
                sources => format!("the gradient of the denoising loss or of {}", sources.join(", ")),
            },
        };
        self.unsound(&culprit, value, step + 1)
    }

    /// The error for something that is not finite since `step`, counted from 1.
    fn unsound(&self, culprit: &str, value: f64, step: u64) -> Error {
        let before = list(&self.settings.folder).into_iter().rfind(|saved| saved.step < step);
        let kept = match before {
            Some(saved) => format!("the last checkpoint before it is {}", saved.folder.display()),
            None => "there is no checkpoint before it (output.checkpoint_every says how often one is written)".into(),
        };
        let advice = match self.worker.training_names(step - 1).as_slice() {
            [] => "A lower optimiser.lr may help".to_owned(),
            sources => format!(
                "A lower optimiser.lr may help, or a lower coefficient of {}",
                sources.join(", ")
            ),
        };
        let of_rank = self.ranks.unsound();
        let of_rank = of_rank.map_or(String::new(), |rank| format!(", first on {rank}"));
        Error::Diverged(format!(
            "phase {:?}: {culprit} became {value} at step {step}{of_rank}; {kept}. {advice}",
            self.settings.phase
        ))
    }
}
