//! Guidance sources: found, loaded, planned, checked and run.
//!
//! The only place in the host that knows the plugin contract ([`sextant_plugin_api::abi`]). The training loop sees
//! [`Sources`] and, once a step, a list of [`SourceLoss`]es; it meets neither handles nor libraries.
//!
//! From the outside in: [`SearchPath`] finds a file, [`Library`] opens it, `Instance` is one configured source of it,
//! [`SourcePlan`] what that source declared, and `operations` what it may ask for while its `guide` runs.

mod boundary;
mod buffers;
mod callbacks;
mod error;
mod fault;
mod geometry;
mod initial;
mod instance;
mod library;
mod operations;
mod parameters;
pub mod plan;
mod search;
mod session;
mod sources;
mod step;
mod table;
mod trace;
mod watchdog;

#[cfg(test)]
mod fixture;

pub use buffers::Buffers;
pub use error::GuidanceError;
pub use geometry::{GuidanceGeometry, NetworkShape};
pub use library::Library;
pub use parameters::SourceParams;
pub use plan::SourcePlan;
pub use search::{SearchPath, file_name, plugin_name};
pub use session::stray_calls;
pub use sources::Sources;
pub use step::{GuidanceStep, Services, SourceLoss};
pub use trace::{Asked, Trace, traced};

/// Version of the plugin contract that this host has, as `major.minor`.
pub fn contract_version() -> String {
    use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR};
    format!("{ABI_MAJOR}.{ABI_MINOR}")
}
