//! Density and coverage: precision and recall that one outlier cannot move.
//!
//! Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models", arXiv 2002.09797, equations 3
//! and 4, k = 5 there. Only the real rows have balls. For two sets of the same law density is 1 on average and
//! coverage, of N rows each, 1 - ((N - 1) … (N - k)) / ((2N - 1) … (2N - k)): that, and not 1, is the best to expect.
//!
//! Balls are closed, as those of [`precision_recall`](super::precision_recall); the authors' program takes open ones,
//! which is another number only where the data holds equal rows.

use serde::{Deserialize, Serialize};

use super::neighbours::{for_each_pair, squared_radii};
use super::precision::{has_neighbours, share};
use super::{Features, MeasureError};

/// Density of the samples where the data is, and the share of the data that has a sample near it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DensityCoverage {
    /// The number of real balls that a generated row lies in, divided by k, on average: at least 0, may exceed 1.
    pub density: f64,
    /// The share of real rows with a generated row in their ball, in [0, 1].
    pub coverage: f64,
}

/// Density and coverage with balls to the `k`-th neighbour; the real set needs more than `k` rows. The paper's k is 5.
pub fn density_coverage(real: &Features, generated: &Features, k: usize) -> Result<DensityCoverage, MeasureError> {
    real.as_wide_as(generated)?;
    has_neighbours(real, k, "density and coverage", "real")?;
    let radii = squared_radii(real, k);
    let mut inside = 0u64;
    let mut covered = vec![false; real.len()];
    for_each_pair(real, generated, |i, _, squared| {
        if squared <= radii[i] {
            inside += 1;
            covered[i] = true;
        }
    });
    Ok(DensityCoverage {
        density: inside as f64 / (k as f64 * generated.len() as f64),
        coverage: share(&covered),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, joined, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_the_published_program() {
        // prdc 0.2 (Naeem et al.) on the fixture's sets, k = 5.
        let referee = Referee::read();
        let found = density_coverage(&referee.a, &referee.b, 5).unwrap();
        assert!((found.density - 0.2885).abs() < 1e-12, "{found:?}");
        assert_eq!(found.coverage, 0.494);
    }

    #[test]
    fn a_row_on_the_border_of_a_ball_is_inside() {
        // k = 1. Both balls have the squared radius 0.05; the sample is on the border of the first ball only.
        let real = Features::new(vec![0.0, 0.0, 0.1, 0.2], 2).unwrap();
        let generated = Features::new(vec![-0.1, -0.2], 2).unwrap();
        let expected = DensityCoverage {
            density: 1.0,
            coverage: 0.5,
        };
        assert_eq!(density_coverage(&real, &generated, 1).unwrap(), expected);
    }

    #[test]
    fn of_one_law_it_is_what_the_paper_expects() {
        let mut draws = Draws::new(1);
        let (rows, k, runs) = (100, 5, 200);
        let found: Vec<_> = (0..runs)
            .map(|_| density_coverage(&draws.gaussian(rows, 3, 0.0), &draws.gaussian(rows, 3, 0.0), k).unwrap())
            .collect();
        let mean = |value: fn(&DensityCoverage) -> f64| found.iter().map(value).sum::<f64>() / runs as f64;
        let missed: f64 = (1..=k).map(|j| (rows - j) as f64 / (2 * rows - j) as f64).product();
        assert!(
            (mean(|found| found.density) - 1.0).abs() < 0.02,
            "{}",
            mean(|found| found.density)
        );
        assert!(
            (mean(|found| found.coverage) - (1.0 - missed)).abs() < 0.005,
            "{}",
            mean(|found| found.coverage)
        );
    }

    #[test]
    fn a_planted_mixture_has_its_shares() {
        // 60 % of the data in a mode that the samples know, 70 % of the samples in it; the rest far from each other.
        let mut draws = Draws::new(2);
        let real = joined(&draws.gaussian(600, 3, 0.0), &draws.gaussian(400, 3, 100.0));
        let generated = joined(&draws.gaussian(700, 3, 0.0), &draws.gaussian(300, 3, -100.0));
        let found = density_coverage(&real, &generated, 5).unwrap();
        assert!((found.density - 0.7).abs() < 0.05, "{found:?}");
        assert!((found.coverage - 0.6).abs() < 0.03, "{found:?}");
    }

    #[test]
    fn one_outlier_of_the_data_does_not_make_far_samples_dense() {
        // The paper's argument: the outlier's ball holds everything, which is all that precision asks.
        let mut draws = Draws::new(3);
        let outlier = Features::new(vec![40.0; 3], 3).unwrap();
        let real = joined(&draws.gaussian(200, 3, 0.0), &outlier);
        let far = draws.gaussian(200, 3, 20.0);
        assert_eq!(super::super::precision_recall(&real, &far, 5).unwrap().precision, 1.0);
        let found = density_coverage(&real, &far, 5).unwrap();
        assert!(
            (found.density - 0.2).abs() < 1e-12 && found.coverage < 0.01,
            "{found:?}"
        );
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let mut draws = Draws::new(4);
        let (few, many) = (draws.gaussian(5, 2, 0.0), draws.gaussian(6, 2, 0.0));
        assert!(matches!(
            density_coverage(&few, &many, 5),
            Err(MeasureError::TooFew { least: 6, .. })
        ));
        assert!(density_coverage(&many, &few, 5).is_ok());
        assert!(matches!(
            density_coverage(&many, &few, 0),
            Err(MeasureError::Setting { .. })
        ));
        assert!(matches!(
            density_coverage(&many, &draws.gaussian(6, 3, 0.0), 5),
            Err(MeasureError::Widths { .. })
        ));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn is_blind_to_order_and_motion(
            seed in 0u64..1000, rows in 6usize..40, others in 1usize..40, width in 1usize..6, scale in 0.1f64..10.0,
        ) {
            let mut draws = Draws::new(seed);
            let (real, generated) = (draws.gaussian(rows, width, 0.0), draws.gaussian(others, width, 0.5));
            let plain = density_coverage(&real, &generated, 5).unwrap();
            prop_assert_eq!(density_coverage(&reversed(&real), &reversed(&generated), 5).unwrap(), plain);
            let rotation = draws.rotation(width);
            let motion = |features: &Features| moved(features, scale, &rotation, 3.0);
            prop_assert_eq!(density_coverage(&motion(&real), &motion(&generated), 5).unwrap(), plain);
        }
    }
}
