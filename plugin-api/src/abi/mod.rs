//! The C contract between the host and a guidance source, version 1.2.
//!
//! Nothing of Rust's or burn's layout crosses the boundary: only `#[repr(C)]` structs that begin with their
//! own size, function pointers, integers and UTF-8 slices. Rust authors do not meet this module, they
//! implement [`crate::GuidanceSource`]; it is for the host, for other languages, and for those who want
//! to know.
//!
//! # Lifecycle
//! A library exports one symbol, [`ENTRY_SYMBOL`], a function of type [`Entry`]. It answers a
//! [`Descriptor`] that lives as long as the process (libraries are never unloaded). Then, for each
//! replica: `create` → `plan` → `guide`, for each micro-batch of each step → `destroy`. The host never calls one instance
//! from two threads at once, but may move it between threads from call to call.
//!
//! # Tensors
//! A plugin holds integers ([`Handle`]); the host holds the tensors, on its device and in its autodiff
//! graph. The plugin asks for operations through [`Host::op`]. Handles live from the call that made them
//! until they are released, consumed, or `guide` returns, whichever comes first.
//!
//! # Errors
//! Every call returns a [`Status`]. A message that a plugin returns stays the plugin's memory until the
//! host calls the [`Message`]'s `release`. An operation that fails gives handle 0; operations on handle 0 give 0; the
//! host keeps the first error of the step and reports it when `guide` returns, whatever `guide` returned.
//!
//! # Versions
//! The major number must match, or the library is refused. A plugin states in its [`Plan`] the minor
//! number that the plan needs; a host accepts any that it has. Structs grow at their end only, arrays
//! carry an element stride, and each side reads and writes no more than the smaller size. Enumerations
//! are `u32`, booleans `u8`.

mod layout;
mod operation;

pub use layout::*;
pub use operation::*;

/// Major version: raised when something that exists changes its layout or meaning.
pub const ABI_MAJOR: u32 = 1;
/// Minor version: raised when something is added (a field at a struct's end, an operation, a tap kind).
pub const ABI_MINOR: u32 = 2;
/// The one symbol that a library exports, of type [`Entry`].
pub const ENTRY_SYMBOL: &str = "sextant_guidance_entry";
