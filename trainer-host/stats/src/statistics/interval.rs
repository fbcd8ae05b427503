//! Intervals, how sure they are, and why there sometimes is none.

use std::fmt;

use serde::Serialize;

/// Seeds that an interval or a ranking needs. Two would have a t interval of 12.7 standard errors on each side, which
/// supports nothing and looks as if it did.
pub const MIN_SEEDS: usize = 3;

/// Share of the intervals that hold what they estimate, and of comparisons in which every verdict holds.
pub const LEVEL: f64 = 0.95;

/// Rate at which that may be wrong.
pub const ERROR_RATE: f64 = 1.0 - LEVEL;

/// Range in which a number lies, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The level at which it holds.
    pub level: f64,
}

impl Interval {
    /// True if `value` lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Half its length. For a difference, about the smallest one that as many seeds with this spread can resolve.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// The same interval on another scale. `map` is increasing.
    pub(super) fn map(self, map: impl Fn(f64) -> f64) -> Self {
        Self {
            low: map(self.low),
            high: map(self.high),
            level: self.level,
        }
    }
}

/// Why there is no interval, hence no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum NoInterval {
    /// Fewer than [`MIN_SEEDS`] seeds, of both sides where there are two.
    TooFewSeeds {
        /// Number of seeds that there are.
        seeds: usize,
    },
    /// Every seed gave the same number, so their spread is unknown, and a t test would call any difference certain.
    /// Such scores are constant, too coarse for these seeds, or the seed has no effect on the run.
    NoSpread {
        /// Number of seeds that there are.
        seeds: usize,
    },
}

impl fmt::Display for NoInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewSeeds { seeds: 0 } => write!(f, "no seed in common; {MIN_SEEDS} are needed"),
            Self::TooFewSeeds { seeds: 1 } => write!(f, "one seed; {MIN_SEEDS} are needed"),
            Self::TooFewSeeds { seeds } => write!(f, "{seeds} seeds; {MIN_SEEDS} are needed"),
            Self::NoSpread { seeds } => write!(f, "all {seeds} seeds gave the same number, so its spread is unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_sentences() {
        for (reason, words) in [
            (NoInterval::TooFewSeeds { seeds: 0 }, "no seed in common; 3 are needed"),
            (NoInterval::TooFewSeeds { seeds: 1 }, "one seed; 3 are needed"),
            (NoInterval::TooFewSeeds { seeds: 2 }, "2 seeds; 3 are needed"),
            (
                NoInterval::NoSpread { seeds: 4 },
                "all 4 seeds gave the same number, so its spread is unknown",
            ),
        ] {
            assert_eq!(reason.to_string(), words);
        }
    }
}
