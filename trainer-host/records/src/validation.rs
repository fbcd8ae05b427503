//! The denoising loss on held-out images, as it is kept.

use serde::{Deserialize, Serialize};

/// Denoising loss over a validation set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationLoss {
    /// Over all of it.
    pub mean: f64,
    /// Time and mean loss at that time, in rising order of time.
    pub by_time: Vec<[f64; 2]>,
}

impl ValidationLoss {
    /// True if all of it is a number.
    pub fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.by_time.iter().flatten().all(|value| value.is_finite())
    }
}
