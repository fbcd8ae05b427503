//! Linear centred kernel alignment between two networks' features of the same images.
//!
//! Kornblith et al. 2019, "Similarity of Neural Network Representations Revisited", arXiv 1905.00414, equation 4 with a
//! linear kernel: |Yᵀ X|² / (|Xᵀ X| |Yᵀ Y|), Frobenius norms, columns centred. It is the biased estimate: where rows
//! are not many times the columns, features of unrelated networks score well above 0.

use super::{Features, MeasureError};

const NAME: &str = "linear CKA";

/// The alignment in [0, 1] of `left` and `right`, rows of the same images; widths may differ.
///
/// 1 where one is a rotation, scaling and shift of the other. Not defined where a set is constant.
pub fn linear_cka(left: &Features, right: &Features) -> Result<f64, MeasureError> {
    left.paired_with(right, NAME)?;
    left.at_least(2, NAME, "feature")?;
    let (left, right) = (unit(left)?, unit(right)?);
    let (x, y) = (left.columns(), right.columns());
    let [own_x, own_y, across] = [(&x, &x), (&y, &y), (&y, &x)].map(|(a, b)| (a * b.transpose()).norm());
    // Above 1 by rounding only.
    Ok((across / own_x * (across / own_y)).min(1.0))
}

/// Centred, and divided by the largest value, so that fourth powers neither overflow nor vanish.
fn unit(features: &Features) -> Result<Features, MeasureError> {
    let mean = features.mean();
    let centred = features.centred(&mean);
    let largest = |features: &Features| {
        features
            .values()
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()))
    };
    // What the mean's own rounding leaves of constant columns is not variance.
    if largest(&centred) <= 1e-14 * largest(features) {
        return Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "a set has no variance, all its rows are equal",
        });
    }
    let scale = largest(&centred);
    Features::new(
        centred.values().iter().map(|value| value / scale).collect(),
        features.width(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable};
    use super::*;

    #[test]
    fn agrees_with_the_fixture() {
        let referee = Referee::read();
        assert_close(
            linear_cka(&referee.a, &referee.y).unwrap(),
            referee.value("linear_cka_a_y"),
            1e-12,
        );
    }

    #[test]
    fn of_two_columns_it_is_their_squared_correlation() {
        let left = Features::new(vec![1.0, 2.0, 3.0, 6.0], 1).unwrap();
        let right = Features::new(vec![2.0, 1.0, 5.0, 4.0], 1).unwrap();
        // Centred: (-2, -1, 0, 3) and (-1, -2, 2, 1): 7² / (14 * 10).
        assert_close(linear_cka(&left, &right).unwrap(), 0.35, 1e-14);
    }

    #[test]
    fn orthogonal_features_share_nothing() {
        let left = Features::new(vec![1.0, 1.0, -1.0, -1.0], 1).unwrap();
        let right = Features::new(vec![1.0, -1.0, 1.0, -1.0], 1).unwrap();
        assert_eq!(linear_cka(&left, &right).unwrap(), 0.0);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let mut draws = Draws::new(1);
        let (few, many) = (draws.gaussian(5, 2, 0.0), draws.gaussian(6, 2, 0.0));
        assert!(matches!(
            linear_cka(&few, &many),
            Err(MeasureError::Rows { left: 5, right: 6, .. })
        ));
        let constant = Features::new(vec![0.1; 12], 2).unwrap();
        assert!(matches!(
            linear_cka(&many, &constant),
            Err(MeasureError::Degenerate { .. })
        ));
        let one = draws.gaussian(1, 2, 0.0);
        assert!(matches!(
            linear_cka(&one, &one),
            Err(MeasureError::TooFew { least: 2, .. })
        ));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn is_symmetric_and_blind_to_rotation_scale_and_shift(
            seed in 0u64..1000, rows in 2usize..30, width in 1usize..8, other in 1usize..8,
            scale in prop::sample::select(vec![1e-12, 0.1, 7.0, 1e9]),
        ) {
            let mut draws = Draws::new(seed);
            let (left, right) = (draws.gaussian(rows, width, 1.0), draws.gaussian(rows, other, 0.0));
            let plain = linear_cka(&left, &right).unwrap();
            prop_assert!((0.0..=1.0).contains(&plain));
            assert_close(linear_cka(&right, &left).unwrap(), plain, 1e-12);
            let motion = moved(&left, scale, &draws.rotation(width), scale * 3.0);
            assert_close(linear_cka(&motion, &right).unwrap(), plain, 1e-9);
            assert_close(linear_cka(&motion, &left).unwrap(), 1.0, 1e-9);
        }
    }
}
