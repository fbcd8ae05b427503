//! The unsafe side: everything between the C contract and the safe face, and nothing else.
//!
//! The host is trusted to follow [`crate::abi`]; an author's code is safe Rust and is not trusted with pointers. Panics
//! stop here.
#![allow(unsafe_code)]

mod answer;
mod callbacks;
mod declaration;
mod entry;
mod log;
mod memory;
mod message;
mod session;
mod step;

pub use callbacks::{Exported, descriptor};
pub use entry::{name_of, register};
pub use log::{Level, log};
pub(crate) use session::{Attributes, Session};
