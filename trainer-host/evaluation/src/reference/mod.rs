//! References: what samples are compared with where `evaluation.quality.reference` names it, in place of the data's training part.
//!
//! Three forms are read: statistics (`mu` and `sigma` in an `.npz`, as pytorch-fid and the ADM suite write them), images in an
//! `.npz` (`arr_0`, as samples are), and a folder of images. A file of the ADM suite has the first two, and both are used as its
//! own evaluator uses them: the Frechet distance is to the statistics, which are of the whole training set, and what takes rows is
//! measured against the images.

mod base;
mod error;
mod images;
mod statistics;
#[cfg(test)]
mod tests;

pub use base::External;
pub use error::{ReferenceError, ReferenceFault};
