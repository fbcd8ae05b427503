//! Errors between a recipe's guidance section and a source's loss.

use std::path::PathBuf;

use sextant_recipe::SettingError;

/// An error in a guidance source, its library, its settings or its step. Every message names the source or file at fault.
#[derive(Debug, thiserror::Error)]
pub enum GuidanceError {
    /// No library of this name on the search path.
    #[error("guidance source \"{name}\" is not installed: no {file} in {searched}; sources there: {available}")]
    NotFound {
        /// As the recipe writes it.
        name: String,
        /// The file's name on this platform.
        file: String,
        /// Folders searched, in order.
        searched: String,
        /// Names that would be found.
        available: String,
    },
    /// A path that the recipe names does not exist, or cannot be read.
    #[error("cannot read guidance library {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A file that gives no guidance source: no shared library of this platform, one without the entry symbol, or one whose
    /// symbol gives none.
    #[error("{path} {reason}")]
    NoSource {
        /// The file.
        path: PathBuf,
        /// The loader's words, the library's, or what is known without any.
        reason: String,
    },
    /// The library was built for another major version of the contract.
    #[error(
        "{path} was built for version {}.{} of the guidance contract; this host has {}.{}: rebuild it with a matching sextant-plugin-api",
        theirs.0, theirs.1, ours.0, ours.1
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its major and minor version.
        theirs: (u32, u32),
        /// The host's.
        ours: (u32, u32),
    },
    /// The descriptor breaks the contract.
    #[error("{path} describes itself wrongly: {reason}")]
    Descriptor {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// The file is not the one that the recipe pins.
    #[error("guidance source \"{source_name}\": {path} has sha256 {found}, but the recipe pins {pinned}")]
    Pin {
        /// Instance name.
        source_name: String,
        /// The file.
        path: PathBuf,
        /// Hash in the recipe.
        pinned: String,
        /// Hash of the file.
        found: String,
    },
    /// A setting of a source in the recipe.
    #[error("guidance source \"{source_name}\": {key} {reason}")]
    Setting {
        /// Instance name, or plugin where there is none yet.
        source_name: String,
        /// Key in the recipe.
        key: &'static str,
        /// The fault, and what would be right.
        reason: String,
    },
    /// The source refused its configuration.
    #[error("guidance source \"{source_name}\" refuses its configuration: {message}")]
    Create {
        /// Instance name.
        source_name: String,
        /// The source's words.
        message: String,
    },
    /// The source cannot plan for this model and data, or its plan is not acceptable.
    #[error("guidance source \"{source_name}\": {reason}")]
    Plan {
        /// Instance name.
        source_name: String,
        /// The fault, and what would be right.
        reason: String,
    },
    /// `guide` failed: an operation in it, the source itself, or its result.
    #[error("guidance source \"{source_name}\" failed at step {}: {reason}", step + 1)]
    Guide {
        /// Instance name.
        source_name: String,
        /// Optimiser step, counted from 0 here and from 1 in the message.
        step: u64,
        /// The first error of the step.
        reason: String,
    },
    /// The training loop did not hand over what a plan needs.
    #[error(
        "guidance source \"{source_name}\" needs {what}, which the training loop did not give at step {}",
        step + 1
    )]
    Missing {
        /// Instance name.
        source_name: String,
        /// Optimiser step, counted as above.
        step: u64,
        /// The part that is missing.
        what: String,
    },
    /// A buffer on which the ranks of a run cannot agree.
    #[error("buffer `{buffer}` of the guidance sources: {reason}")]
    Ranks {
        /// Its path: source and name.
        buffer: String,
        /// The difference.
        reason: String,
    },
    /// A checkpoint's parameters or buffers are not those of the sources.
    #[error("checkpoint of the guidance sources: {0}")]
    Checkpoint(String),
}

impl From<SettingError> for GuidanceError {
    fn from(error: SettingError) -> Self {
        Self::Setting {
            source_name: error.source_name,
            key: error.key,
            reason: error.reason,
        }
    }
}
