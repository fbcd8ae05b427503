//! The first principal components of tokens, for maps of their features in colours.
//!
//! Pearson 1901, as in figure 1 of DINOv2 (arXiv 2304.07193). A component is defined up to its sign only.

use nalgebra::{DMatrix, SymmetricEigen};

use super::{Features, MeasureError};

const NAME: &str = "principal components";

/// A set along the directions of its largest variance, the first explaining most.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// The place `[N, count]` of every row along the components, 0 being the mean.
    pub coordinates: Features,
    /// The unbiased variance along each component, the largest first.
    pub variances: Vec<f64>,
    /// The share of all variance that the components explain together, in [0, 1]; 0 for a constant set.
    pub explained: f64,
}

/// The first `count` components of at least two rows, by the smaller of the covariance and the rows' products.
///
/// Panics unless `count` is at least 1 and at most the width. A component beyond the rank of the set has variance 0, and every row is at 0 on it,
/// which is a flat colour.
pub fn components(features: &Features, count: usize) -> Result<Components, MeasureError> {
    features.at_least(2, NAME, "feature")?;
    let (rows, width) = (features.len(), features.width());
    assert!((1..=width).contains(&count), "{count} components of {width} columns");
    let centred = features.centred(&features.mean());
    let x = centred.columns();
    let freedom = (rows - 1) as f64;
    let by_columns = width <= rows;
    let products = if by_columns {
        x * x.transpose()
    } else {
        x.transpose() * x
    };
    let eigen = SymmetricEigen::new(products / freedom);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    // Below this an eigenvalue is rounding, of the products or of the mean that was taken off.
    let largest = features
        .values()
        .iter()
        .fold(0.0f64, |most, value| most.max(value.abs()));
    let least = f64::EPSILON
        * (rows.max(width) as f64 * eigen.eigenvalues[order[0]]).max(f64::EPSILON * rows as f64 * largest * largest);
    let mut directions = DMatrix::zeros(width, count);
    let mut variances = vec![0.0; count];
    for (place, &at) in order.iter().take(count).enumerate() {
        if eigen.eigenvalues[at] > least {
            let vector = eigen.eigenvectors.column(at);
            let direction = if by_columns { vector.into_owned() } else { x * vector };
            directions.set_column(place, &direction.normalize());
            variances[place] = eigen.eigenvalues[at];
        }
    }
    let total = x.norm_squared() / freedom;
    let explained = if total > 0.0 {
        variances.iter().sum::<f64>() / total
    } else {
        0.0
    };
    Ok(Components {
        // Column-major [count, N] is row-major [N, count].
        coordinates: Features::new((directions.transpose() * x).as_slice().to_vec(), count)?,
        variances,
        explained: explained.min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_scikit_learn() {
        let found = components(&Referee::read().a, 3).unwrap();
        for (found, expected) in found.variances.iter().zip([1.41217453, 1.26538444, 1.22275424]) {
            assert_close(*found, expected, 1e-8);
        }
        assert_close(found.explained, 0.08783809 + 0.07870766 + 0.07605604, 1e-7);
    }

    #[test]
    fn a_planted_plane_is_found() {
        // Along (3, 4, 0)/5 deviations 10, along (0, 0, 1) deviations 1, nothing else.
        // More rows than columns, and fewer.
        let mut draws = Draws::new(1);
        for rows in [200, 3] {
            let values = (0..rows).flat_map(|_| {
                let (first, second) = (10.0 * draws.normal(), draws.normal());
                [0.6 * first + 7.0, 0.8 * first, second - 2.0, 0.0]
            });
            let features = Features::new(values.collect(), 4).unwrap();
            let found = components(&features, 3).unwrap();
            assert_close(found.explained, 1.0, 1e-12);
            assert_eq!(found.variances[2], 0.0);
            let centred = features.centred(&features.mean());
            for (place, row) in found.coordinates.rows().zip(centred.rows()) {
                // What the plane holds of a row is all of it.
                let length = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>();
                assert_close(length(place), length(row), 1e-10);
                assert_eq!(place[2], 0.0);
            }
        }
    }

    #[test]
    fn a_constant_set_is_a_flat_colour() {
        let found = components(&Features::new(vec![0.1; 60], 4).unwrap(), 3).unwrap();
        assert_eq!(found.explained, 0.0);
        assert!(found.coordinates.values().iter().all(|&value| value == 0.0));
    }

    #[test]
    fn one_row_has_no_components() {
        let one = components(&Draws::new(3).gaussian(1, 4, 0.0), 3);
        assert!(matches!(one, Err(MeasureError::TooFew { .. })));
    }

    proptest! {
        #![proptest_config(repeatable(32))]

        #[test]
        fn coordinates_are_uncorrelated_and_blind_to_order_and_motion(
            seed in 0u64..1000, rows in 5usize..30, width in 3usize..30,
        ) {
            let mut draws = Draws::new(seed);
            let features = draws.gaussian(rows, width, 3.0);
            let found = components(&features, 3).unwrap();
            for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                let product: f64 = found.coordinates.rows().map(|row| row[i] * row[j]).sum();
                let wanted = if i == j { found.variances[i] } else { 0.0 };
                assert_close(product / (rows - 1) as f64, wanted, 1e-9);
            }
            let backward = components(&reversed(&features), 3).unwrap();
            for (a, b) in found.coordinates.rows().zip(backward.coordinates.rows().rev()) {
                (0..3).for_each(|at| assert_close(a[at].abs(), b[at].abs(), 1e-6));
            }
            // A rotation changes none of it.
            let motion = components(&moved(&features, 2.0, &draws.rotation(width), 1.0), 3).unwrap();
            for (motion, variance) in motion.variances.iter().zip(&found.variances) {
                assert_close(*motion, 4.0 * variance, 1e-9);
            }
        }
    }
}
