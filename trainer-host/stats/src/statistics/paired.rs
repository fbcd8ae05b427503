//! The difference of two variants on the seeds that both have.
//!
//! Runs of one seed share initial weights, data, times and noise, so much of what differs between seeds cancels in their
//! difference, and the paired test resolves what two independent samples could not.

use super::interval::NoInterval;
use super::sample::Sample;
use super::student::{self, MeanEstimate};

/// Variant minus baseline, seed by seed, in units of the score.
#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifference {
    /// By seed.
    differences: Vec<f64>,
    /// The largest magnitude of the scores that were subtracted.
    scale: f64,
}

impl PairedDifference {
    /// The differences over the common seeds; seeds that only one of the two has are left out.
    pub fn new(variant: &Sample, baseline: &Sample) -> Self {
        let mut differences = Vec::new();
        let mut scale = 0.0_f64;
        for (seed, ours) in variant.iter() {
            let Some(theirs) = baseline.get(seed) else { continue };
            differences.push(ours - theirs);
            scale = scale.max(ours.abs()).max(theirs.abs());
        }
        Self { differences, scale }
    }

    /// Number of seeds that they have in common.
    pub fn seeds(&self) -> usize {
        self.differences.len()
    }

    /// The mean difference; none without a common seed.
    pub fn mean(&self) -> Option<f64> {
        (self.seeds() > 0).then(|| student::mean(&self.differences))
    }

    /// The mean difference with its standard error, of which t, p and intervals follow.
    ///
    /// # Errors
    /// Fewer than three common seeds, or the same difference for all of them.
    pub fn estimate(&self) -> Result<MeanEstimate, NoInterval> {
        MeanEstimate::new(&self.differences, self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::super::interval::ERROR_RATE;
    use super::*;

    /// Hours of sleep gained under two drugs, Student (1908), with what R's `t.test(paired = TRUE)` says of them.
    #[test]
    fn students_sleep_data() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let [first, second] = [first, second].map(|d| Sample::new((0..).zip(d)).unwrap());
        let estimate = PairedDifference::new(&first, &second).estimate().unwrap();
        assert!((estimate.mean + 1.58).abs() < 1e-12);
        assert!((estimate.t() + 4.0621).abs() < 5e-5);
        assert!((estimate.p() - 0.002833).abs() < 5e-7);
        let interval = estimate.interval(ERROR_RATE);
        assert!((interval.low + 2.4598858).abs() < 5e-8);
        assert!((interval.high + 0.7001142).abs() < 5e-8);
    }

    #[test]
    fn only_common_seeds_count() {
        let variant = Sample::new([(1, 3.0), (2, 5.0), (9, 100.0)]).unwrap();
        let baseline = Sample::new([(2, 4.0), (1, 1.0), (5, -100.0)]).unwrap();
        let difference = PairedDifference::new(&variant, &baseline);
        assert_eq!(difference.differences, [2.0, 1.0]);
        assert_eq!(difference.mean(), Some(1.5));
        assert_eq!(difference.estimate(), Err(NoInterval::TooFewSeeds { seeds: 2 }));
    }

    #[test]
    fn identical_runs_have_no_test() {
        let sample = Sample::new([(1, 0.3), (2, 0.1), (3, 0.7)]).unwrap();
        let difference = PairedDifference::new(&sample, &sample);
        assert_eq!(difference.mean(), Some(0.0));
        assert_eq!(difference.estimate(), Err(NoInterval::NoSpread { seeds: 3 }));
    }
}
