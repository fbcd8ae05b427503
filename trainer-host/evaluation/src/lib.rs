//! Measurements of a finished run: the quality of its samples, copies of training images, and what its representations
//! hold. The measures themselves are in [`sextant_stats::measure`]; here is what they are applied to.

pub mod cache;
mod colours;
pub mod copies;
mod error;
mod evaluate;
mod extraction;
#[cfg(test)]
mod fixture;
mod guided;
pub mod judge;
mod maps;
mod pictures;
pub mod quality;
mod representations;
mod subject;
mod text;
mod values;

pub use error::Error;
pub use evaluate::{Subject, evaluate, judges};
pub use extraction::{FeatureExtraction, LabelMode};
pub use guided::{Guided, Target, encoder_of, guided_of};
pub use maps::maps;
pub use representations::representations;
pub use subject::{Checkpoint, of_network, of_run, of_samples, prepare};
pub use text::text;
pub use values::values;
