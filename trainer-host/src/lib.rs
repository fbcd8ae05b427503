//! Sextant trains diffusion transformers (SiT/DiT) with guidance that is a plugin: one loop, one data order, one set
//! of draws, and sources that are shared libraries, so that what differs between two runs is the source.
//!
//! Arrows point one way: `cli → compare, report → evaluation, statistics → judge, measure, train → guidance → model,
//! diffusion → data`. The design and its reasons are in `docs/architecture.md`.

pub mod check;
pub mod cli;
pub mod compare;
pub mod data;
pub mod device;
pub mod diffusion;
pub mod encoder;
pub mod error;
pub mod evaluation;
pub mod guidance;
pub mod judge;
pub mod measure;
pub mod model;
pub mod recipe;
pub mod report;
pub mod sample;
pub mod statistics;
pub mod sweep;
pub mod template;
pub mod train;
pub mod watch;

pub use error::Error;
