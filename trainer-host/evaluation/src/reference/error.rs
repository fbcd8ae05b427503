//! Errors of a reference.

use std::io;
use std::path::PathBuf;

use sextant_data::DataError;
use sextant_data::image::ImageError;
use sextant_stats::measure::MeasureError;
use zip::result::ZipError;

/// A reference that cannot be used, by the path that the recipe names.
#[derive(Debug, thiserror::Error)]
#[error("evaluation.quality.reference names {}: {fault}", path.display())]
pub struct ReferenceError {
    /// Its file or folder.
    pub path: PathBuf,
    /// Its fault; boxed, since every error above holds this one.
    pub fault: Box<ReferenceFault>,
}

/// Fault of a reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceFault {
    /// The file system refused.
    #[error("{0}; a reference is an .npz of statistics or images, or a folder of images")]
    Io(#[from] io::Error),
    /// No archive.
    #[error("cannot be read as .npz: {0}; a reference is an .npz of statistics or images, or a folder of images")]
    Archive(#[from] ZipError),
    /// An archive of something else.
    #[error(
        "it has the arrays [{0}]; a reference has mu and sigma (statistics), or arr_0 (images, uint8 [N, side, side, 3])"
    )]
    Arrays(String),
    /// An array that is missing, or is not what it must be.
    #[error("{key} {reason}")]
    Array {
        /// The array's name.
        key: &'static str,
        /// Its fault, and what would be right.
        reason: String,
    },
    /// Images of an `.npz` that cannot be read.
    #[error(transparent)]
    Samples(#[from] sextant_train::Error),
    /// A folder that cannot be read.
    #[error(transparent)]
    Folder(#[from] DataError),
    /// An image that cannot be read. A distance to the others would be one to another set.
    #[error("{name}: {source}; take it away, or replace it")]
    Image {
        /// Its name below the folder.
        name: String,
        /// The decoder's reason.
        source: ImageError,
    },
    /// Images of another size than the samples.
    #[error("its images are {found} pixels a side, and the samples {wanted}; a reference of {wanted} pixels is wanted")]
    Side {
        /// Pixels a side.
        found: usize,
        /// Those of the samples.
        wanted: usize,
    },
    /// Statistics of another network.
    #[error(
        "mu has {found} values, and judge {judge:?} has {width} features: they are statistics of another network; name that network \
         alone in evaluation.quality.judges, or a reference of images"
    )]
    Width {
        /// Values of mu.
        found: usize,
        /// The judge's name.
        judge: String,
        /// Its features.
        width: usize,
    },
    /// Statistics that are none.
    #[error("sigma: {0}")]
    Sigma(MeasureError),
    /// A recipe that asks for more than statistics have.
    #[error("it has statistics and no images, and {0}")]
    NoImages(&'static str),
}

impl ReferenceFault {
    /// The error of a reference at `path`.
    pub(super) fn of(self, path: &std::path::Path) -> ReferenceError {
        ReferenceError {
            path: path.to_owned(),
            fault: self.into(),
        }
    }
}
