//! Input of which no statistics can be made.

/// The largest magnitude that is taken for a measurement: squares of larger ones leave f64.
const LARGEST: f64 = 1e150;

/// True if `value` can be computed with: finite, and its square too.
pub(super) fn is_usable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// A fault in the numbers, for the person who has to find it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatisticsError {
    /// A score that is NaN, infinite, or beyond 1e150.
    #[error("the score of seed {seed} is {value}, which cannot be computed with")]
    Score {
        /// The seed that has it.
        seed: u64,
        /// The score.
        value: f64,
    },
    /// Two scores for one seed.
    #[error("seed {seed} has two scores; a sample has one a seed")]
    DuplicateSeed {
        /// The seed that has two.
        seed: u64,
    },
    /// Two contenders with one name.
    #[error("two contenders of the comparison are called {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A curve without points.
    #[error("the curve has no evaluation")]
    EmptyCurve,
    /// A NaN, an infinity, or a number beyond 1e150 in a curve.
    #[error("evaluation {place} of the curve is x = {x}, y = {y}, which cannot be computed with")]
    CurveValue {
        /// Number of the evaluation, counted from 1.
        place: usize,
        /// Its x.
        x: f64,
        /// Its score.
        y: f64,
    },
    /// An x below zero, or not above the one before it.
    #[error("evaluation {place} of the curve is at x = {x}, after x = {before}; x starts at 0 or later and increases")]
    CurveOrder {
        /// Number of the evaluation, counted from 1.
        place: usize,
        /// Its x.
        x: f64,
        /// The x before it; 0 before the first.
        before: f64,
    },
}
