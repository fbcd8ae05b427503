//! Measures on features: the quality of samples, copies of training images, and what representations hold.
//!
//! Pure functions in f64 on rows in memory ([`Features`]); whose features they are (a judge's, a depth's, the pixels
//! themselves) is the caller's business. Nothing here reads a file, holds a tensor of the network, or draws a number
//! that no seed names. Every function answers a [`MeasureError`] where its definition does not hold.
//!
//! | question | measure |
//! |---|---|
//! | how far are the samples from the data? | [`frechet_distance`], [`kernel_distance`] |
//! | is each sample like the data, is all the data covered? | [`precision_recall`] |
//! | are samples copies of training images? | [`Originals`] |
//! | do two networks see alike? | [`cknna`] |
//! | can classes be read off features by a linear map? | [`linear_probe`] |
//! | what do tokens look like as colours? | [`components()`] |

mod cknna;
mod components;
mod error;
mod features;
#[cfg(test)]
mod fixture;
mod frechet;
mod kernel;
mod lbfgs;
mod memorisation;
mod neighbours;
mod precision;
mod probe;
mod regression;
mod shuffle;

pub use cknna::cknna;
pub use components::{Components, components};
pub use error::MeasureError;
pub use features::Features;
pub use frechet::{Gaussian, frechet_distance};
pub use kernel::{KernelDistance, kernel_distance};
pub use memorisation::Originals;
pub use neighbours::{Neighbour, nearest};
pub use precision::{PrecisionRecall, precision_recall};
pub use probe::{Labelled, Probe, linear_probe};
pub use shuffle::shuffled;
