//! A host in plain Rust for the tests of a guidance source: float64 numbers in memory, every operation of the contract, no
//! framework. It builds in seconds, so that `cargo test` in a source's crate can state the laws of its loss:
//!
//! ```
//! use serde_json::json;
//! use sextant_plugin_testkit::{Bench, strategy};
//! # use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step};
//! # struct Shrink;
//! # impl GuidanceSource for Shrink {
//! #     type Config = std::collections::BTreeMap<String, f64>;
//! #     fn new(_: Self::Config) -> Result<Self, Error> { Ok(Self) }
//! #     fn plan(&self, _: &Geometry) -> Result<Plan, Error> { Ok(Plan::new().tap(1)) }
//! #     fn guide(&self, step: &Step) -> Result<Guidance, Error> {
//! #         Ok(Guidance::new(step.tap(1)?.square().mean_per_sample()))
//! #     }
//! # }
//! # sextant_plugin_api::describe_guidance!(Shrink, name = "shrink");
//!
//! let bench = Bench::new::<Shrink>(json!({})).unwrap().planned(&strategy::small()).unwrap();
//! let inputs = bench.inputs(7, &[0.1, 0.5]); // everything drawn from a seed, for two samples at these times
//! let twice = inputs.clone().with_tap(1, inputs.tap(1).map(|h| 2.0 * h));
//! let (once, twice) = (bench.loss(&inputs).unwrap(), bench.loss(&twice).unwrap());
//! assert!((twice[0] - 4.0 * once[0]).abs() < 1e-12 * twice[0]);
//! ```
//!
//! [`Bench`] runs a source, [`Inputs`] are what a step hands over, [`Outcome`] is what came of it and what the source
//! asked for. [`strategy`] generates geometries, times and features for [`proptest`]; [`laws`] are ready properties.
//!
//! # What it is not
//! It computes numbers, not gradients: [`Outcome::gradients`] tells where a gradient can flow, not how large it is. It has
//! no networks either: the teacher and the moving average answer a function of their inputs ([`Inputs::with_network`]). Gradients,
//! poisoned inputs, element types, devices and the generic invariants are `sextant plugin check`'s, on the real host.

mod bench;
mod boundary;
mod compute;
mod declared;
mod draw;
mod inputs;
pub mod laws;
mod session;
pub mod strategy;
mod value;

pub use bench::{Bench, Outcome};
pub use declared::{BufferDeclared, Declared, ParameterDeclared, Tap};
pub use inputs::{Inputs, Path, Row};
pub use proptest;
pub use session::{Asked, Leaf, Pass, Trace, last_step};
pub use value::Value;
