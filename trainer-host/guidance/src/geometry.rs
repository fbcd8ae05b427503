//! Model and data as they are fixed before training starts.

use sextant_recipe::{Path, Prediction};

/// One network as a plan may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// Number of blocks.
    pub depth: usize,
    /// Width D of the tokens.
    pub width: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Rows and columns of the token grid.
    pub grid: [usize; 2],
}

/// Model and data, as sources plan for them.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidanceGeometry {
    /// Samples of one call of `guide` (a micro-batch).
    pub batch: usize,
    /// Latent channels C.
    pub channels: usize,
    /// Latent height H.
    pub height: usize,
    /// Latent width W.
    pub width: usize,
    /// Side p of a patch.
    pub patch: usize,
    /// Number of classes; the null class is this number.
    pub classes: usize,
    /// Quantity that the networks predict.
    pub prediction: Prediction,
    /// Path from data to noise.
    pub path: Path,
    /// The network in training.
    pub student: NetworkShape,
    /// The frozen network that the phase names, if it names one.
    pub teacher: Option<NetworkShape>,
    /// The moving average of the student.
    pub ema: NetworkShape,
    /// Batch fields of the data: name and shape of one sample. All are f32.
    pub fields: Vec<(String, Vec<usize>)>,
}
