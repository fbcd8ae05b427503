//! Better, worse, or not resolved.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::ERROR_RATE;

/// The direction in which a score is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// As a loss or a distance.
    LowerIsBetter,
    /// As an accuracy.
    HigherIsBetter,
}

impl Direction {
    /// Amount by which `score` is better than `than`: positive where it is better, whichever way the score is good.
    pub fn gain(self, score: f64, than: f64) -> f64 {
        match self {
            Self::LowerIsBetter => than - score,
            Self::HigherIsBetter => score - than,
        }
    }
}

/// Conclusion that a tested difference to the baseline supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The difference is resolved, and the variant is better.
    Better,
    /// The difference is resolved, and the variant is worse.
    Worse,
    /// These seeds cannot tell the difference from none. Not that there is none: the interval says how large it may be.
    NotResolved,
}

impl Verdict {
    /// The verdict on a mean difference to the baseline, variant minus baseline.
    pub(super) fn new(direction: Direction, mean: f64, adjusted_p: f64) -> Self {
        if adjusted_p > ERROR_RATE {
            Self::NotResolved
        } else if direction.gain(mean, 0.0) > 0.0 {
            Self::Better
        } else {
            Self::Worse
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotResolved => "not resolved",
        })
    }
}
