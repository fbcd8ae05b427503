//! Improved precision and recall: how much of what is generated is real, and how much of what is real is generated.
//!
//! Kynkaanniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models", arXiv 1904.06991,
//! equations 1 and 2, k = 3 there. The manifold of a set is the union of closed balls around its rows, each as wide as
//! the distance to the k-th nearest other row. Both depend on the numbers of rows: compare at equal numbers, beside
//! real data against real data.

use super::neighbours::{for_each_pair, squared_radii};
use super::{Features, MeasureError};

/// Shares in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Of the generated rows, the share that lies in the manifold of the real ones.
    pub precision: f64,
    /// Of the real rows, the share that lies in the manifold of the generated ones.
    pub recall: f64,
}

/// Precision and recall with balls to the `k`-th neighbour; both sets need more than `k` rows. The paper's k is 3.
///
/// Panics for a `k` of 0, or sets of different widths.
pub fn precision_recall(real: &Features, generated: &Features, k: usize) -> Result<PrecisionRecall, MeasureError> {
    const NAME: &str = "precision and recall";
    assert!(k > 0, "balls without a neighbour");
    real.at_least(k.saturating_add(1), NAME, "real")?;
    generated.at_least(k.saturating_add(1), NAME, "generated")?;
    let (real_radii, generated_radii) = (squared_radii(real, k), squared_radii(generated, k));
    let mut real_inside = vec![false; real.len()];
    let mut generated_inside = vec![false; generated.len()];
    for_each_pair(real, generated, |i, j, squared| {
        generated_inside[j] |= squared <= real_radii[i];
        real_inside[i] |= squared <= generated_radii[j];
    });
    Ok(PrecisionRecall {
        precision: share(&generated_inside),
        recall: share(&real_inside),
    })
}

/// The share of `true`.
fn share(flags: &[bool]) -> f64 {
    flags.iter().filter(|&&flag| flag).count() as f64 / flags.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, joined, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_the_published_program() {
        // prdc 0.2 (Naeem et al.) on the fixture's sets, k = 3.
        let referee = Referee::read();
        let found = precision_recall(&referee.a, &referee.b, 3).unwrap();
        assert_eq!((found.precision, found.recall), (0.375, 0.614));
    }

    #[test]
    fn a_set_to_itself_is_1() {
        let features = Draws::new(1).gaussian(50, 4, 0.0);
        let found = precision_recall(&features, &features, 3).unwrap();
        assert_eq!((found.precision, found.recall), (1.0, 1.0));
    }

    #[test]
    fn a_row_on_the_border_of_a_ball_is_inside() {
        // k = 1. Both balls have the squared radius 0.05; the first sample is on the border of the first ball only.
        let real = Features::new(vec![0.0, 0.0, 0.1, 0.2], 2).unwrap();
        let generated = Features::new(vec![-0.1, -0.2, 9.0, 9.0], 2).unwrap();
        assert_eq!(precision_recall(&real, &generated, 1).unwrap().precision, 0.5);
    }

    #[test]
    fn a_planted_mixture_has_its_shares() {
        // Data: modes A and B. Samples: 70 % from mode A, 30 % far from the data; mode B, 40 % of the data, is lost.
        let mut draws = Draws::new(2);
        let modes = |first: Features, second: Features| joined(&first, &second);
        let real = modes(draws.gaussian(600, 3, 0.0), draws.gaussian(400, 3, 100.0));
        let generated = modes(draws.gaussian(700, 3, 0.0), draws.gaussian(300, 3, -100.0));
        let found = precision_recall(&real, &generated, 3).unwrap();
        // Within a mode, some rows at its rim lie in nobody's ball: real against real says how many.
        let rim = precision_recall(&draws.gaussian(600, 3, 0.0), &draws.gaussian(700, 3, 0.0), 3).unwrap();
        assert!(
            (found.precision - 0.7 * rim.precision).abs() < 0.02,
            "{found:?}, {rim:?}"
        );
        assert!((found.recall - 0.6 * rim.recall).abs() < 0.02, "{found:?}, {rim:?}");
        assert!(rim.precision > 0.9 && rim.recall > 0.9, "{rim:?}");
    }

    #[test]
    fn sets_that_cannot_be_compared_are_refused() {
        let mut draws = Draws::new(3);
        let (few, many) = (draws.gaussian(3, 2, 0.0), draws.gaussian(4, 2, 0.0));
        let refused = |real, generated| match precision_recall(real, generated, 3).unwrap_err() {
            MeasureError::TooFew { set, least: 4, .. } => set,
            other => panic!("{other}"),
        };
        assert_eq!((refused(&many, &few), refused(&few, &many)), ("generated", "real"));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn swaps_with_its_sets_and_is_blind_to_order_and_motion(
            seed in 0u64..1000, rows in 5usize..40, others in 5usize..40, width in 1usize..6, scale in 0.1f64..10.0,
        ) {
            let mut draws = Draws::new(seed);
            let (real, generated) = (draws.gaussian(rows, width, 0.0), draws.gaussian(others, width, 0.5));
            let plain = precision_recall(&real, &generated, 3).unwrap();
            let swapped = precision_recall(&generated, &real, 3).unwrap();
            prop_assert_eq!((swapped.recall, swapped.precision), (plain.precision, plain.recall));
            prop_assert_eq!(precision_recall(&reversed(&real), &reversed(&generated), 3).unwrap(), plain);
            let rotation = draws.rotation(width);
            let motion = |features: &Features| moved(features, scale, &rotation, 3.0);
            prop_assert_eq!(precision_recall(&motion(&real), &motion(&generated), 3).unwrap(), plain);
        }
    }
}
