//! Are samples copies of training images?
//!
//! A sample is held against the training rows, and so are held-out rows: images of the same kind that nobody can have
//! copied. A sample is a *copy* if it lies at least as near to a training row as the nearest few held-out rows do. With
//! M held-out rows the threshold is their floor(q(M + 1))-th smallest distance, so that a sample that is as new as they
//! are is called a copy with probability at most q (the exchangeability argument of conformal prediction, Vovk et al.
//! 2005). A fraction of copies near q is therefore none.
//!
//! Beside it the ratio of the distances to the nearest and the second nearest training row (Yoon et al. 2023,
//! "Diffusion Probabilistic Models Generalize when They Fail to Memorize", where a sample below 1/3 is memorised): a
//! blurred sample is near to many training rows, a copy to one. Training rows that are equal count as one, or the copy
//! of an image that is there twice would look like no copy.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::neighbours::{Neighbour, nearest};
use super::{Features, MeasureError};

/// Nearness of a row to the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nearness {
    /// The nearest training rows that differ from each other, the nearest first; of equal ones the first.
    pub neighbours: Vec<Neighbour>,
    /// The nearest distance over the second nearest, in [0, 1]; 0 is an exact copy.
    pub ratio: f64,
}

impl Nearness {
    /// The distance to the nearest training row.
    pub fn distance(&self) -> f64 {
        self.neighbours[0].distance
    }
}

/// Judgement on which samples are copies, and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// Of every sample.
    pub samples: Vec<Nearness>,
    /// Of every held-out row.
    pub held_out: Vec<Nearness>,
    /// A sample at this distance or less is a copy.
    pub threshold: f64,
    /// The share of samples that are copies, to be read beside `expected`.
    pub fraction: f64,
    /// The share of held-out rows that the same threshold would call copies: about q, more where distances are equal.
    pub expected: f64,
}

impl Memorisation {
    /// True if a sample is a copy. Panics past the end.
    pub fn is_copy(&self, sample: usize) -> bool {
        self.samples[sample].distance() <= self.threshold
    }
}

/// Judges `samples` by the quantile `q` in (0, 1) of the held-out rows' distances, and names `k` neighbours of each.
///
/// 0.05 for q and any k of 1 or more are usual. Needs two different training rows and 1/q - 1 held-out ones (19).
pub fn memorisation(
    samples: &Features,
    training: &Features,
    held_out: &Features,
    q: f64,
    k: usize,
) -> Result<Memorisation, MeasureError> {
    const NAME: &str = "memorisation";
    samples.as_wide_as(training)?;
    held_out.as_wide_as(training)?;
    if !(q > 0.0 && q < 1.0) {
        return Err(MeasureError::Setting {
            setting: "the held-out quantile of memorisation",
            value: q,
            range: "above 0 and below 1",
        });
    }
    let rank = rank(q, held_out.len());
    if rank == 0 {
        return Err(MeasureError::TooFew {
            measure: NAME,
            set: "held-out",
            rows: held_out.len(),
            least: (1.0 / q - 1.0).ceil() as usize,
        });
    }
    let originals = originals(training);
    if originals.len() < 2 {
        return Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "it needs two training rows that differ, all are equal",
        });
    }
    let distinct = training.select(&originals);
    let near = |rows: &Features| -> Result<Vec<Nearness>, MeasureError> {
        let found = nearest(rows, &distinct, k.max(2))?;
        Ok(found.into_iter().map(|found| nearness(found, &originals, k)).collect())
    };
    let (samples, held_out) = (near(samples)?, near(held_out)?);
    let mut distances: Vec<f64> = held_out.iter().map(Nearness::distance).collect();
    distances.sort_by(f64::total_cmp);
    let threshold = distances[rank - 1];
    let within =
        |rows: &[Nearness]| rows.iter().filter(|near| near.distance() <= threshold).count() as f64 / rows.len() as f64;
    Ok(Memorisation {
        fraction: within(&samples),
        expected: within(&held_out),
        samples,
        held_out,
        threshold,
    })
}

/// Rank of the threshold among the sorted held-out distances, counted from 1; 0 if there are too few for `q`.
fn rank(q: f64, held_out: usize) -> usize {
    // 0.05 * 20 must not fall below 1 by rounding.
    (q * (held_out as f64 + 1.0) * (1.0 + 1e-12)).floor() as usize
}

fn nearness(mut found: Vec<Neighbour>, originals: &[usize], k: usize) -> Nearness {
    let (first, second) = (found[0].distance, found[1].distance);
    found.truncate(k.max(1));
    found
        .iter_mut()
        .for_each(|neighbour| neighbour.index = originals[neighbour.index]);
    Nearness {
        neighbours: found,
        // Differences below 1e-154 square to 0: both are at the row then.
        ratio: if second > 0.0 { first / second } else { 1.0 },
    }
}

/// The first of each set of equal rows, in order.
fn originals(features: &Features) -> Vec<usize> {
    // Adding 0 makes -0 into 0, which is the same feature in other bits.
    let bits = |row: &[f64]| row.iter().map(|value| (value + 0.0).to_bits()).collect::<Vec<_>>();
    let mut seen = HashMap::with_capacity(features.len());
    let rows = features.rows().enumerate();
    rows.filter(|(index, row)| *seen.entry(bits(row)).or_insert(*index) == *index)
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, joined, moved, repeatable};
    use super::*;

    #[test]
    fn planted_copies_are_found() {
        let mut draws = Draws::new(1);
        let (training, held_out) = (draws.gaussian(400, 16, 0.0), draws.gaussian(200, 16, 0.0));
        // 30 copies, exact or with a little noise, then 70 new rows.
        let copies = training.rows().skip(100).take(30).enumerate();
        let copies = copies.flat_map(|(at, row)| {
            row.iter()
                .map(move |value| value + 0.01 * (at % 3) as f64)
                .collect::<Vec<_>>()
        });
        let samples = joined(
            &Features::new(copies.collect(), 16).unwrap(),
            &draws.gaussian(70, 16, 0.0),
        );
        let found = memorisation(&samples, &training, &held_out, 0.05, 3).unwrap();
        for at in 0..30 {
            assert!(found.is_copy(at));
            assert_eq!(found.samples[at].neighbours[0].index, 100 + at);
            assert_eq!(found.samples[at].distance() == 0.0, at % 3 == 0);
            assert!(found.samples[at].ratio < 1.0 / 3.0, "{at}: {}", found.samples[at].ratio);
        }
        let false_alarms = (30..100).filter(|&at| found.is_copy(at)).count();
        assert!(false_alarms <= 8, "{false_alarms} of 70");
        assert_eq!(found.fraction, (30 + false_alarms) as f64 / 100.0);
        assert_eq!(found.expected, 0.05);
        assert!(found.samples.iter().all(|near| near.neighbours.len() == 3));
    }

    #[test]
    fn new_samples_are_called_copies_as_rarely_as_it_says() {
        let mut draws = Draws::new(2);
        let (runs, q) = (300, 0.1);
        let mean = (0..runs)
            .map(|_| {
                let [samples, training, held_out] = [40, 60, 29].map(|rows| draws.gaussian(rows, 4, 0.0));
                memorisation(&samples, &training, &held_out, q, 1).unwrap().fraction
            })
            .sum::<f64>()
            / f64::from(runs);
        // Exactly q, since q times 30 is whole.
        assert!((mean - q).abs() < 0.015, "{mean}");
    }

    #[test]
    fn a_copy_of_an_image_that_is_there_twice_is_a_copy() {
        let training = Features::new(vec![0.0, 10.0, 0.0, -0.0, 30.0], 1).unwrap();
        let held_out = Features::new((0..19).map(|at| 100.0 + f64::from(at)).collect(), 1).unwrap();
        let samples = Features::new(vec![1.0, 0.0], 1).unwrap();
        let found = memorisation(&samples, &training, &held_out, 0.05, 9).unwrap();
        assert!((found.samples[0].ratio - 1.0 / 9.0).abs() < 1e-15);
        assert_eq!(found.samples[1].ratio, 0.0);
        let indices: Vec<_> = found.samples[0]
            .neighbours
            .iter()
            .map(|neighbour| neighbour.index)
            .collect();
        assert_eq!(indices, [0, 1, 4]);
    }

    #[test]
    fn the_threshold_is_the_promised_rank() {
        assert_eq!(
            (rank(0.05, 18), rank(0.05, 19), rank(0.05, 39), rank(0.05, 199)),
            (0, 1, 2, 10)
        );
        assert_eq!((rank(0.1, 29), rank(0.3, 9), rank(0.01, 99)), (3, 3, 1));
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let mut draws = Draws::new(3);
        let [samples, training, few] = [5, 6, 18].map(|rows| draws.gaussian(rows, 2, 0.0));
        let judge = |training: &Features, held_out: &Features, q| memorisation(&samples, training, held_out, q, 1);
        assert!(matches!(
            judge(&training, &few, 0.05),
            Err(MeasureError::TooFew {
                set: "held-out",
                rows: 18,
                least: 19,
                ..
            })
        ));
        for q in [0.0, 1.0, f64::NAN] {
            assert!(matches!(judge(&training, &few, q), Err(MeasureError::Setting { .. })));
        }
        let equal = Features::new(vec![1.0; 8], 2).unwrap();
        assert!(matches!(judge(&equal, &few, 0.5), Err(MeasureError::Degenerate { .. })));
        assert!(matches!(
            judge(&draws.gaussian(6, 3, 0.0), &few, 0.5),
            Err(MeasureError::Widths { .. })
        ));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn motion_changes_no_verdict(seed in 0u64..1000, width in 1usize..6, scale in 0.1f64..10.0) {
            let mut draws = Draws::new(seed);
            let sets = [30, 40, 25].map(|rows| draws.gaussian(rows, width, 0.0));
            let rotation = draws.rotation(width);
            let [plain, motion] = [sets.clone(), sets.map(|set| moved(&set, scale, &rotation, 2.0))]
                .map(|[samples, training, held_out]| memorisation(&samples, &training, &held_out, 0.1, 2).unwrap());
            prop_assert_eq!(plain.fraction, motion.fraction);
            prop_assert!((plain.threshold * scale - motion.threshold).abs() < 1e-9 * scale);
            for (plain, motion) in plain.samples.iter().zip(&motion.samples) {
                prop_assert!((plain.ratio - motion.ratio).abs() < 1e-6);
                prop_assert_eq!(plain.neighbours[0].index, motion.neighbours[0].index);
            }
        }
    }
}
