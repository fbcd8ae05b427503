//! One phase through burn-train: its learner, metrics, checkpointers, interrupter and display around our strategy.

use std::sync::{Arc, Mutex};

use burn::data::dataloader::DataLoader;
use burn::optim::AdamWConfig;
use burn::tensor::Device;
use burn::train::logger::InMemoryMetricLogger;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};

use super::checkpoint::{Always, Collector, Records, State};
use super::progress::Progress;
use super::scalars::ScalarMetric;
use super::schedule::WarmUp;
use super::strategy::{Ending, Plan, Strategy};
use super::{Fixed, Replica, StepInput, Trainee, ValidationBatch};
use sextant_recipe::OptimiserRecipe;

/// Everything that burn-train needs to run one phase.
pub struct Launch {
    /// Model, optimiser, schedule.
    pub learner: Learner<Trainee>,
    /// What the loop does beside stepping.
    pub plan: Plan,
    /// Training batches.
    pub feed: Arc<dyn DataLoader<StepInput>>,
    /// Validation batches.
    pub valid: Vec<ValidationBatch>,
    /// Where it computes.
    pub device: Device,
    /// Stops it from outside.
    pub interrupter: Interrupter,
    /// burn-train's display.
    pub renderer: Box<dyn MetricsRenderer>,
    /// What the phase is called on the screen.
    pub label: String,
}

impl Launch {
    /// Runs the phase through [`SupervisedTraining::launch`]. `dress` may add a journal or an observer to the strategy.
    pub fn run(
        self,
        replica: Arc<Mutex<Replica>>,
        state: State,
        dress: impl FnOnce(Strategy) -> Strategy,
        progress: Progress,
    ) -> Ending {
        let names = metric_names(&replica);
        let (model, models) = Collector::new();
        let (optimiser, optimisers) = Collector::new();
        let (schedule, schedules) = Collector::new();
        let records = Records {
            model: models,
            optimiser: optimisers,
            schedule: schedules,
        };
        let folder = self.plan.folder.clone();
        let strategy = Strategy::new(self.plan, self.device.autodiff(), replica, records, state, progress);
        let strategy = Arc::new(dress(strategy));
        let mut training = SupervisedTraining::new(folder, self.feed, Arc::new(Fixed::new(self.valid)))
            .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
            .with_custom_checkpointers(model, optimiser, schedule)
            .with_checkpointing_strategy(Always)
            .with_metric_logger(InMemoryMetricLogger::new())
            .with_application_logger(None)
            .with_interrupter(self.interrupter)
            .renderer(self.renderer)
            .label(&self.label);
        for name in names {
            training = training.metric_train_numeric(ScalarMetric::new(&name));
        }
        let result = training.launch(self.learner);
        match strategy.ending() {
            Some(ending) => ending,
            None => Ending::Lost(match result.error {
                Some(error) => error.to_string(),
                None => "the training loop ended without saying how".into(),
            }),
        }
    }
}

fn metric_names(replica: &Arc<Mutex<Replica>>) -> Vec<String> {
    let replica = replica.lock().unwrap_or_else(|e| e.into_inner());
    let sources = replica
        .sources
        .names()
        .into_iter()
        .map(|name| format!("guidance.{name}"));
    ["denoising", "grad_norm", "clipped"]
        .into_iter()
        .map(str::to_owned)
        .chain(sources)
        .collect()
}

/// AdamW and its schedule around a model.
pub fn learner(model: Trainee, optimiser: &OptimiserRecipe) -> Learner<Trainee> {
    let adamw = AdamWConfig::new()
        .with_beta_1(optimiser.betas[0] as f32)
        .with_beta_2(optimiser.betas[1] as f32)
        .with_epsilon(optimiser.eps as f32)
        .with_weight_decay(optimiser.weight_decay as f32)
        .init();
    Learner::new(model, adamw, WarmUp::new(optimiser.lr, optimiser.warmup_steps))
}
