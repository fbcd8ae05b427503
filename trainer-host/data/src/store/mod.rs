//! Where the samples of a set are read from: one file an implementation.

mod base;
mod memory;

pub use base::{Sample, SampleStore};
pub(super) use memory::InMemory;
