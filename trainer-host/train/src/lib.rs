//! Training: recipes' phases, the loop, checkpoints, samples.
//!
//! The loop is [`Training::run`], the step [`Worker::gradients`] and [`Worker::apply`]. Guidance is known only as "give me losses
//! per sample" ([`sextant_guidance::Sources::guide`]).

mod accumulator;
pub mod checkpoint;
mod cost;
mod error;
mod gradients;
mod memory;
mod objective;
mod phase;
mod progress;
mod result;
mod resume;
mod run;
pub mod sample;
mod schedule;
mod setup;
mod validation;
mod worker;

pub use error::{Error, StepError};
pub use gradients::Norms;
pub use objective::{Losses, StepOutput, Terms};
pub use phase::{Ending, Observer, Plan, Training};
pub use progress::{Itinerary, Left, PhaseSteps, ProgressMode, Stage, Tour};
pub use result::write_samples;
pub use resume::{check_changes, explained};
pub use run::{Options, Run};
pub use schedule::{ema_decay, learning_rate};
pub use setup::{average, geometry, planned_geometry};
pub use validation::{ValidationBatch, validation_loss, validation_set};
pub use worker::{Gradients, TrainModule, Worker, accumulate};
