//! The Frechet distance between Gaussians fitted to two sets of features; with Inception's features it is FID.
//!
//! Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", arXiv 1706.08500, equation 6 (after Dowson and
//! Landau 1982): |m1 - m2|² + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), with unbiased covariances.
//!
//! The square root of C1 C2 is never formed. With C1 = R1ᵀ R1 and C2 = R2ᵀ R2 the eigenvalues of C1 C2 are the squared
//! singular values of R1 R2ᵀ, so the trace is their sum. A factor R is the centred rows themselves where they are few, and else
//! a pivoted Cholesky factor of the covariance, which ends at its rank. That is why singular covariances (fewer rows than columns,
//! constant columns) need no small number on the diagonal, as published evaluators add, and why a set has distance 0 from itself to
//! rounding. The statistics that others publish, a mean and a covariance, give a factor in the same way.
//!
//! The estimate is biased upward, by about D/N + D(D+1)/4N on whitened features: put its floor beside it.

use super::{Features, MeasureError};
use nalgebra::{DMatrix, SVD};

const NAME: &str = "the Frechet distance";

/// Rows whose products are added to a covariance at once.
const TILE: usize = 1024;

/// Rounding in published covariances, which may be in f32, in variances of the widest column.
const ROUNDING: f64 = 1e-5;

/// The mean of a set of features and its covariance as a factor: what a reference set is reduced to, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// `[D]`
    mean: Vec<f64>,
    /// `[rank, D]`, or `[N, D]` of few rows; its transpose times itself is the covariance.
    root: Features,
}

impl Gaussian {
    /// Fits a set of at least two rows.
    pub fn fit(features: &Features) -> Result<Self, MeasureError> {
        features.at_least(2, NAME, "feature")?;
        let (mean, width) = (features.mean(), features.width());
        let freedom = features.len() as f64 - 1.0;
        if features.len() <= width {
            let mut root = features.centred(&mean).values().to_vec();
            root.iter_mut().for_each(|value| *value /= freedom.sqrt());
            let root = Features::new(root, width)?;
            return Ok(Self { mean, root });
        }
        let mut covariance = DMatrix::zeros(width, width);
        for rows in features.values().chunks(TILE * width) {
            let rows = Features::new(rows.to_vec(), width)?.centred(&mean);
            let columns = rows.columns();
            covariance.gemm(1.0 / freedom, &columns, &columns.transpose(), 1.0);
        }
        Self::new(mean, covariance.as_slice())
    }

    /// A Gaussian of this mean `[D]` and symmetric covariance `[D, D]`. Panics for another number of values.
    ///
    /// # Errors
    /// Values that are not finite; what is no covariance, since a variance along some direction is below 0 by more than rounding.
    pub fn new(mean: Vec<f64>, covariance: &[f64]) -> Result<Self, MeasureError> {
        let width = mean.len();
        assert_eq!(covariance.len(), width * width, "a square of the mean's width");
        if mean.iter().chain(covariance).any(|value| !value.is_finite()) {
            return Err(MeasureError::Degenerate {
                measure: NAME,
                reason: "a mean or a covariance has a value that is not finite",
            });
        }
        let root = Features::new(root(covariance, width)?, width)?;
        Ok(Self { mean, root })
    }

    /// The sum of the variances of all columns.
    fn total_variance(&self) -> f64 {
        self.root.values().iter().map(|value| value * value).sum()
    }
}

/// The squared Frechet (2-Wasserstein) distance between two Gaussians of one width, at least 0: the number that papers print as FID.
pub fn frechet_distance(left: &Gaussian, right: &Gaussian) -> Result<f64, MeasureError> {
    assert_eq!(left.mean.len(), right.mean.len(), "rows of one width");
    let means = left.mean.iter().zip(&right.mean);
    let means: f64 = means.map(|(a, b)| (a - b) * (a - b)).sum();
    let product = left.root.columns().transpose() * right.root.columns();
    let root_trace = sum_of_singular_values(product)?;
    Ok((means + left.total_variance() + right.total_variance() - 2.0 * root_trace).max(0.0))
}

/// A factor R of a covariance, `[rank, D]` row-major, with Rᵀ R = C: its Cholesky decomposition with pivots on the diagonal (Higham 1990,
/// "Analysis of the Cholesky decomposition of a semi-definite matrix"), which ends where nothing but rounding is left. A covariance of 0
/// has one row of zeros.
fn root(covariance: &[f64], width: usize) -> Result<Vec<f64>, MeasureError> {
    // What the rows so far leave of each variance.
    let mut left: Vec<f64> = covariance.iter().step_by(width + 1).copied().collect();
    let largest = left.iter().copied().fold(0.0, f64::max);
    let mut root: Vec<f64> = Vec::new();
    for _ in 0..width {
        let most = left.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((pivot, variance)) = most.filter(|(_, variance)| *variance > width as f64 * f64::EPSILON * largest)
        else {
            break;
        };
        let mut row = covariance[pivot * width..(pivot + 1) * width].to_vec();
        for earlier in root.chunks_exact(width) {
            let share = earlier[pivot];
            row.iter_mut()
                .zip(earlier)
                .for_each(|(value, other)| *value -= share * other);
        }
        let deviation = variance.sqrt();
        for (value, left) in row.iter_mut().zip(&mut left) {
            *value /= deviation;
            *left -= *value * *value;
        }
        left[pivot] = 0.0;
        root.extend(row);
    }
    if left.iter().any(|variance| *variance < -ROUNDING * largest) {
        return Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "a matrix is no covariance: a variance in it is below 0",
        });
    }
    if root.is_empty() {
        root.resize(width, 0.0);
    }
    Ok(root)
}

fn sum_of_singular_values(matrix: DMatrix<f64>) -> Result<f64, MeasureError> {
    // Ten times the passes that any matrix has needed, so that a defect of the solver is an answer and not a hang.
    let passes = 1000 + 100 * matrix.nrows().max(matrix.ncols());
    match SVD::try_new_unordered(matrix, false, false, f64::EPSILON, passes) {
        Some(decomposed) => Ok(decomposed.singular_values.iter().sum()),
        None => Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "the singular values of the covariances' product were not found",
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    fn distance(left: &Features, right: &Features) -> f64 {
        frechet_distance(&Gaussian::fit(left).unwrap(), &Gaussian::fit(right).unwrap()).unwrap()
    }

    /// Relative to what the distance is made of.
    fn to_itself(features: &Features) -> f64 {
        distance(features, features) / Gaussian::fit(features).unwrap().total_variance()
    }

    #[test]
    fn agrees_with_scipy() {
        let referee = Referee::read();
        assert_close(
            distance(&referee.a, &referee.b),
            referee.value("frechet_distance_a_b"),
            1e-10,
        );
    }

    #[test]
    fn agrees_with_scipy_where_rows_are_fewer_than_columns() {
        // 30 and 25 rows of the fixture, their squares and cubes as further columns: 48 columns. The trace of the root
        // by NumPy from the symmetric roots of both covariances.
        let referee = Referee::read();
        let widened = |features: &Features, rows: usize| {
            let powers = |row: &[f64]| {
                [1, 2, 3]
                    .map(|power| row.iter().map(|value| value.powi(power)).collect::<Vec<_>>())
                    .concat()
            };
            Features::new(features.rows().take(rows).flat_map(powers).collect(), 48).unwrap()
        };
        assert_close(
            distance(&widened(&referee.a, 30), &widened(&referee.b, 25)),
            914.7976060207686,
            1e-7,
        );
    }

    #[test]
    fn it_is_the_known_formula_where_there_is_one() {
        let of = |values: &[f64], width| Features::new(values.to_vec(), width).unwrap();
        for (left, right, wanted) in [
            // Means 2 and 5, unbiased variances 4 and 9: (2 - 5)² + (2 - 3)².
            (of(&[0.0, 2.0, 4.0], 1), of(&[2.0, 5.0, 8.0], 1), 10.0),
            // One set varies in the first column, the other in the second: the trace of the root is 0.
            (of(&[-1.0, 0.0, 1.0, 0.0], 2), of(&[0.0, -3.0, 0.0, 3.0], 2), 2.0 + 18.0),
            (of(&[7.0; 12], 3), of(&[7.0; 12], 3), 0.0),
        ] {
            assert_close(distance(&left, &right), wanted, 1e-14);
        }
    }

    #[test]
    fn statistics_of_a_set_are_as_good_as_the_set() {
        let referee = Referee::read();
        let covariance = |features: &Features| {
            let mean = features.mean();
            let centred = features.centred(&mean);
            let columns = centred.columns();
            let covariance = columns * columns.transpose() / (features.len() as f64 - 1.0);
            (mean, covariance.as_slice().to_vec())
        };
        let (mean, mut values) = covariance(&referee.a);
        let published = Gaussian::new(mean.clone(), &values).unwrap();
        let found = frechet_distance(&published, &Gaussian::fit(&referee.b).unwrap()).unwrap();
        assert_close(found, referee.value("frechet_distance_a_b"), 1e-10);
        // As they are often stored.
        let single: Vec<f64> = values.iter().map(|value| f64::from(*value as f32)).collect();
        let single = Gaussian::new(mean.clone(), &single).unwrap();
        let found = frechet_distance(&single, &Gaussian::fit(&referee.b).unwrap()).unwrap();
        assert_close(found, referee.value("frechet_distance_a_b"), 1e-5);
        values[17] = -values[17];
        let message = Gaussian::new(mean, &values).unwrap_err().to_string();
        assert!(message.contains("no covariance"), "{message}");
    }

    #[test]
    fn of_independent_columns_it_is_the_sum_over_columns() {
        // A full factorial makes the columns' sample covariance exactly diagonal.
        let grid = |scales: [f64; 3]| {
            let signs = |bits: usize, at: usize| if bits >> at & 1 == 1 { 1.0 } else { -1.0 };
            let rows = (0..8).flat_map(|bits| (0..3).map(move |at| scales[at] * signs(bits, at)));
            Features::new(rows.collect(), 3).unwrap()
        };
        let found = distance(&grid([1.0, 2.0, 3.0]), &grid([4.0, 2.0, 0.0]));
        assert_close(found, 8.0 / 7.0 * (9.0 + 0.0 + 9.0), 1e-13);
    }

    #[test]
    fn a_set_to_itself_is_0_also_where_the_covariance_is_singular() {
        let mut draws = Draws::new(1);
        let tall = draws.gaussian(300, 40, 3.0);
        let short = draws.gaussian(20, 60, 3.0);
        let pair = draws.gaussian(2, 9, -1.0);
        // Rank 3 in 12 columns of very different scales.
        let thin = draws.gaussian(100, 3, 0.0);
        let deficient = thin.rows().flat_map(|row| {
            (0..12)
                .map(|c| row[c % 3] * 10f64.powi(c as i32 - 6))
                .collect::<Vec<_>>()
        });
        let deficient = Features::new(deficient.collect(), 12).unwrap();
        for features in [tall, short, pair, deficient] {
            let relative = to_itself(&features);
            assert!(relative < 1e-12, "{:?}: {relative:e}", features.columns().shape());
        }
    }

    #[test]
    fn its_bias_is_what_the_documents_say() {
        // Two sets of the same law, whitened: each contributes D/N + D(D+1)/4N.
        let mut draws = Draws::new(7);
        let (rows, width) = (400, 20);
        let mean = (0..20)
            .map(|_| distance(&draws.gaussian(rows, width, 0.0), &draws.gaussian(rows, width, 0.0)))
            .sum::<f64>()
            / 20.0;
        let (n, d) = (rows as f64, width as f64);
        let expected = 2.0 * d / n + d * (d + 1.0) / (4.0 * n) * 2.0;
        assert!((mean / expected - 1.0).abs() < 0.15, "{mean} and {expected}");
    }

    #[test]
    fn one_row_has_no_covariance() {
        let one = Gaussian::fit(&Draws::new(2).gaussian(1, 3, 0.0));
        assert!(matches!(one, Err(MeasureError::TooFew { least: 2, .. })));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn is_symmetric_and_moves_with_both_sets(
            seed in 0u64..1000, rows in 2usize..40, others in 2usize..40, width in 1usize..20,
            scale in 0.1f64..10.0, shift in -5.0f64..5.0,
        ) {
            let mut draws = Draws::new(seed);
            let (left, right) = (draws.gaussian(rows, width, 0.0), draws.gaussian(others, width, 1.0));
            let plain = distance(&left, &right);
            assert_close(distance(&right, &left), plain, 1e-10);
            assert_close(distance(&reversed(&left), &right), plain, 1e-10);
            let rotation = draws.rotation(width);
            let both = distance(&moved(&left, scale, &rotation, shift), &moved(&right, scale, &rotation, shift));
            assert_close(both / (scale * scale), plain, 1e-9);
            // A shift of one set alone costs its square.
            let one = distance(&moved(&left, 1.0, &rotation, shift), &moved(&left, 1.0, &rotation, 0.0));
            assert_close(one, shift * shift * width as f64, 1e-9);
        }
    }
}
