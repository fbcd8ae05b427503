//! The loop: our strategy behind burn-train's extension point.
//!
//! Its unit is the optimiser step ([`update`]). A step that fails leaves no trace: its error is read before any update, and the last
//! good step is written to disk, as it is on an interrupt.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, Learner, LearnerEvent, SupervisedLearningStrategy, SupervisedTrainingEventProcessor,
    TrainLoader, TrainingComponents, TrainingItem, ValidLoader,
};

use super::checkpoint::{self, Contents, Records, Saved, State};
use super::journal::Journal;
use super::progress::Progress;
use super::scalars::Scalars;
use super::update::update;
use super::window::Window;
use super::{Replica, StepInput, StepOutput, Terms, Trainee, ValidationLoss, validation_loss};
use sextant_recipe::{OptimiserRecipe, OutputRecipe};

/// What the loop does beside stepping.
pub struct Plan {
    /// Name of the phase.
    pub phase: String,
    /// Steps of the phase in all.
    pub steps: u64,
    /// Optimiser settings.
    pub optimiser: OptimiserRecipe,
    /// What is written, and how often.
    pub output: OutputRecipe,
    /// Steps between two validations; 0 for one at the end, none for no validation at all.
    pub validate_every: Option<u64>,
    /// Where checkpoints go.
    pub folder: PathBuf,
}

/// How a phase ended.
#[derive(Debug)]
pub enum Ending {
    /// All steps are done.
    Finished(Saved),
    /// Someone asked to stop.
    Interrupted(Saved),
    /// The step after the saved one failed, for this reason.
    Failed {
        /// The last good step (0 where the first failed), or why it could not be written.
        saved: Result<Saved, String>,
        /// The step that failed, counted from 1.
        step: u64,
        /// Why.
        reason: String,
    },
    /// A loss or gradient that is not finite, or a disk that is full: there is nothing good to save.
    Lost(String),
}

/// Sees every step; what tests and other programs look through.
pub trait Observer: Send {
    /// After a step's update. `norm` is that of all gradients before clipping, `[1]`.
    fn stepped(&mut self, step: u64, output: &StepOutput, norm: &Tensor<1>);
}

/// What the loop owns and changes.
struct Hands {
    replica: Arc<Mutex<Replica>>,
    journal: Option<Journal>,
    progress: Progress,
    records: Records,
    window: Window,
    state: State,
    observer: Option<Box<dyn Observer>>,
    ending: Option<Ending>,
}

/// Our strategy for one device. It runs once.
pub struct Strategy {
    plan: Plan,
    device: Device,
    hands: Mutex<Hands>,
}

impl Strategy {
    /// A strategy that goes on from `state`.
    pub fn new(
        plan: Plan,
        device: Device,
        replica: Arc<Mutex<Replica>>,
        records: Records,
        state: State,
        progress: Progress,
    ) -> Self {
        let window = Window::restore(&state.window, &device.clone().inner());
        Self {
            plan,
            device,
            hands: Mutex::new(Hands {
                replica,
                journal: None,
                progress,
                records,
                window,
                state,
                observer: None,
                ending: None,
            }),
        }
    }

    /// Writes the log here.
    pub fn with_journal(self, journal: Journal) -> Self {
        self.hands().journal = Some(journal);
        self
    }

    /// Shows every step to `observer`.
    pub fn with_observer(self, observer: Box<dyn Observer>) -> Self {
        self.hands().observer = Some(observer);
        self
    }

    /// How it ended; none before [`burn::train::SupervisedTraining::launch`] returned.
    pub fn ending(&self) -> Option<Ending> {
        self.hands().ending.take()
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl SupervisedLearningStrategy<Trainee> for Strategy {
    fn fit(
        &self,
        components: TrainingComponents<Trainee>,
        mut learner: Learner<Trainee>,
        train: TrainLoader<Trainee>,
        valid: ValidLoader<Trainee>,
        _starting_epoch: usize,
    ) -> (Trainee, SupervisedTrainingEventProcessor<Trainee>) {
        learner.fork(&self.device);
        let mut hands = self.hands();
        let mut fit = Fit {
            plan: &self.plan,
            components,
            hands: &mut hands,
        };
        let ending = fit.run(&mut learner, &train, &valid);
        let components = fit.components;
        hands.ending = Some(ending);
        (learner.model(), components.event_processor)
    }
}

/// A running fit.
struct Fit<'a> {
    plan: &'a Plan,
    components: TrainingComponents<Trainee>,
    hands: &'a mut Hands,
}

impl Fit<'_> {
    fn run(
        &mut self,
        learner: &mut Learner<Trainee>,
        train: &TrainLoader<Trainee>,
        valid: &ValidLoader<Trainee>,
    ) -> Ending {
        self.event(LearnerEvent::StartSplit {
            epoch_number: 1,
            total_items: self.plan.steps as usize,
        });
        let mut items = train.iter();
        loop {
            if self.hands.state.step >= self.plan.steps {
                let saved = self.checkpoint(learner);
                self.event(LearnerEvent::EndSplit(1));
                return saved.map_or_else(Ending::Lost, Ending::Finished);
            }
            if self.components.interrupter.should_stop() {
                return self.checkpoint(learner).map_or_else(Ending::Lost, Ending::Interrupted);
            }
            let waiting = Instant::now();
            let input = match items.next() {
                Some(Ok(input)) => input,
                Some(Err(e)) => return self.failed(learner, e.to_string()),
                None => return self.failed(learner, "the loader ended before the phase".into()),
            };
            lock(&self.hands.replica).seconds.data += waiting.elapsed().as_secs_f64();
            if let Err(reason) = self.step(learner, &input) {
                return self.failed(learner, reason);
            }
            if let Err(reason) = self.after_step(learner, &input, valid) {
                return Ending::Lost(reason);
            }
        }
    }

    /// One optimiser step. On an error nothing has changed.
    fn step(&mut self, learner: &mut Learner<Trainee>, input: &StepInput) -> Result<(), String> {
        let step = self.hands.state.step;
        let updated = update(learner, input, &self.plan.optimiser, step)?;
        self.hands.state.step_seconds.push(updated.seconds as f32);
        self.record(&updated.output, &updated.norm);
        if let Some(observer) = &mut self.hands.observer {
            observer.stepped(step, &updated.output, &updated.norm);
        }
        self.hands.state.step += 1;
        Ok(())
    }

    fn record(&mut self, output: &StepOutput, norm: &Tensor<1>) {
        let window = &mut self.hands.window;
        if let Some(denoising) = &output.denoising {
            window.add("denoising", denoising.clone().mean());
        }
        for (name, loss) in &output.guidance {
            window.add(&format!("guidance.{name}"), loss.clone().mean());
        }
        for (name, value) in &output.metrics {
            window.add(&format!("metric.{name}"), value.clone());
        }
        let clipped = norm.clone().greater_elem(self.plan.optimiser.max_grad_norm).float();
        window.add("clipped", clipped);
        window.add("grad_norm", norm.clone());
    }

    /// Log, validation, checkpoint: what is due after a step.
    fn after_step(
        &mut self,
        learner: &Learner<Trainee>,
        input: &StepInput,
        valid: &ValidLoader<Trainee>,
    ) -> Result<(), String> {
        let (step, last) = (self.hands.state.step, self.plan.steps);
        let due = |every: u64| every > 0 && step.is_multiple_of(every);
        let mut line = Vec::new();
        if due(self.plan.output.share_every) {
            line.extend(self.shares(&learner.model(), input)?);
        }
        if let Some(every) = self.plan.validate_every
            && (due(every) || step == last)
        {
            let loss = self.validate(learner, valid);
            line.push(("validation".to_owned(), loss.mean));
            // JSON has no number for what is not finite.
            self.hands.state.validation = (step == last && loss.is_finite()).then_some(loss);
        }
        if due(self.plan.output.log_every) || step == last {
            line.extend(self.means()?);
        }
        if !line.is_empty() {
            self.log(step, line.into_iter().collect())?;
        }
        self.hands.progress.step(step);
        if due(self.plan.output.checkpoint_every) && step < last {
            self.checkpoint(learner)?;
        }
        Ok(())
    }

    fn means(&mut self) -> Result<Vec<(String, f64)>, String> {
        let count = self.hands.window.count("clipped");
        let means = self.hands.window.take_means();
        self.sound(means.iter().map(|(name, mean)| (name, *mean)))?;
        if let Some(clipped) = means.get("clipped") {
            let (sum, steps) = &mut self.hands.state.clipped;
            *sum += clipped * count as f64;
            *steps += count as u64;
        }
        Ok(means.into_iter().collect())
    }

    /// Refuses losses and gradients that are not finite: nothing good comes after them.
    fn sound<'s>(&self, values: impl Iterator<Item = (&'s String, f64)>) -> Result<(), String> {
        // A source's own metrics may be what they like. Its loss is named before the gradient that it spoils.
        let unsound = values.filter(|(name, value)| !value.is_finite() && !name.starts_with("metric."));
        match unsound.min_by_key(|(name, _)| !name.starts_with("guidance.")) {
            None => Ok(()),
            Some((name, value)) => Err(format!(
                "phase {:?}: {name} became {value} before step {}; a lower optimiser.lr or coefficient may help. \
                 The checkpoints before it are untouched",
                self.plan.phase,
                self.hands.state.step + 1
            )),
        }
    }

    fn log(&mut self, step: u64, scalars: std::collections::BTreeMap<String, f64>) -> Result<(), String> {
        self.hands.progress.log(&scalars);
        if let Some(journal) = &mut self.hands.journal {
            journal.append(step, &scalars)?;
        }
        let item = StepOutput {
            scalars: Scalars(scalars),
            ..StepOutput::default()
        };
        let progress = burn::data::dataloader::Progress::new(step as usize, self.plan.steps as usize, None);
        self.event(LearnerEvent::ProcessedItem(TrainingItem::new(
            item,
            progress,
            Some(step as usize),
            None,
        )));
        Ok(())
    }

    /// Each source's share of the trunk's gradient norm: |c_i g_i| over the sum of such norms and the
    /// denoising gradient's. Passes of their own, on the first micro-batch of the step that was just done.
    fn shares(&self, model: &Trainee, input: &StepInput) -> Result<Vec<(String, f64)>, String> {
        let size = input.data.shape[0] / self.plan.optimiser.accumulation;
        let input = StepInput {
            data: input.data.part(0, size),
            replica: input.replica.clone(),
            scale: 1.0,
        };
        let names = lock(&input.replica).active_names(input.data.step);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let before = lock(&input.replica).measurements();
        let terms = std::iter::once(Terms::Denoising).chain((0..names.len()).map(Terms::Source));
        let norms = terms
            .map(|terms| {
                let norm = model.trunk_norm(&input, terms)?;
                Ok(norm.map_or(0.0, |n| n.into_scalar::<f32>() as f64))
            })
            .collect::<Result<Vec<f64>, String>>()?;
        lock(&input.replica).restore_measurements(before);
        let sum: f64 = norms.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        Ok(names
            .iter()
            .zip(&norms[1..])
            .map(|(name, norm)| (format!("share.{name}"), norm / sum))
            .collect())
    }

    /// Denoising loss of the moving average on the fixed validation set.
    fn validate(&self, learner: &Learner<Trainee>, valid: &ValidLoader<Trainee>) -> ValidationLoss {
        let model = Trainee {
            student: lock(&self.hands.replica).ema.clone(),
            sources: learner.model().sources,
        };
        validation_loss(&model, valid.iter().flatten())
    }

    fn checkpoint(&mut self, learner: &Learner<Trainee>) -> Result<Saved, String> {
        let window = self.hands.window.state();
        self.sound(window.sums())?;
        let replica = lock(&self.hands.replica);
        self.hands.state.window = window;
        self.hands.state.seconds = replica.seconds;
        self.hands.state.teacher = replica.counters;
        let checkpointer = self
            .components
            .checkpointer
            .as_mut()
            .ok_or("the training was set up without checkpointers")?;
        checkpointer.checkpoint(learner, self.hands.state.step as usize, &self.components.event_store);
        let gone = |_| "a checkpointer thread ended early".to_owned();
        let records = &self.hands.records;
        records.model.recv().map_err(gone)?;
        let contents = Contents {
            model: &learner.model(),
            ema: &replica.ema,
            buffers: &replica.buffers,
            optimiser: records.optimiser.recv().map_err(gone)?,
            schedule: records.schedule.recv().map_err(gone)?,
            state: &self.hands.state,
        };
        let saved = checkpoint::write(&self.plan.folder, contents, self.plan.output.keep).map_err(|e| e.to_string())?;
        tracing::info!("checkpoint {}", saved.folder.display());
        Ok(saved)
    }

    fn failed(&mut self, learner: &Learner<Trainee>, reason: String) -> Ending {
        tracing::info!(
            "step {} of {} failed: {reason}",
            self.hands.state.step + 1,
            self.plan.phase
        );
        Ending::Failed {
            saved: self.checkpoint(learner),
            step: self.hands.state.step + 1,
            reason,
        }
    }

    fn event(&mut self, event: LearnerEvent<StepOutput>) {
        let result = self.components.event_processor.process_train(event);
        self.components.interrupter.fail_on_error(result);
    }
}

fn lock(replica: &Arc<Mutex<Replica>>) -> std::sync::MutexGuard<'_, Replica> {
    replica.lock().unwrap_or_else(|e| e.into_inner())
}
