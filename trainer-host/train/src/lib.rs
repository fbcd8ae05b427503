//! Training: recipes' phases, the loop, checkpoints, samples.
//!
//! The loop is [`Training::run`], the step [`Worker::gradients`] and [`Worker::apply`]. Guidance is known only as "give me losses
//! per sample" ([`sextant_guidance::Sources::guide`]).

mod accumulator;
mod adamw;
mod bare;
mod bench;
pub mod checkpoint;
mod cost;
mod encoders;
mod error;
mod gradients;
mod import;
mod loss_scale;
pub mod memory;
mod moments;
mod objective;
mod owned;
mod phase;
mod plan;
mod progress;
pub mod reduce;
mod result;
mod resume;
mod run;
pub mod sample;
mod schedule;
mod setup;
mod validation;
mod warning;
mod worker;

pub use bare::{BareNetwork, Known};
pub use bench::{BenchSteps, MeasuredStep};
pub use cost::StepOperations;
pub use encoders::Encoders;
pub use error::{Error, RankError, StepError};
pub use gradients::Norms;
pub use loss_scale::LossScale;
pub use moments::{Moments, SavedMoments};
pub use objective::{Losses, StepOutput, Terms};
pub use owned::Owned;
pub use phase::{Ending, Observer, PhaseSettings, Training};
pub use plan::{PhasePlan, RunPlan, StepMemory};
pub use progress::{ProgressMode, RunProgress, Runs};
pub use reduce::Ranks;
pub use result::write_samples;
pub use resume::{check_changes, check_data, check_measurement, explained, explained_to};
pub use run::{Options, Run};
pub use schedule::learning_rate;
pub use setup::{dataset, geometry, planned_geometry, trained};
pub use validation::{ValidationBatch, validation_loss, validation_set};
pub use warning::{Warning, of_sampler};
pub use worker::{Gradients, TrainModule, Worker, accumulate};
