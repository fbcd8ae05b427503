//! Laws that every guidance source keeps, tried on generated cases against the loaded library itself.
//!
//! `sextant plugin check` runs them, each in a process of its own ([`Isolation`]), so that a crash or a hang of the library
//! is a finding. The same kit serves an author's own `cargo test`:
//!
//! ```no_run
//! use std::path::Path;
//! use sextant_check::{Case, Options, Settings, PluginUnderTest, hold, invariants};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plugin = PluginUnderTest::open(Path::new("target/release/libsextant_mine.so"), Settings::default())?;
//! for invariant in invariants() {
//!     let finding = hold(invariant, &plugin, &Options::default());
//!     assert!(!finding.is_broken(), "{finding:?}");
//! }
//! // A property of one's own: what the source answers in a case.
//! let outcome = plugin.guide(&Case::plain()).unwrap();
//! assert!(outcome.loss.iter().all(|loss| (-1.0..=1.0).contains(loss)));
//! # Ok(())
//! # }
//! ```
//!
//! From the outside in: a [`PluginUnderTest`] is a library with a configuration; a [`Case`] is a geometry and one step of it,
//! in few numbers; a [`Harness`] is a case on a device, ready to be guided, and an [`Outcome`] its answer; a `TrainingHarness`
//! is a training of the production code on it; an [`Invariant`] judges cases and finds a [`Violation`], [`hold`] generates
//! and shrinks them.

mod case;
mod error;
mod field;
mod generate;
mod harness;
mod hold;
mod invariant;
mod invariants;
mod isolation;
mod network;
mod numbers;
mod outcome;
mod plugin;
pub mod template;
#[cfg(test)]
mod tests;
mod training_harness;
mod violation;

pub use case::{Case, CaseError, Sample};
pub use error::Error;
pub use field::{FieldShape, NoField};
pub use harness::Harness;
pub use hold::{Options, hold};
pub use invariant::{Evidence, Finding, Invariant, Verdict};
pub use invariants::{UnknownInvariant, invariant, invariants, table};
pub use isolation::{Isolation, Report, Reporter};
pub use outcome::{Input, Outcome};
pub use plugin::{PluginUnderTest, Settings};
pub use violation::Violation;
