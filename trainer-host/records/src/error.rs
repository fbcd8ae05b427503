//! Errors of a run on disk.

use std::any::Any;
use std::io;
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
    /// Known by the system's reason.
    #[source]
    full: Option<StorageFull>,
}

/// No room is left on a disk, or for a file of its size: no fault of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room is left")]
pub struct StorageFull;

impl StorageFull {
    /// This, if `error` or what caused it says so.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        let says_so =
            |error: &(dyn std::error::Error + 'static)| error.is::<Self>() || error.downcast_ref().is_some_and(is_full);
        causes.any(says_so).then_some(Self)
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

impl FileError {
    /// An error about `path`.
    pub fn new(path: impl AsRef<Path>, reason: impl ToString + 'static) -> Self {
        let system: Option<&io::Error> = (&reason as &dyn Any).downcast_ref();
        Self {
            path: path.as_ref().into(),
            full: system.is_some_and(is_full).then_some(StorageFull),
            reason: reason.to_string(),
        }
    }

    /// An error of a library about `path`, which may hide the system's: burn's say it in words alone.
    pub fn of_library(path: impl AsRef<Path>, error: &(dyn std::error::Error + 'static)) -> Self {
        let reason = error.to_string();
        let in_words = || {
            ["os error 27)", "os error 28)", "os error 122)"]
                .iter()
                .any(|code| reason.contains(code))
        };
        Self {
            path: path.as_ref().into(),
            full: StorageFull::of(error).or_else(|| in_words().then_some(StorageFull)),
            reason,
        }
    }

    /// The same with other words before its reason.
    pub(crate) fn after(self, words: &str) -> Self {
        Self {
            reason: format!("{words}: {}", self.reason),
            ..self
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_however_deep_it_lies() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let deep = RecordError::from(FileError::new("run.json", full()).after("cannot be made"));
        assert_eq!(StorageFull::of(&deep), Some(StorageFull));
        assert_eq!(StorageFull::of(&full()), Some(StorageFull));
        let large = FileError::new("run.json", io::Error::from(io::ErrorKind::FileTooLarge));
        assert_eq!(StorageFull::of(&large), Some(StorageFull));
        let other = RecordError::from(FileError::new("run.json", io::Error::from(io::ErrorKind::NotFound)));
        assert_eq!(StorageFull::of(&other), None);
        assert_eq!(StorageFull::of(&FileError::new("run.json", full().to_string())), None);
        let words = io::Error::other("Record I/O error: No space left on device (os error 28)");
        let said = FileError::of_library("optimiser.bpk", &words);
        assert_eq!(StorageFull::of(&said), Some(StorageFull));
    }
}
