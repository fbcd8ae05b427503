//! Weights in files that others wrote: checkpoints of PyTorch and safetensors, and what network they hold.
//!
//! [`WeightsFile`] opens one and reads names, shapes and settings; [`Imported`] is a network in it, as it will be in Sextant's own
//! convention; its tensors are read last. Nothing of a pickle is executed.

mod archive;
mod convention;
mod error;
mod file;
mod geometry;
mod import;
mod legacy;
mod pickle;
mod storages;

pub use archive::ArchiveError;
pub use error::{CheckpointError, Fault, NotFinite};
pub use file::{Format, WeightsFile};
pub use geometry::Geometry;
pub use import::{Imported, metadata};
pub use pickle::PickleError;

#[cfg(test)]
mod tests;
