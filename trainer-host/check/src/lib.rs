//! Laws that every guidance source keeps, tried on generated cases against the loaded library itself.
//!
//! `sextant plugin check` runs them, each in a process of its own ([`Isolation`]), so that a crash or a hang of the library
//! is a finding. The same kit serves an author's own `cargo test`:
//!
//! ```no_run
//! use std::path::Path;
//! use sextant_check::{Case, Options, Settings, Subject, hold, invariants};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let subject = Subject::open(Path::new("target/release/libsextant_mine.so"), Settings::default())?;
//! for invariant in invariants() {
//!     let finding = hold(invariant, &subject, &Options::default());
//!     assert!(!finding.is_broken(), "{finding:?}");
//! }
//! // A property of one's own: what the source answers in a case.
//! let outcome = subject.guide(&Case::plain()).unwrap();
//! assert!(outcome.loss.iter().all(|loss| (-1.0..=1.0).contains(loss)));
//! # Ok(())
//! # }
//! ```
//!
//! From the outside in: a [`Subject`] is a library with a configuration; a [`Case`] is a geometry and one step of it, in few
//! numbers; a [`Scene`] is a case on a device, ready to be guided, and an [`Outcome`] what came of it; a `Rehearsal` is a
//! training of the production code on it; an [`Invariant`] tries cases, [`hold`] generates and shrinks them.

mod case;
mod error;
mod field;
mod generate;
mod hold;
mod invariant;
mod invariants;
mod isolation;
mod network;
mod numbers;
mod outcome;
mod rehearsal;
mod scene;
mod subject;
mod table;
pub mod template;
#[cfg(test)]
mod tests;

pub use case::{Case, Sample};
pub use error::Error;
pub use field::FieldShape;
pub use hold::{Options, hold};
pub use invariant::{Break, Evidence, Finding, Invariant, Verdict};
pub use invariants::{invariant, invariants};
pub use isolation::{Isolation, Report, Reporter};
pub use outcome::{Input, Outcome};
pub use scene::Scene;
pub use subject::{Settings, Subject};
pub use table::table;
