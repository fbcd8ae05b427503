//! The first principal components of tokens, for maps of their features in colours.
//!
//! Pearson 1901, as in figure 1 of DINOv2 (arXiv 2304.07193). A component is defined up to its sign only; here the
//! entry of the largest magnitude is positive, so that two calls, and two reports, show the same colours.

use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::{Features, MeasureError};

const NAME: &str = "principal components";

/// Directions of the largest variance of a set, the first explaining most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Components {
    mean: Features,
    directions: Features,
    variances: Vec<f64>,
    total: f64,
}

impl Components {
    /// The first `count` components of at least two rows, by the smaller of the covariance and the rows' products.
    ///
    /// `count` may be up to the width. A component beyond the rank of the set has variance 0 and a direction of zeros:
    /// every row projects to 0 on it, which is a flat colour.
    pub fn fit(features: &Features, count: usize) -> Result<Self, MeasureError> {
        features.at_least(2, NAME, "feature")?;
        let (rows, width) = (features.len(), features.width());
        if count == 0 || count > width {
            return Err(MeasureError::Setting {
                setting: "the number of principal components",
                value: count as f64,
                range: "at least 1 and at most the width of the features",
            });
        }
        let mean = features.mean();
        let centred = features.centred(&mean);
        let x = centred.columns();
        let freedom = (rows - 1) as f64;
        let eigen = SymmetricEigen::new(
            if width <= rows {
                x * x.transpose()
            } else {
                x.transpose() * x
            } / freedom,
        );
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        // Below this an eigenvalue is rounding, of the products or of the mean that was taken off.
        let largest = features
            .values()
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()));
        let least = f64::EPSILON
            * (rows.max(width) as f64 * eigen.eigenvalues[order[0]])
                .max(f64::EPSILON * rows as f64 * largest * largest);
        let mut directions = DMatrix::zeros(width, count);
        let mut variances = vec![0.0; count];
        for (place, &at) in order
            .iter()
            .take(count)
            .enumerate()
            .filter(|(_, at)| eigen.eigenvalues[**at] > least)
        {
            let vector = eigen.eigenvectors.column(at);
            let direction = if width <= rows { vector.into_owned() } else { x * vector }.normalize();
            let sign = direction[direction.icamax()].signum();
            directions.set_column(place, &(direction * sign));
            variances[place] = eigen.eigenvalues[at];
        }
        Ok(Self {
            mean: Features::new(mean, width)?,
            // Column-major [width, count] is row-major [count, width].
            directions: Features::new(directions.as_slice().to_vec(), width)?,
            variances,
            total: x.norm_squared() / freedom,
        })
    }

    /// `[count, D]`, one unit row a component, orthogonal to each other.
    pub fn directions(&self) -> &Features {
        &self.directions
    }

    /// The unbiased variance along each component, the largest first.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The share of all variance that the components explain together, in [0, 1]; 0 for a constant set.
    pub fn explained(&self) -> f64 {
        match self.total > 0.0 {
            true => (self.variances.iter().sum::<f64>() / self.total).min(1.0),
            false => 0.0,
        }
    }

    /// The coordinates `[N, count]` of rows, of the fitted set or any other, along the components.
    pub fn project(&self, features: &Features) -> Result<Features, MeasureError> {
        self.mean.as_wide_as(features)?;
        self.mean.as_wide_as(&self.directions)?;
        let centred = features.centred(self.mean.values());
        let across = self.directions.columns().transpose() * centred.columns();
        Features::new(across.as_slice().to_vec(), self.directions.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_scikit_learn() {
        let components = Components::fit(&Referee::read().a, 3).unwrap();
        for (found, expected) in components.variances().iter().zip([1.41217453, 1.26538444, 1.22275424]) {
            assert_close(*found, expected, 1e-8);
        }
        assert_close(components.explained(), 0.08783809 + 0.07870766 + 0.07605604, 1e-7);
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
            let components = Components::fit(&features, 3).unwrap();
            assert_close(components.explained(), 1.0, 1e-12);
            assert_eq!(components.variances()[2], 0.0);
            assert_eq!(components.directions().row(2), [0.0; 4]);
            let map = components.project(&features).unwrap();
            for row in map.rows() {
                assert_eq!(row[2], 0.0);
            }
            // Two coordinates lose nothing of the plane.
            let lengths = |features: &Features| features.centred(&features.mean()).columns().norm();
            assert_close(lengths(&map), lengths(&features), 1e-10);
        }
    }

    #[test]
    fn one_set_may_be_projected_on_anothers_components() {
        let mut draws = Draws::new(2);
        let (fitted, other) = (draws.gaussian(50, 6, 1.0), draws.gaussian(3, 6, -1.0));
        let components = Components::fit(&fitted, 2).unwrap();
        let found = components.project(&other).unwrap();
        let by_hand: f64 = (0..6)
            .map(|c| (other.row(2)[c] - fitted.mean()[c]) * components.directions().row(1)[c])
            .sum();
        assert_close(found.row(2)[1], by_hand, 1e-12);
        assert!(matches!(
            components.project(&draws.gaussian(3, 5, 0.0)),
            Err(MeasureError::Widths { .. })
        ));
    }

    #[test]
    fn a_constant_set_is_a_flat_colour() {
        let constant = Features::new(vec![0.1; 60], 4).unwrap();
        let components = Components::fit(&constant, 3).unwrap();
        assert_eq!(components.explained(), 0.0);
        assert!(
            components
                .project(&constant)
                .unwrap()
                .values()
                .iter()
                .all(|&value| value == 0.0)
        );
    }

    #[test]
    fn what_has_no_components_is_refused() {
        let mut draws = Draws::new(3);
        assert!(matches!(
            Components::fit(&draws.gaussian(1, 4, 0.0), 3),
            Err(MeasureError::TooFew { .. })
        ));
        for count in [0, 5] {
            assert!(matches!(
                Components::fit(&draws.gaussian(9, 4, 0.0), count),
                Err(MeasureError::Setting { .. })
            ));
        }
    }

    proptest! {
        #![proptest_config(repeatable(32))]

        #[test]
        fn directions_are_orthonormal_signed_and_blind_to_order(
            seed in 0u64..1000, rows in 5usize..30, width in 3usize..30,
        ) {
            let mut draws = Draws::new(seed);
            let features = draws.gaussian(rows, width, 3.0);
            let components = Components::fit(&features, 3).unwrap();
            let directions = components.directions();
            for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                let product: f64 = directions.row(i).iter().zip(directions.row(j)).map(|(a, b)| a * b).sum();
                prop_assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10);
            }
            for row in directions.rows() {
                let most = row.iter().fold(0.0f64, |most, value| if value.abs() > most.abs() { *value } else { most });
                prop_assert!(most > 0.0);
            }
            let backward = Components::fit(&reversed(&features), 3).unwrap();
            for (a, b) in components.directions().values().iter().zip(backward.directions().values()) {
                prop_assert!((a - b).abs() < 1e-6, "{a} and {b}");
            }
            // The variance of the coordinates is what is claimed; a rotation changes none of it.
            let map = components.project(&features).unwrap();
            let motion = Components::fit(&moved(&features, 2.0, &draws.rotation(width), 1.0), 3).unwrap();
            for (at, &variance) in components.variances().iter().enumerate() {
                let squares: f64 = map.rows().map(|row| row[at] * row[at]).sum();
                assert_close(squares / (rows - 1) as f64, variance, 1e-10);
                assert_close(motion.variances()[at], 4.0 * variance, 1e-9);
            }
        }
    }
}
