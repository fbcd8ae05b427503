//! Nearness of samples to training rows, and the distance at which it is suspicious.
//!
//! A sample is held against the training rows, and so are held-out rows: images of the same kind that nobody can have
//! copied. A sample is suspicious if it lies at least as near to a training row as the nearest few held-out rows do. With
//! M held-out rows the threshold is their floor(q(M + 1))-th smallest distance, so that a sample that is as new as they
//! are is within it with probability at most q (the exchangeability argument of conformal prediction, Vovk et al.
//! 2005). A share of suspects near q is therefore none.
//!
//! Training rows that are equal count as one, or a copy of an image that is there twice would have a second neighbour
//! as near as the first.

use std::collections::HashMap;

use super::neighbours::{Neighbour, nearest};
use super::{Features, MeasureError};

const NAME: &str = "memorisation";

/// Training rows that differ from each other, and how near held-out rows come to them: the measure of a copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Originals {
    distinct: Features,
    /// Place of each among all training rows: the first of equal ones.
    places: Vec<usize>,
    /// Neighbours that are looked for.
    k: usize,
    /// [`Self::near`] every held-out row.
    pub held_out: Vec<Vec<Neighbour>>,
    /// Largest distance of a copy.
    pub threshold: f64,
}

impl Originals {
    /// The originals among `training`, and the threshold that `held_out` sets for the quantile `q` in (0, 1).
    ///
    /// 0.05 for q is usual; at least two neighbours are looked for. Needs two different training rows and 1/q - 1 held-out ones (19).
    /// Panics for another `q`, or sets of different widths.
    pub fn new(training: &Features, held_out: &Features, q: f64, k: usize) -> Result<Self, MeasureError> {
        assert!(q > 0.0 && q < 1.0, "a quantile of {q}");
        let rank = rank(q, held_out.len());
        if rank == 0 {
            return Err(MeasureError::TooFew {
                measure: NAME,
                set: "held-out",
                rows: held_out.len(),
                least: (1.0 / q - 1.0).ceil() as usize,
            });
        }
        let places = originals(training);
        if places.len() < 2 {
            return Err(MeasureError::Degenerate {
                measure: NAME,
                reason: "it needs two training rows that differ, all are equal",
            });
        }
        let mut found = Self {
            distinct: training.select(&places),
            places,
            k: k.max(2),
            held_out: Vec::new(),
            threshold: 0.0,
        };
        found.held_out = found.near(held_out);
        let mut distances: Vec<f64> = found.held_out.iter().map(|near| near[0].distance).collect();
        distances.sort_by(f64::total_cmp);
        found.threshold = distances[rank - 1];
        Ok(found)
    }

    /// Of every row the `k` nearest training rows that differ from each other, the nearest first; of equal ones the first.
    ///
    /// Panics if the rows have another width.
    pub fn near(&self, rows: &Features) -> Vec<Vec<Neighbour>> {
        let mut found = nearest(rows, &self.distinct, self.k);
        let places = found.iter_mut().flatten();
        places.for_each(|neighbour| neighbour.index = self.places[neighbour.index]);
        found
    }
}

/// Rank of the threshold among the sorted held-out distances, counted from 1; 0 if there are too few for `q`.
fn rank(q: f64, held_out: usize) -> usize {
    // 0.05 * 20 must not fall below 1 by rounding.
    (q * (held_out as f64 + 1.0) * (1.0 + 1e-12)).floor() as usize
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

    /// Neighbours of samples and of held-out rows, and the distance that the latter set.
    #[derive(Debug, Clone, PartialEq)]
    struct Memorisation {
        samples: Vec<Vec<Neighbour>>,
        held_out: Vec<Vec<Neighbour>>,
        threshold: f64,
    }

    fn memorisation(
        samples: &Features,
        training: &Features,
        held_out: &Features,
        q: f64,
        k: usize,
    ) -> Result<Memorisation, MeasureError> {
        let originals = Originals::new(training, held_out, q, k)?;
        Ok(Memorisation {
            samples: originals.near(samples),
            held_out: originals.held_out,
            threshold: originals.threshold,
        })
    }

    use super::super::fixture::{Draws, joined, moved, repeatable};
    use super::*;

    fn suspects(found: &Memorisation) -> Vec<usize> {
        let near = |at: &usize| found.samples[*at][0].distance <= found.threshold;
        (0..found.samples.len()).filter(near).collect()
    }

    #[test]
    fn planted_copies_are_found() {
        let mut draws = Draws::new(1);
        let (training, held_out) = (draws.gaussian(400, 16, 0.0), draws.gaussian(200, 16, 0.0));
        // 30 copies, exact or with a little noise, then 70 new rows.
        let copies = training.rows().skip(100).take(30).enumerate();
        let moved = |(at, row): (usize, &[f64])| row.iter().map(|v| v + 0.01 * (at % 3) as f64).collect::<Vec<_>>();
        let copies = Features::new(copies.flat_map(moved).collect(), 16).unwrap();
        let samples = joined(&copies, &draws.gaussian(70, 16, 0.0));
        let found = memorisation(&samples, &training, &held_out, 0.05, 3).unwrap();
        for (at, near) in found.samples.iter().take(30).enumerate() {
            assert_eq!((near[0].index, near[0].distance == 0.0), (100 + at, at % 3 == 0));
            assert!(near[0].distance < near[1].distance / 3.0, "{at}: {near:?}");
        }
        let suspects = suspects(&found);
        assert_eq!(suspects[..30], (0..30).collect::<Vec<_>>());
        assert!(suspects.len() <= 38, "{} false alarms of 70", suspects.len() - 30);
        assert_eq!(
            found
                .held_out
                .iter()
                .filter(|near| near[0].distance <= found.threshold)
                .count(),
            10
        );
        assert!(found.samples.iter().all(|near| near.len() == 3));
    }

    #[test]
    fn new_samples_are_suspected_as_rarely_as_it_says() {
        let mut draws = Draws::new(2);
        let (runs, q) = (300, 0.1);
        let share = |_| {
            let [samples, training, held_out] = [40, 60, 29].map(|rows| draws.gaussian(rows, 4, 0.0));
            suspects(&memorisation(&samples, &training, &held_out, q, 1).unwrap()).len() as f64 / 40.0
        };
        let mean = (0..runs).map(share).sum::<f64>() / f64::from(runs);
        // Exactly q, since q times 30 is whole.
        assert!((mean - q).abs() < 0.015, "{mean}");
    }

    #[test]
    fn an_image_that_is_there_twice_is_one_neighbour() {
        let training = Features::new(vec![0.0, 10.0, 0.0, -0.0, 30.0], 1).unwrap();
        let held_out = Features::new((0..19).map(|at| 100.0 + f64::from(at)).collect(), 1).unwrap();
        let samples = Features::new(vec![1.0, 0.0], 1).unwrap();
        let found = memorisation(&samples, &training, &held_out, 0.05, 9).unwrap();
        let neighbours = |at: usize| {
            found.samples[at]
                .iter()
                .map(|near| (near.index, near.distance))
                .collect::<Vec<_>>()
        };
        assert_eq!(neighbours(0), [(0, 1.0), (1, 9.0), (4, 29.0)]);
        assert_eq!(neighbours(1)[..2], [(0, 0.0), (1, 10.0)]);
    }

    #[test]
    fn the_threshold_is_the_promised_rank() {
        for (q, held_out, wanted) in [
            (0.05, 18, 0),
            (0.05, 19, 1),
            (0.05, 39, 2),
            (0.05, 199, 10),
            (0.1, 29, 3),
            (0.3, 9, 3),
            (0.01, 99, 1),
        ] {
            assert_eq!(rank(q, held_out), wanted, "{q} of {held_out}");
        }
    }

    #[test]
    fn sets_that_cannot_be_judged_are_refused() {
        let mut draws = Draws::new(3);
        let [samples, training, few] = [5, 6, 18].map(|rows| draws.gaussian(rows, 2, 0.0));
        let judge = |training: &Features, q| memorisation(&samples, training, &few, q, 1).unwrap_err();
        assert!(matches!(
            judge(&training, 0.05),
            MeasureError::TooFew {
                set: "held-out",
                rows: 18,
                least: 19,
                ..
            }
        ));
        let equal = Features::new(vec![1.0; 8], 2).unwrap();
        assert!(matches!(judge(&equal, 0.5), MeasureError::Degenerate { .. }));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn motion_changes_no_neighbour(seed in 0u64..1000, width in 1usize..6, scale in 0.1f64..10.0) {
            let mut draws = Draws::new(seed);
            let sets = [30, 40, 25].map(|rows| draws.gaussian(rows, width, 0.0));
            let rotation = draws.rotation(width);
            let [plain, motion] = [sets.clone(), sets.map(|set| moved(&set, scale, &rotation, 2.0))]
                .map(|[samples, training, held_out]| memorisation(&samples, &training, &held_out, 0.1, 2).unwrap());
            prop_assert_eq!(suspects(&plain), suspects(&motion));
            prop_assert!((plain.threshold * scale - motion.threshold).abs() < 1e-9 * scale);
            for (plain, motion) in plain.samples.iter().zip(&motion.samples) {
                prop_assert_eq!(plain[0].index, motion[0].index);
                prop_assert!((plain[1].distance * scale - motion[1].distance).abs() < 1e-9 * scale);
            }
        }
    }
}
