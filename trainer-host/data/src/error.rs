//! Errors of loading data.

use std::path::{Path, PathBuf};

use super::folder::LabelsFault;
use super::npy::NpyFault;

/// An error in the data section of a recipe, or in the data itself.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The set does not come in this size.
    #[error("data.size = {wanted} is not available; sizes of this set: {}", join(available))]
    Size {
        /// The size that the recipe asks for.
        wanted: usize,
        /// The sizes that would work.
        available: Vec<usize>,
    },
    /// An asset compiled into the binary cannot be read: a broken build.
    #[error("embedded data is damaged: {0}")]
    Embedded(String),
    /// The set or its split is of no use for training.
    #[error("{0}")]
    Unusable(String),
    /// A batch field's values do not fit its shape and the number of images.
    #[error(
        "batch field \"{name}\" holds {found} values; {count} images of shape {shape:?} need {}",
        count * shape.iter().product::<usize>()
    )]
    Field {
        /// The field.
        name: String,
        /// Shape of one sample.
        shape: Vec<usize>,
        /// Number of images in the set.
        count: usize,
        /// Number of values given.
        found: usize,
    },
    /// A field that is not there.
    #[error("the data has no batch field \"{0}\"")]
    NoField(String),
    /// Latents where pixels are needed.
    #[error("the data are latents of an autoencoder: pictures of them need its decoder; name its folder with data.vae")]
    NeedsDecoder,
    /// Images of samples where there are only latents.
    #[error("the images of the samples are needed, and not there: {0}")]
    NoPictures(String),
    /// A file or folder that the system does not give.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder that is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Its fault.
        reason: String,
    },
    /// A `.npy` that cannot be read, or does not fit.
    #[error("{}: {fault}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// Its fault.
        fault: NpyFault,
    },
    /// A `dataset.json` that cannot be read, or does not fit its folder.
    #[error("{}: {fault}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Its fault.
        fault: LabelsFault,
    },
    /// More classes than the recipe says.
    #[error("data.classes does not fit {}: {fault}", path.display())]
    Classes {
        /// The file.
        path: PathBuf,
        /// A label beyond.
        fault: LabelsFault,
    },
    /// Training shall see mirrored samples, and there are none.
    #[error("data.flip: {0}; set data.flip = false, or prepare them")]
    NotFlipped(String),
    /// Someone asked to stop.
    #[error("stopped before the end")]
    Stopped,
    /// A file that cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The thread that prepares batches is gone.
    #[error("the loader's thread died after {done} of {total} steps; its panic is on standard error")]
    LoaderDied {
        /// Steps that it delivered.
        done: u64,
        /// Steps that were wanted.
        total: u64,
    },
}

impl DataError {
    /// A file that the system does not give.
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.into();
        Self::Io { path, source }
    }

    /// A file that is not what it should be.
    pub(super) fn file(path: &Path, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.into(), reason.into());
        Self::File { path, reason }
    }

    /// A fault of a `.npy` file.
    pub(super) fn npy(path: &Path, fault: NpyFault) -> Self {
        let path = path.into();
        Self::Npy { path, fault }
    }

    /// True if what was asked for could have been done: the machine failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::LoaderDied { .. })
    }
}

fn join(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
