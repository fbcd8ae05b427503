//! Conclusions that the scores of several seeds support, and those that they do not. Numbers in, numbers out: nothing
//! here reads a file.
//!
//! One score is primary, named before the run. Every variant is compared with the baseline on the seeds that both have
//! (`paired`), since runs of one seed share data, times and noise; the two-sided paired t test gives a p value, Holm's
//! correction over the variants (`holm`) keeps the chance of even one false "resolved" at 5 %, and `comparison` says
//! what follows: who is better, who is worse, who is best of all. `speedup` turns curves into the
//! factor by which a variant is faster.
//!
//! # What is assumed
//! Seeds are independent, and the differences over seeds are near enough to normal. Three seeds cannot show whether they
//! are; a test without the assumption cannot help, since the smallest p value of a sign or permutation test of three
//! pairs is 0.25. Fewer than [`MIN_SEEDS`] seeds have no interval and rank nothing.
//!
//! # The intervals
//! A comparison has two intervals beside each difference, and each carries its level. `interval` is the t interval
//! of that difference alone, without a correction: 95 %. `simultaneous` is Bonferroni's, at 1 - 0.05/m for m variants:
//! all m hold at once in 95 % of comparisons. The verdict is Holm's, which lies between the two: a simultaneous interval
//! without zero is always resolved, an uncorrected interval with zero never is. Intervals that match Holm's verdicts
//! exactly exist (Guilbaud, 2008, Biometrical Journal 50), but those of the resolved variants say nothing of the size of
//! the difference unless all are resolved, so they are not given here.

mod comparison;
mod curve;
mod error;
mod holm;
mod interval;
mod paired;
mod sample;
#[cfg(test)]
mod simulation;
mod speedup;
mod student;
mod verdict;

pub use comparison::{Comparison, Outcome, Row, ScoredVariant, Tested};
pub use curve::{Curve, Reach};
pub use error::StatisticsError;
pub use interval::{ERROR_RATE, Interval, LEVEL, MIN_SEEDS, NoInterval};
#[cfg(test)]
use paired::PairedDifference;
pub use sample::Sample;
pub use speedup::{GeometricMean, NoRatio, SeedSpeedUp, SpeedUp, SpeedUpOutcome};
pub use verdict::{Direction, Verdict};
