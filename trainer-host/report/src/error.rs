//! What can keep a report from being made.

use sextant_recipe::RecipeError;
use sextant_records::{FileError, RecordError};
use sextant_stats::statistics::StatisticsError;

/// Why runs cannot be put on one page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recipe that cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Scores that no statistics can be made of.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// Runs that do not belong together, or a wish that they cannot fulfil; the message says what differs.
    #[error("{0}")]
    Input(String),
    /// A value that cannot be written as JSON or TOML.
    #[error("{what} cannot be written: {reason}")]
    Text {
        /// The value in words.
        what: &'static str,
        /// The writer's reason.
        reason: String,
    },
}
