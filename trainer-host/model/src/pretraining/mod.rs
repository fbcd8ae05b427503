//! The training of networks around the student, each by a recipe of its own: encoders, judges, autoencoders.
//!
//! They share the loop (`Pretraining`) and the checkpoint, from which a training that was stopped goes on to the same bits; loss and
//! data are the network's own.

mod checkpoint;
mod error;
mod run;

pub use checkpoint::CheckpointError;
pub use error::PretrainingError;
pub use run::LoggedStep;
pub(crate) use run::{Pretraining, Terms};
