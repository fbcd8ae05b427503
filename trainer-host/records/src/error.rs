//! Errors of a run on disk.

use std::path::{Path, PathBuf};

use sextant_recipe::RecipeError;

/// A file or folder, and why nothing can be done with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's or a parser's reason, or what would be right.
    pub reason: String,
}

impl FileError {
    /// An error about `path`.
    pub fn new(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self {
            path: path.as_ref().into(),
            reason: reason.to_string(),
        }
    }
}

/// A run that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or folder of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}
