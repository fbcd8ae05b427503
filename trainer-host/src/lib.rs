//! Sextant trains diffusion transformers (SiT/DiT) with guidance that is a plugin: one loop, one data order, one set
//! of draws, and sources that are shared libraries, so that what differs between two runs is the source.
//!
//! This crate is the command line, and what orchestrates runs: comparisons and sweeps. What it orchestrates are crates of their
//! own, and their arrows point downwards; `docs/architecture.md` has the map.

pub mod cli;
pub mod compare;
pub mod error;
pub mod sweep;

pub use error::Error;
pub use sextant_check as check;
pub use sextant_data as data;
pub use sextant_evaluation as evaluation;
pub use sextant_guidance as guidance;
pub use sextant_model as model;
pub use sextant_recipe as recipe;
pub use sextant_records as records;
pub use sextant_report as report;
pub use sextant_train as train;
