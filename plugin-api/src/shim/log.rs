//! Lines for the host's log.

use std::sync::OnceLock;

use crate::abi::Text;

/// Urgency of a line.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is probably not as the user wants it.
    Warning = 2,
    /// Something worth knowing once.
    Info = 3,
    /// For the author.
    Debug = 4,
}

type Log = unsafe extern "C" fn(u32, Text);
static LOG: OnceLock<Log> = OnceLock::new();

/// The first host of the process is the only one: it lives as long as the process.
pub(super) fn connect(function: Option<Log>) {
    if let Some(function) = function {
        LOG.get_or_init(|| function);
    }
}

/// Writes a line to the host's log, from any thread at any time; before the first instance is made, nothing
/// happens.
pub fn log(level: Level, line: &str) {
    if let Some(function) = LOG.get() {
        // SAFETY: the host's function may be called at any time, and reads the text during the call only.
        unsafe { function(level as u32, Text::of(line)) };
    }
}
