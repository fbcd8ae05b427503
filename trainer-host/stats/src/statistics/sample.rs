//! One score of one variant over its seeds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::{StatisticsError, is_usable};
use super::interval::{ERROR_RATE, Interval, NoInterval};
use super::student::MeanEstimate;

/// A score for each seed; empty where no run has one.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(transparent)]
pub struct Sample(BTreeMap<u64, f64>);

impl Sample {
    /// The sample of these (seed, score) pairs, in any order.
    ///
    /// # Errors
    /// A score that is not finite, or a seed that comes twice.
    pub fn new(scores: impl IntoIterator<Item = (u64, f64)>) -> Result<Self, StatisticsError> {
        let mut values = BTreeMap::new();
        for (seed, value) in scores {
            if !is_usable(value) {
                return Err(StatisticsError::Score { seed, value });
            }
            if values.insert(seed, value).is_some() {
                return Err(StatisticsError::DuplicateSeed { seed });
            }
        }
        Ok(Self(values))
    }

    /// Number of seeds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if it has no seed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The score of one seed.
    pub fn get(&self, seed: u64) -> Option<f64> {
        self.0.get(&seed).copied()
    }

    /// Seeds and scores, by seed.
    pub fn iter(&self) -> impl Iterator<Item = (u64, f64)> {
        self.0.iter().map(|(seed, value)| (*seed, *value))
    }

    /// The scores, by seed.
    pub fn values(&self) -> Vec<f64> {
        self.0.values().copied().collect()
    }

    /// The t interval of the mean. Not for telling two variants apart: intervals of two means may overlap while their
    /// paired difference is resolved, which is what [`Comparison`](super::Comparison) tests.
    ///
    /// # Errors
    /// Too few seeds, or one value for all.
    pub fn interval(&self) -> Result<Interval, NoInterval> {
        let scale = self.0.values().fold(0.0_f64, |scale, v| scale.max(v.abs()));
        Ok(MeanEstimate::new(&self.values(), scale)?.interval(ERROR_RATE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::new((0..).zip(values.iter().copied())).unwrap()
    }

    #[test]
    fn interval_is_the_one_by_hand() {
        // Mean 3, deviation √2.5, standard error √0.5, t(0.975; 4) = 2.7764451.
        let interval = sample(&[1.0, 2.0, 3.0, 4.0, 5.0]).interval().unwrap();
        assert!((interval.low - (3.0 - 2.7764451051977987 * 0.5_f64.sqrt())).abs() < 1e-9);
        assert!((interval.high - 4.963243161).abs() < 1e-8);
        assert!(interval.contains(3.0) && !interval.contains(5.0));
    }

    #[test]
    fn few_or_equal_seeds_have_no_interval() {
        let two = sample(&[1.0, 3.0]);
        assert_eq!(two.interval(), Err(NoInterval::TooFewSeeds { seeds: 2 }));
        assert_eq!(sample(&[0.1; 5]).interval(), Err(NoInterval::NoSpread { seeds: 5 }));
    }

    #[test]
    fn bad_scores_are_named_with_their_seed() {
        let error = Sample::new([(1, 0.5), (7, f64::NAN)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the score of seed 7 is NaN, which cannot be computed with"
        );
        assert!(Sample::new([(1, f64::INFINITY)]).is_err());
        assert!(Sample::new([(1, 1e200)]).is_err());
        assert_eq!(
            Sample::new([(1, 0.5), (1, 0.5)]),
            Err(StatisticsError::DuplicateSeed { seed: 1 })
        );
    }
}
