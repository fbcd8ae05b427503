//! Measurements of an evaluation, and where they lie.

mod folder;
mod result;

pub use folder::{DataFingerprints, EvaluationFolder, Fingerprints, Protocol};
pub use result::{
    Alignment, Copies, CopyRule, Evaluation, JudgeIdentity, Map, MapOf, Probing, Quality, ReferenceIdentity,
    Representations, ScaleSweep, Scores, SweepPoint,
};
