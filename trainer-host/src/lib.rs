//! Sextant trains diffusion transformers (SiT/DiT) with guidance that is a plugin: one loop, one data order, one set
//! of draws, and sources that are shared libraries, so that what differs between two runs is the source.
//!
//! This crate is the command line, and what orchestrates runs: comparisons and sweeps. What it orchestrates are crates of their
//! own, and their arrows point downwards; `docs/architecture.md` has the map.

pub mod cli;
pub mod compare;
pub mod error;
mod out_of_memory;
pub mod prepare;
pub mod sweep;

pub use error::Error;
