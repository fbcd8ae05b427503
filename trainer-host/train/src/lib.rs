//! Training: recipes' phases, the loop, checkpoints, logs.
//!
//! Knows guidance only as "give me per-sample losses" ([`sextant_guidance::Sources::guide`]).

mod bill;
pub mod checkpoint;
mod events;
mod fixed;
mod folder;
mod gradients;
pub mod journal;
mod launch;
mod memory;
mod progress;
mod quiet;
mod replica;
mod run;
mod scalars;
mod schedule;
mod step_data;
mod strategy;
mod trainee;
mod update;
mod validation;
mod window;

pub use bill::{Bill, GuideCost, Operations, Parts};
pub use fixed::Fixed;
pub use folder::{RunFailure, RunFolder, RunInfo, RunResult};
pub use launch::{Launch, learner};
pub use progress::{Itinerary, Left, PhaseSteps, ProgressMode, Stage, Tour, duration};
pub use quiet::Quiet;
pub use replica::{Losses, Replica, Seconds, Terms};
pub use run::{Options, Run, average, geometry, planned_geometry, write_samples};
pub use step_data::{Feed, StepData, StepInput};
pub use strategy::{Ending, Observer, Plan};
pub use trainee::{StepOutput, Trainee, ValidationBatch};
pub use update::{Updated, update};
pub use validation::{ValidationLoss, validation_loss, validation_set};
