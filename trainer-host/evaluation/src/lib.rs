//! What is measured of a finished run: the quality of its samples, copies of training images, and what its
//! representations hold. The measures themselves are in [`crate::measure`]; here is what they are applied to.

pub mod cache;
mod colours;
pub mod copies;
mod evaluate;
#[cfg(test)]
mod fixture;
mod folder;
mod guided;
mod maps;
mod pictures;
pub mod quality;
mod recipe;
mod representations;
mod result;
mod showing;
mod subject;
mod text;
mod values;

pub use evaluate::{Subject, evaluate, judges};
pub use folder::{EvaluationFolder, Fingerprints, Protocol};
pub use guided::{Guided, Target, guide_of, guided_of};
pub use maps::maps;
pub use recipe::{QualityRecipe, RepresentationsRecipe};
pub use representations::representations;
pub use result::{
    Alignment, Copies, CopyRule, Evaluation, JudgeIdentity, LabelPart, Map, MapOf, Probing, Quality, Representations,
    ScaleSweep, Scores, SweepPoint,
};
pub use showing::{Showing, Told};
pub use subject::{Checkpoint, check, of_network, of_run, of_samples};
pub use text::text;
pub use values::values;
