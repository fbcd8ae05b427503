//! Speed-up: how much sooner a variant is as good as the baseline at its end, which is how the papers state their
//! result.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::curve::{Curve, Reach};
use super::interval::{ERROR_RATE, Interval, NoInterval};
use super::student::{self, MeanEstimate};
use super::verdict::Direction;

/// The speed-up of a variant over the baseline, seed by seed and in all.
///
/// The target of a seed is the baseline's last score *of that seed*. The ratio is the baseline's x at its end over the x
/// at which the variant reaches that score for good; 2 is twice as fast. Both curves have the same x.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeedUp {
    /// For each seed that both have.
    pub seeds: BTreeMap<u64, SeedSpeedUp>,
    /// Over these seeds.
    pub outcome: SpeedUpOutcome,
}

/// One seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedSpeedUp {
    /// The baseline's last score.
    pub target: f64,
    /// The baseline's x there.
    pub baseline_end: f64,
    /// Place where the baseline itself reaches its last score for good; before its end if it had been better, then
    /// became worse.
    pub baseline_reach: Reach,
    /// Place where the variant does.
    pub reach: Reach,
}

/// Outcome of the seeds together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpeedUpOutcome {
    /// Every seed reached it.
    Reached {
        /// The x that the variant needs.
        needed: GeometricMean,
        /// The baseline's x at its end over that.
        ratio: GeometricMean,
        /// The same ratio for the baseline against itself, which is the floor. It is above 1 if the baseline was better
        /// before its end: a ratio that does not exceed it is the evaluation's noise or overfitting, not speed.
        baseline_itself: f64,
        /// Some seed was there at its first evaluation: `ratio` is a lower bound, `needed` an upper one.
        bound: bool,
    },
    /// At least one seed did not, so there is no ratio: one over the others alone would be of the lucky ones.
    NotReached {
        /// Number of seeds that reached it.
        reached: usize,
        /// Of how many.
        seeds: usize,
    },
    /// There is nothing to divide.
    Undefined(NoRatio),
}

/// The mean on a log scale, for what multiplies, with the t interval of the logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GeometricMean {
    /// The geometric mean over seeds.
    pub value: f64,
    /// Its interval, not corrected for the number of variants; or why there is none.
    #[serde(serialize_with = "either")]
    pub interval: Result<Interval, NoInterval>,
}

/// Why a ratio has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum NoRatio {
    /// The variant and the baseline have no seed in common.
    #[error("no seed in common with the baseline")]
    NoCommonSeed,
    /// The baseline's curve ends at x = 0, or its score at x = 0, before training, was as good as its last and no later
    /// one was worse.
    #[error("the baseline's score of seed {seed} was no better at its end than at 0")]
    BaselineDidNotImprove {
        /// The seed.
        seed: u64,
    },
    /// The variant was as good at x = 0, before training, and no later score was worse.
    #[error("seed {seed} was as good as the baseline's end at 0, before training")]
    ReachedAtZero {
        /// The seed.
        seed: u64,
    },
}

impl SpeedUp {
    /// The speed-up of `variant` over `baseline`, whose curves are keyed by seed.
    pub fn new(variant: &BTreeMap<u64, Curve>, baseline: &BTreeMap<u64, Curve>, direction: Direction) -> Self {
        let mut seeds = BTreeMap::new();
        for (seed, curve) in variant {
            let Some(baseline) = baseline.get(seed) else { continue };
            let (baseline_end, target) = baseline.end();
            let one = SeedSpeedUp {
                target,
                baseline_end,
                baseline_reach: baseline.reach(target, direction),
                reach: curve.reach(target, direction),
            };
            seeds.insert(*seed, one);
        }
        let outcome = outcome(&seeds);
        Self { seeds, outcome }
    }
}

fn outcome(seeds: &BTreeMap<u64, SeedSpeedUp>) -> SpeedUpOutcome {
    if seeds.is_empty() {
        return SpeedUpOutcome::Undefined(NoRatio::NoCommonSeed);
    }
    let at_zero = |reach: Reach| reach.x() == Some(0.0);
    if let Some((seed, _)) = seeds.iter().find(|(_, s)| at_zero(s.baseline_reach)) {
        return SpeedUpOutcome::Undefined(NoRatio::BaselineDidNotImprove { seed: *seed });
    }
    if let Some((seed, _)) = seeds.iter().find(|(_, s)| at_zero(s.reach)) {
        return SpeedUpOutcome::Undefined(NoRatio::ReachedAtZero { seed: *seed });
    }
    let logs = |reach: fn(&SeedSpeedUp) -> Reach| -> Vec<f64> {
        seeds.values().filter_map(|s| reach(s).x()).map(f64::ln).collect()
    };
    let needed = logs(|s| s.reach);
    if needed.len() < seeds.len() {
        return SpeedUpOutcome::NotReached {
            reached: needed.len(),
            seeds: seeds.len(),
        };
    }
    let ends: Vec<f64> = seeds.values().map(|s| s.baseline_end.ln()).collect();
    let over = |x: &[f64]| -> Vec<f64> { ends.iter().zip(x).map(|(end, x)| end - x).collect() };
    // Logarithms of 1 and of 1e15 are both rounded to about the same; a spread is measured on the larger one.
    let scale = needed.iter().chain(&ends).fold(1.0_f64, |scale, x| scale.max(x.abs()));
    SpeedUpOutcome::Reached {
        needed: GeometricMean::new(&needed, scale),
        ratio: GeometricMean::new(&over(&needed), scale),
        baseline_itself: student::mean(&over(&logs(|s| s.baseline_reach))).exp(),
        bound: seeds.values().any(|s| matches!(s.reach, Reach::AtOrBefore(_))),
    }
}

impl GeometricMean {
    /// Of numbers whose logarithms these are.
    fn new(logs: &[f64], scale: f64) -> Self {
        Self {
            value: student::mean(logs).exp(),
            interval: MeanEstimate::new(logs, scale).map(|e| e.interval(ERROR_RATE).map(f64::exp)),
        }
    }
}

/// An interval, or the reason, each as itself.
fn either<S: Serializer>(interval: &Result<Interval, NoInterval>, serializer: S) -> Result<S::Ok, S::Error> {
    match interval {
        Ok(interval) => interval.serialize(serializer),
        Err(reason) => reason.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::LowerIsBetter;
    use super::*;

    /// A score that falls from 10 by `rate` an x, evaluated every 10 to `end`.
    fn falling(rate: f64, end: u32) -> Curve {
        Curve::new((0..=end / 10).map(|i| (f64::from(i) * 10.0, 10.0 - rate * f64::from(i) * 10.0))).unwrap()
    }

    fn seeds(curves: impl IntoIterator<Item = Curve>) -> BTreeMap<u64, Curve> {
        (1..).zip(curves).collect()
    }

    fn speed_up(variant: Vec<Curve>, baseline: Vec<Curve>) -> SpeedUp {
        SpeedUp::new(&seeds(variant), &seeds(baseline), LowerIsBetter)
    }

    #[test]
    fn ratio_is_the_geometric_mean_with_its_interval() {
        // Three times as fast as 1, twice, and as fast: the geometric mean is ∛6, the interval from its logarithms.
        let variant = vec![falling(0.03, 300), falling(0.02, 300), falling(0.01, 300)];
        let speed_up = speed_up(variant, vec![falling(0.01, 300); 3]);
        let SpeedUpOutcome::Reached {
            needed,
            ratio,
            baseline_itself,
            bound,
        } = speed_up.outcome
        else {
            panic!("{speed_up:?}");
        };
        assert!((ratio.value - 6.0_f64.cbrt()).abs() < 1e-9);
        assert!((needed.value - 300.0 / 6.0_f64.cbrt()).abs() < 1e-9);
        assert!((baseline_itself - 1.0).abs() < 1e-9);
        assert!(!bound);
        let logs = [3.0_f64.ln(), 2.0_f64.ln(), 0.0];
        let mean = (logs[0] + logs[1]) / 3.0;
        let deviation = (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let half = 4.302652729911275 * deviation / 3.0_f64.sqrt();
        let interval = ratio.interval.unwrap();
        assert!((interval.low / (mean - half).exp() - 1.0).abs() < 1e-9);
        assert!((interval.high / (mean + half).exp() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn seeds_are_paired() {
        // Each seed has its own target: the variant is twice as fast in both, though the curves of the seeds differ.
        let speed_up = speed_up(
            vec![falling(0.02, 300), falling(0.04, 300)],
            vec![falling(0.01, 300), falling(0.02, 300)],
        );
        let SpeedUpOutcome::Reached { ratio, .. } = speed_up.outcome else {
            panic!("{speed_up:?}");
        };
        assert!((ratio.value - 2.0).abs() < 1e-9);
        assert_eq!(ratio.interval, Err(NoInterval::TooFewSeeds { seeds: 2 }));
        assert!((speed_up.seeds[&2].target - 4.0).abs() < 1e-9);
        assert_eq!(speed_up.seeds[&1].baseline_end, 300.0);
    }

    #[test]
    fn one_seed_that_does_not_reach_it_leaves_no_ratio() {
        let speed_up = speed_up(
            vec![falling(0.03, 300), falling(0.005, 300), falling(0.02, 300)],
            vec![falling(0.01, 300); 3],
        );
        assert_eq!(speed_up.outcome, SpeedUpOutcome::NotReached { reached: 2, seeds: 3 });
        assert_eq!(speed_up.seeds[&2].reach, Reach::NotReached);
    }

    #[test]
    fn the_baseline_against_itself_is_one_unless_it_became_worse() {
        let overfit = Curve::new([(0.0, 10.0), (100.0, 4.0), (200.0, 2.0), (300.0, 4.0)]).unwrap();
        for (curve, factor) in [(falling(0.01, 300), 1.0), (overfit, 3.0)] {
            let found = speed_up(vec![curve.clone(); 3], vec![curve; 3]).outcome;
            let SpeedUpOutcome::Reached {
                ratio, baseline_itself, ..
            } = found
            else {
                panic!("{found:?}");
            };
            assert!((ratio.value - factor).abs() < 1e-9 && (baseline_itself - factor).abs() < 1e-9);
            assert_eq!(ratio.interval, Err(NoInterval::NoSpread { seeds: 3 }));
        }
    }

    #[test]
    fn there_at_the_first_evaluation_is_a_bound() {
        let point = |x, y| Curve::new([(x, y)]).unwrap();
        let speed_up = speed_up(vec![point(50.0, 1.0)], vec![point(100.0, 2.0)]);
        let SpeedUpOutcome::Reached { ratio, bound, .. } = speed_up.outcome else {
            panic!("{speed_up:?}");
        };
        assert!((ratio.value - 2.0).abs() < 1e-9 && bound);
    }

    #[test]
    fn what_has_no_ratio_says_why() {
        let flat = vec![Curve::new([(0.0, 1.0), (10.0, 1.0)]).unwrap()];
        let good = vec![Curve::new([(0.0, 1.0), (10.0, 0.5)]).unwrap()];
        let slow = vec![falling(0.01, 1000)];
        for (variant, baseline, wanted) in [
            (&flat, &flat, NoRatio::BaselineDidNotImprove { seed: 1 }),
            (&good, &vec![falling(0.01, 300)], NoRatio::ReachedAtZero { seed: 1 }),
            (&vec![], &slow, NoRatio::NoCommonSeed),
        ] {
            let found = speed_up(variant.clone(), baseline.clone()).outcome;
            assert_eq!(found, SpeedUpOutcome::Undefined(wanted));
        }
        let never = SpeedUpOutcome::NotReached { reached: 0, seeds: 1 };
        assert_eq!(speed_up(flat, slow).outcome, never);
    }
}
