//! Measurements of a finished run: the quality of its samples, copies of training images, and what its representations
//! hold. The measures themselves are in [`sextant_stats::measure`]; here is what they are applied to.

mod cache;
mod colours;
mod copies;
mod crew;
mod error;
mod evaluate;
mod extraction;
#[cfg(test)]
mod fixture;
mod guided;
mod judge;
mod maps;
mod pictures;
mod quality;
mod reference;
mod representations;
mod subject;
mod text;
mod values;

pub use cache::Cache;
pub use crew::take_part;
pub use error::Error;
pub use guided::{Target, guided_of};
pub use judge::JudgeError;
pub use reference::{ReferenceError, ReferenceFault};
pub use subject::{of_file, of_network, of_run, of_samples, prepare, prepare_evaluation, saved};
pub use text::text;

use guided::Guided;
use values::values;
