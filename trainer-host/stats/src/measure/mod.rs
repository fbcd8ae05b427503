//! Measures on features: the quality of samples, copies of training images, and what representations hold.
//!
//! Pure functions in f64 on rows in memory ([`Features`]); whose features they are (a judge's, a depth's, the pixels
//! themselves) is the caller's business. Nothing here reads a file, holds a tensor of the network, or draws a number
//! that no seed names. Every function answers a [`MeasureError`] where its definition does not hold.
//!
//! | question | measure |
//! |---|---|
//! | how far are the samples from the data? | [`frechet_distance`], [`kernel_distance`] |
//! | is each sample like the data, is all the data covered? | [`precision_recall`], [`density_coverage`] |
//! | are samples copies of training images? | [`memorisation`] |
//! | do two networks see alike? | [`cknna`] |
//! | can classes be read off features by a linear map? | [`linear_probe`] |
//! | how much of a target is the label alone? | [`label_share`] |
//! | what do tokens look like as colours? | [`Components`] |
//! | what would real data score? | [`halves`], [`disjoint`] |

mod cknna;
mod components;
mod density;
mod error;
mod features;
#[cfg(test)]
mod fixture;
mod frechet;
mod kernel;
mod label_share;
mod lbfgs;
mod memorisation;
mod neighbours;
mod precision;
mod probe;
mod regression;
mod split;

pub use cknna::cknna;
pub use components::Components;
pub use density::{DensityCoverage, density_coverage};
pub use error::MeasureError;
pub use features::Features;
pub use frechet::{Gaussian, frechet_distance};
pub use kernel::{KernelDistance, kernel_distance, kernel_distance_of_blocks};
pub use label_share::{LabelShare, label_share};
pub use memorisation::{Memorisation, Nearness, memorisation};
pub use neighbours::{Neighbour, nearest, nearest_within};
pub use precision::{PrecisionRecall, precision_recall};
pub use probe::{Labelled, Probe, ProbeSettings, linear_probe};
pub use split::{disjoint, halves, shuffled};
