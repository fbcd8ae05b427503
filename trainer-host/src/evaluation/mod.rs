//! What is measured of a finished run: the quality of its samples, copies of training images, and what its
//! representations hold. The measures themselves are in [`crate::measure`]; here is what they are applied to.

pub mod cache;
pub mod copies;
pub mod quality;
mod colours;
#[cfg(test)]
mod fixture;
mod guided;
mod maps;
mod recipe;
mod representations;
mod result;
mod showing;

pub use guided::{Guided, Target, guided_of};
pub use maps::maps;
pub use recipe::{QualityRecipe, RepresentationsRecipe};
pub use representations::representations;
pub use result::{
    Alignment, Copies, Evaluation, JudgeIdentity, LabelPart, Map, MapOf, Probing, Quality, Representations, ScaleSweep,
    Scores, SweepPoint,
};
pub use showing::{Showing, Told};
