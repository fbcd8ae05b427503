//! The crate that the author of a Sextant guidance source depends on.
//!
//! A source adds a loss to the training of a diffusion transformer. It implements [`GuidanceSource`]: from its
//! configuration it makes a [`Plan`] of what it reads, and from each [`Step`] a loss per sample. Its tensors are
//! handles of the host's ([`Tensor`]), so one library works on every device, with gradients, and compiles in seconds:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step};
//!
//! /// Keeps the student's tokens short.
//! pub struct Shrink { config: Config }
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! pub struct Config { depth: u32 }
//!
//! impl Default for Config {
//!     fn default() -> Self { Self { depth: 1 } }
//! }
//!
//! impl GuidanceSource for Shrink {
//!     type Config = Config;
//!
//!     fn new(config: Config) -> Result<Self, Error> {
//!         Ok(Self { config })
//!     }
//!
//!     fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
//!         Ok(Plan::new().tap(self.config.depth))
//!     }
//!
//!     fn guide(&self, step: &Step) -> Result<Guidance, Error> {
//!         Ok(Guidance::new(step.tap(self.config.depth)?.square().mean_per_sample()))
//!     }
//! }
//!
//! sextant_plugin_api::export_guidance!(Shrink, name = "shrink");
//! # fn main() {}
//! ```
//!
//! `docs/plugin-authors-guide.md` tells it from the beginning; [`abi`] is the C contract underneath.

pub mod abi;
mod config;
mod error;
#[doc(hidden)]
pub mod export;
mod geometry;
mod operations;
pub mod parts;
mod plan;
mod shim;
mod source;
mod step;
mod tensor;
mod time;

/// The crate that derives the description of a configuration: `#[derive(JsonSchema)]`.
pub use schemars;

pub use abi::{
    Agreement, Condition, DType, Distribution, Interpolation, Network, Operation, PathKind, PredictionKind,
    SettingMeaning, TapKind,
};
pub use error::Error;
pub use geometry::{FieldGeometry, Geometry, NetworkGeometry};
pub use operations::operations_markdown;
pub use plan::{Buffer, Init, Plan};
pub use shim::{Exported, Level, descriptor, log};
pub use source::{Guidance, GuidanceSource};
pub use step::{PathCoefficients, Step};
pub use tensor::{Convolution, Element, IntoTerm, Resize, Tensor, Term};
pub use time::{TimeRange, rows_inside};

/// Runs the examples of the guide, so that they stay true.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugin-authors-guide.md")]
struct Guide;
