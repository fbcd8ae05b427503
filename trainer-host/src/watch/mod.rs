//! Runs seen from outside, while another process trains them: what their folders say so far.
//!
//! Reads only. Nothing here waits for a run or tells it anything, so that it can be started and ended at any time.

mod folder;
#[cfg(feature = "tui")]
mod screen;
mod text;

pub use folder::{At, Watched, WatchedRun};
#[cfg(feature = "tui")]
pub use screen::show;
pub use text::once;
