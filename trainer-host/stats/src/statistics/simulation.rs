//! Error rates of the statistics, on simulated seeds whose truth is known. All draws are seeded.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;

const RUNS: usize = 4000;

/// Asserts that `count` of [`RUNS`] is a chance of `expected`, within 3.5 standard errors.
fn assert_rate(count: usize, expected: f64, what: &str) {
    let rate = count as f64 / RUNS as f64;
    assert!(
        (rate - expected).abs() < tolerance(expected),
        "{what}: {rate} is not {expected}"
    );
}

/// Asserts that `count` of [`RUNS`] is a chance of at most `limit`, within 3.5 standard errors.
fn assert_at_most(count: usize, limit: f64, what: &str) {
    let rate = count as f64 / RUNS as f64;
    assert!(rate < limit + tolerance(limit), "{what}: {rate} is above {limit}");
}

fn tolerance(rate: f64) -> f64 {
    3.5 * (rate * (1.0 - rate) / RUNS as f64).sqrt()
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// Variants whose true scores are `truth`, the baseline first. A seed moves all of them by the same large amount,
/// which pairing has to remove, and each of them by an own one of deviation 1.
fn draw(rng: &mut ChaCha8Rng, truth: &[f64], seeds: u64) -> Vec<ScoredVariant> {
    let common: Vec<f64> = (0..seeds).map(|_| 10.0 * normal(rng)).collect();
    let one = |(index, truth): (usize, &f64)| ScoredVariant {
        name: format!("v{index}"),
        scores: Sample::new((0..).zip(&common).map(|(s, c)| (s, truth + c + normal(rng)))).unwrap(),
    };
    truth.iter().enumerate().map(one).collect()
}

fn compare(contenders: &[ScoredVariant]) -> Comparison {
    Comparison::new("score", Direction::HigherIsBetter, &contenders[0], &contenders[1..]).unwrap()
}

fn tested(comparison: &Comparison) -> Vec<Tested> {
    let tested = comparison.rows.iter().map(|r| match r.outcome {
        Outcome::Tested(t) => t,
        Outcome::Unranked(reason) => panic!("{reason}"),
    });
    tested.collect()
}

#[test]
fn intervals_of_samples_and_differences_cover() {
    for seeds in [3, 5, 10] {
        let mut rng = ChaCha8Rng::seed_from_u64(seeds);
        let (mut mean, mut difference, mut at_80) = (0, 0, 0);
        for _ in 0..RUNS {
            let pair = draw(&mut rng, &[7.0, 7.5], seeds);
            mean += usize::from(pair[0].scores.interval().unwrap().contains(7.0));
            let estimate = PairedDifference::new(&pair[1].scores, &pair[0].scores)
                .estimate()
                .unwrap();
            difference += usize::from(estimate.interval(ERROR_RATE).contains(0.5));
            at_80 += usize::from(estimate.interval(0.2).contains(0.5));
        }
        assert_rate(mean, 0.95, "the interval of a mean");
        assert_rate(difference, 0.95, "the interval of a paired difference");
        assert_rate(at_80, 0.80, "the 80 % interval of a paired difference");
    }
}

#[test]
fn one_variant_that_is_no_better_is_resolved_as_often_as_promised() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let resolved = (0..RUNS).filter(|_| {
        let comparison = compare(&draw(&mut rng, &[0.0, 0.0], 4));
        tested(&comparison)[0].verdict != Verdict::NotResolved
    });
    assert_rate(resolved.count(), 0.05, "false positives of one variant");
}

#[test]
fn false_positives_of_a_family_stay_below_the_level() {
    for seeds in [3, 5] {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seeds);
        let (mut resolved, mut uncorrected, mut covered, mut best) = (0, 0, 0, 0);
        for _ in 0..RUNS {
            let comparison = compare(&draw(&mut rng, &[0.0; 6], seeds));
            let tested = tested(&comparison);
            resolved += usize::from(tested.iter().any(|t| t.verdict != Verdict::NotResolved));
            uncorrected += usize::from(tested.iter().any(|t| t.p <= 0.05));
            covered += usize::from(tested.iter().all(|t| t.simultaneous.contains(0.0)));
            best += usize::from(comparison.best.is_some());
        }
        assert_at_most(resolved, 0.05, "any of five variants resolved where none is better");
        assert_at_most(RUNS - covered, 0.05, "simultaneous intervals that do not all hold");
        assert_at_most(best, 0.05, "a best marked among equals");
        // The test would notice: without the correction the rate is far above, and with it far from none.
        assert!(uncorrected as f64 > 0.12 * RUNS as f64, "{uncorrected}");
        assert!(resolved as f64 > 0.015 * RUNS as f64, "{resolved}");
    }
}

/// Some variants do differ, so that Holm's later steps are taken: the others are still not resolved too often, and a
/// difference with the wrong sign counts as an error too.
#[test]
fn false_positives_stay_below_the_level_beside_true_ones() {
    let truth = [0.0, 9.0, -9.0, 0.0, 0.0, 0.3];
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut wrong, mut found) = (0, 0);
    for _ in 0..RUNS {
        let comparison = compare(&draw(&mut rng, &truth, 6));
        let verdicts: Vec<Verdict> = tested(&comparison).iter().map(|t| t.verdict).collect();
        let is_wrong = |(verdict, truth): (&Verdict, &f64)| match verdict {
            Verdict::Better => *truth <= 0.0,
            Verdict::Worse => *truth >= 0.0,
            Verdict::NotResolved => false,
        };
        wrong += usize::from(verdicts.iter().zip(&truth[1..]).any(is_wrong));
        found += usize::from(verdicts[..2] == [Verdict::Better, Verdict::Worse]);
    }
    assert_at_most(wrong, 0.05, "wrong verdicts beside true ones");
    assert!(wrong > RUNS / 100, "{wrong}: the family is not put to the test");
    assert!(
        found as f64 > 0.95 * RUNS as f64,
        "{found}: large differences are found"
    );
}

/// Two that are equally good, and better than all others, are the case in which a best is marked wrongly most easily.
#[test]
fn a_tie_for_best_is_rarely_broken() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let marked = (0..RUNS).filter(|_| compare(&draw(&mut rng, &[0.0, 30.0, 30.0], 5)).best.is_some());
    let marked = marked.count();
    assert_at_most(marked, 0.05, "a best marked of two equals");
    assert!(marked > RUNS / 200, "{marked}: the rule is not put to the test");
    let found = (0..RUNS).filter(|_| compare(&draw(&mut rng, &[0.0, 30.0, 50.0], 5)).best.as_deref() == Some("v2"));
    assert!(found.count() as f64 > 0.95 * RUNS as f64, "a true best is found");
}

/// Straight lines, on which interpolation is exact, of a variant that is e^(ln 1.5 ± 0.2) times as fast.
#[test]
fn intervals_of_speed_ups_cover() {
    let line = |rate: f64, end: u32| {
        let points = (0..=end).map(|i| (f64::from(i), 1.0 - rate * f64::from(i)));
        Curve::new(points).unwrap()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut ratio_holds, mut needed_holds) = (0, 0);
    for _ in 0..RUNS {
        let (mut variant, mut baseline) = (BTreeMap::new(), BTreeMap::new());
        for seed in 0..4 {
            let rate = 0.05 * (0.5 * normal(&mut rng)).exp();
            let factor = 1.5 * (0.2 * normal(&mut rng)).exp();
            baseline.insert(seed, line(rate, 20));
            variant.insert(seed, line(rate * factor, 80));
        }
        let speed_up = SpeedUp::new(&variant, &baseline, Direction::LowerIsBetter);
        let SpeedUpOutcome::Reached { ratio, needed, .. } = speed_up.outcome else {
            panic!("{speed_up:?}");
        };
        ratio_holds += usize::from(ratio.interval.unwrap().contains(1.5));
        needed_holds += usize::from(needed.interval.unwrap().contains(20.0 / 1.5));
    }
    assert_rate(ratio_holds, 0.95, "the interval of a speed-up");
    assert_rate(needed_holds, 0.95, "the interval of the x needed");
}
