//! Stores of samples: one file an implementation.

mod absent;
mod base;
mod images;
mod latents;
mod memory;
mod packed;
mod place;

pub(super) use absent::Absent;
pub use base::{Sample, SampleStore};
pub(super) use images::ImageStore;
pub(super) use latents::LatentStore;
pub(super) use memory::InMemory;
pub(super) use packed::PackedStore;
