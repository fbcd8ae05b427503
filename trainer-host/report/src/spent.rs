//! Ways to count a training.

use crate::content::Pace;
use crate::measure::Quantity;

/// A thing that a training spends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spent {
    /// Optimiser steps of the last phase.
    Steps,
    /// Training images, those of earlier phases on the bill.
    Images,
    /// Floating-point operations, earlier phases and encoders on the bill.
    Operations,
    /// Seconds of training steps, earlier phases on the bill.
    Time,
}

impl Spent {
    /// Its name in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Images => "images",
            Self::Operations => "operations",
            Self::Time => "training time",
        }
    }

    /// The kind of number that it is.
    pub fn quantity(self) -> Quantity {
        match self {
            Self::Steps | Self::Images => Quantity::Count,
            Self::Operations => Quantity::Operations,
            Self::Time => Quantity::Time,
        }
    }

    /// The amount that is spent after `step` steps of the last phase; none where that is not known.
    pub fn at(self, pace: &Pace, step: f64) -> Option<f64> {
        let (of_step, earlier) = match self {
            Self::Steps => (1.0, 0.0),
            Self::Images => (pace.images, pace.earlier_images),
            Self::Operations => (pace.operations?, pace.earlier_operations?),
            Self::Time => (pace.seconds, pace.earlier_seconds),
        };
        (of_step > 0.0).then_some(earlier + step * of_step)
    }
}
