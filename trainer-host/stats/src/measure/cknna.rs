//! CKNNA: alignment of two networks' features that looks only at neighbours which both agree on.
//!
//! Huh et al. 2024, "The Platonic Representation Hypothesis", arXiv 2405.07987, appendix A, as REPA uses it (k = 10):
//! rows scaled to unit length, inner products, of which only those between mutual k nearest neighbours (j among the
//! k nearest of i in both networks) are kept, the unbiased HSIC of what is kept (Song et al. 2012, equation 5), and
//! HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)). Rows are not centred.

use super::{Features, MeasureError};

const NAME: &str = "CKNNA";

/// The alignment, at most about 1, of `left` and `right`, rows of the same images; widths may differ.
///
/// Needs more than `k` rows and four in all. Panics unless `k` is at least 2 and both have as many rows. Of equally near rows the earlier is the neighbour.
/// A row of zeros has no direction and is similar to nothing.
pub fn cknna(left: &Features, right: &Features, k: usize) -> Result<f64, MeasureError> {
    assert_eq!(left.len(), right.len(), "rows of the same images");
    assert!(k >= 2, "CKNNA with {k} neighbours");
    left.at_least(k.saturating_add(1).max(4), NAME, "feature")?;
    let (left, right) = (similar(left, k), similar(right, k));
    let own = [unbiased_hsic(&left, &left), unbiased_hsic(&right, &right)];
    if own.iter().any(|&own| own.is_nan() || own <= 0.0) {
        return Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "the similarity of a set with itself vanishes, as where all rows are equal",
        });
    }
    Ok(unbiased_hsic(&left, &right) / (own[0].sqrt() * own[1].sqrt()))
}

/// For every row its `k` most similar other rows with their cosine similarities, by index.
fn similar(features: &Features, k: usize) -> Vec<Vec<(usize, f64)>> {
    let unit = unit_rows(features);
    let most_similar = |row: usize| {
        let products = unit.columns().tr_mul(&unit.columns().column(row));
        let mut order: Vec<usize> = (0..features.len()).filter(|&other| other != row).collect();
        let by_similarity = |a: &usize, b: &usize| products[*b].total_cmp(&products[*a]).then(a.cmp(b));
        order.select_nth_unstable_by(k - 1, by_similarity);
        order.truncate(k);
        order.sort_unstable();
        order.into_iter().map(|other| (other, products[other])).collect()
    };
    (0..features.len()).map(most_similar).collect()
}

/// Rows divided by their lengths; rows of zeros stay.
fn unit_rows(features: &Features) -> Features {
    let divided = features.rows().flat_map(|row| {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.iter()
            .map(move |value| if length > 0.0 { value / length } else { 0.0 })
    });
    Features::new(divided.collect(), features.width()).expect("a shape that was checked, values of at most 1")
}

/// Unbiased HSIC of two kernels of which only the pairs (row, neighbour) that are in both lists are kept.
fn unbiased_hsic(left: &[Vec<(usize, f64)>], right: &[Vec<(usize, f64)>]) -> f64 {
    let rows = left.len();
    let find = |list: &[(usize, f64)], row: usize| {
        list.binary_search_by_key(&row, |entry| entry.0)
            .ok()
            .map(|at| list[at].1)
    };
    // Being a neighbour is not mutual, so the kept kernels are not symmetric: columns and rows have sums of their own.
    let (mut traces, mut left_total, mut right_total) = (0.0, 0.0, 0.0);
    let (mut left_columns, mut right_rows) = (vec![0.0; rows], vec![0.0; rows]);
    for row in 0..rows {
        for &(other, in_left) in &left[row] {
            let Some(in_right) = find(&right[row], other) else {
                continue;
            };
            left_total += in_left;
            right_total += in_right;
            left_columns[other] += in_left;
            right_rows[row] += in_right;
            if let (Some(_), Some(back)) = (find(&left[other], row), find(&right[other], row)) {
                traces += in_left * back;
            }
        }
    }
    let products: f64 = left_columns
        .iter()
        .zip(&right_rows)
        .map(|(column, row)| column * row)
        .sum();
    let m = rows as f64;
    (traces + left_total * right_total / ((m - 1.0) * (m - 2.0)) - 2.0 * products / (m - 2.0)) / (m * (m - 3.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_the_fixture() {
        let referee = Referee::read();
        let found = cknna(&referee.a, &referee.y, 10).unwrap();
        assert_close(found, referee.value("cknna_k10_a_y"), 1e-12);
    }

    #[test]
    fn a_set_agrees_with_itself() {
        let features = Draws::new(1).gaussian(40, 5, 0.0);
        assert_close(cknna(&features, &features, 10).unwrap(), 1.0, 1e-12);
    }

    #[test]
    fn unrelated_features_score_near_0() {
        let mut draws = Draws::new(2);
        let found = cknna(&draws.gaussian(300, 8, 0.0), &draws.gaussian(300, 8, 0.0), 10).unwrap();
        assert!(found.abs() < 0.1, "{found}");
    }

    #[test]
    fn sets_that_cannot_be_compared_are_refused() {
        let mut draws = Draws::new(3);
        let (few, many) = (draws.gaussian(10, 2, 0.0), draws.gaussian(11, 2, 0.0));
        let too_few = cknna(&few, &few, 10);
        assert!(matches!(too_few, Err(MeasureError::TooFew { least: 11, .. })));
        let zeros = Features::new(vec![0.0; 22], 2).unwrap();
        assert!(matches!(cknna(&zeros, &many, 5), Err(MeasureError::Degenerate { .. })));
    }

    proptest! {
        #![proptest_config(repeatable(32))]

        #[test]
        fn is_blind_to_order_rotation_and_scale(
            seed in 0u64..1000, rows in 12usize..40, width in 2usize..8, k in 2usize..10, scale in 0.1f64..10.0,
        ) {
            let mut draws = Draws::new(seed);
            let left = draws.gaussian(rows, width, 0.0);
            let noise = draws.gaussian(rows, width, 0.0);
            let mixed = left.values().iter().zip(noise.values()).map(|(value, noise)| value + noise).collect();
            let right = Features::new(mixed, width).unwrap();
            // Where a set's own similarity is not positive the measure says so.
            let Ok(plain) = cknna(&left, &right, k) else { return Ok(()) };
            assert_close(cknna(&reversed(&left), &reversed(&right), k).unwrap(), plain, 1e-9);
            let motion = moved(&left, scale, &draws.rotation(width), 0.0);
            assert_close(cknna(&motion, &right, k).unwrap(), plain, 1e-9);
        }
    }
}
