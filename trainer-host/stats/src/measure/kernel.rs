//! The kernel distance (KID): the unbiased squared maximum mean discrepancy under a cubic kernel, with its error.
//!
//! Binkowski et al. 2018, "Demystifying MMD GANs", arXiv 1801.01401: k(x, y) = (x·y/D + 1)³, and the U-statistic of
//! Gretton et al. 2012, "A Kernel Two-Sample Test", equation 3. Being unbiased it may be negative, has no floor to
//! compare with but 0, and is the score of choice where samples are few.
//!
//! The publication averages over random subsets and prints their spread. That spread is the error of neither the
//! average nor anything else, since subsets share rows. Here all pairs of rows are taken, with an error that is one; and where both
//! sets have some thousand rows, which makes too many pairs, the mean over subsets that share no row.

use std::ops::Range;

use super::{Features, MeasureError, shuffled};

const NAME: &str = "the kernel distance";

/// Rows whose products with all others are held at once.
const TILE: usize = 256;

/// Rows of the smaller set below which all pairs are taken.
const FEW: usize = 4000;

/// Rows of the smaller set in a block, at least: as many as the publication's subsets have.
const BLOCK: usize = 1000;

/// Names the rows of the blocks.
const SEED: u64 = 0;

/// An estimate of the squared discrepancy, and one standard deviation of that estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelDistance {
    /// Unbiased; below 0 by chance where the sets are of one law.
    pub value: f64,
    /// Of `value`, over draws of both sets.
    pub standard_error: f64,
}

/// The kernel distance of two sets. Needs three rows of each set. Panics for sets of different widths.
///
/// Of sets below 4000 rows, or where one is, all pairs are taken. Of larger ones the mean over blocks: both sets are shuffled and cut
/// into as many parts as the smaller one has thousands of rows, and each part of the one is held against one of the other. No block
/// shares a row with another, so that the error of their mean is their standard deviation over the root of their number.
pub fn kernel_distance(left: &Features, right: &Features) -> Result<KernelDistance, MeasureError> {
    let smaller = left.len().min(right.len());
    match smaller < FEW {
        true => of_all_pairs(left, right),
        false => of_blocks(left, right, smaller / BLOCK),
    }
}

fn of_blocks(left: &Features, right: &Features, count: usize) -> Result<KernelDistance, MeasureError> {
    let orders = [left, right].map(|set| shuffled(set.len(), SEED));
    let part = |set: &Features, order: &[usize], block: usize| {
        let start = |block: usize| block * set.len() / count;
        set.select(&order[start(block)..start(block + 1)])
    };
    let blocks = (0..count).map(|block| {
        let (left, right) = (part(left, &orders[0], block), part(right, &orders[1], block));
        Ok(of_all_pairs(&left, &right)?.value)
    });
    let blocks: Vec<f64> = blocks.collect::<Result<_, MeasureError>>()?;
    let count = count as f64;
    let value = blocks.iter().sum::<f64>() / count;
    let variance = blocks.iter().map(|block| (block - value).powi(2)).sum::<f64>() / (count - 1.0);
    Ok(KernelDistance {
        value,
        standard_error: (variance / count).sqrt(),
    })
}

/// The kernel distance of all rows, with the error by the two-sample jackknife of the U-statistic.
///
/// The error leaves each row of each set out once (Efron and Stein 1981: on average not below the truth). An interval
/// of 1.96 errors covers as it says where the sets differ, and more than it says where they are of one law, where the
/// leading term of the variance vanishes and the jackknife doubles the next.
fn of_all_pairs(left: &Features, right: &Features) -> Result<KernelDistance, MeasureError> {
    left.at_least(3, NAME, "feature")?;
    right.at_least(3, NAME, "feature")?;
    let (m, n) = (left.len() as f64, right.len() as f64);
    let (in_left, in_right) = (sums_within(left), sums_within(right));
    let (left_to_right, right_to_left) = sums_across(left, right);
    let totals = Totals {
        left: in_left.iter().sum(),
        right: in_right.iter().sum(),
        across: left_to_right.iter().sum(),
    };
    let value = totals.statistic(m, n);
    let without_left = in_left.iter().zip(&left_to_right).map(|(within, across)| {
        let rest = Totals {
            left: totals.left - 2.0 * within,
            across: totals.across - across,
            ..totals
        };
        rest.statistic(m - 1.0, n)
    });
    let without_right = in_right.iter().zip(&right_to_left).map(|(within, across)| {
        let rest = Totals {
            right: totals.right - 2.0 * within,
            across: totals.across - across,
            ..totals
        };
        rest.statistic(m, n - 1.0)
    });
    let variance = jackknife(without_left.collect()) + jackknife(without_right.collect());
    Ok(KernelDistance {
        value,
        standard_error: variance.sqrt(),
    })
}

/// Sums of the kernel over ordered pairs of different rows of a set, and over pairs across the sets.
#[derive(Clone, Copy)]
struct Totals {
    left: f64,
    right: f64,
    across: f64,
}

impl Totals {
    fn statistic(&self, m: f64, n: f64) -> f64 {
        self.left / (m * (m - 1.0)) + self.right / (n * (n - 1.0)) - 2.0 * self.across / (m * n)
    }
}

/// The variance that one set's rows give a statistic, from its values without each of them.
fn jackknife(values: Vec<f64>) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (count - 1.0) / count * values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
}

/// For each row, the sum of the kernel over the other rows of its set.
fn sums_within(features: &Features) -> Vec<f64> {
    let mut sums = vec![0.0; features.len()];
    for_each_kernel(features, features, |i, j, kernel| {
        if i != j {
            sums[i] += kernel;
        }
    });
    sums
}

/// For each row of either set, the sum of the kernel over the rows of the other.
fn sums_across(left: &Features, right: &Features) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; left.len()], vec![0.0; right.len()]);
    for_each_kernel(left, right, |i, j, kernel| {
        sums.0[i] += kernel;
        sums.1[j] += kernel;
    });
    sums
}

fn for_each_kernel(left: &Features, right: &Features, mut visit: impl FnMut(usize, usize, f64)) {
    let width = left.width() as f64;
    let tile = |start: usize| -> Range<usize> { start..left.len().min(start + TILE) };
    for rows in (0..left.len()).step_by(TILE).map(tile) {
        let products = left.columns().columns_range(rows.clone()).transpose() * right.columns();
        for (j, column) in products.column_iter().enumerate() {
            for (i, product) in rows.clone().zip(column.iter()) {
                visit(i, j, (product / width + 1.0).powi(3));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_numpy() {
        // The fixture's sets; the jackknife by deleting each row in turn.
        let referee = Referee::read();
        let found = kernel_distance(&referee.a, &referee.b).unwrap();
        assert_close(found.value, 1.082336423117538, 1e-12);
        assert_close(found.standard_error, 0.08802476597625516, 1e-12);
    }

    /// E (u·v/8 + 1)³ for independent u ~ N(a, I), v ~ N(b, I) of width 8 and constant means.
    fn expected_kernel(a: f64, b: f64) -> f64 {
        let d = 8.0;
        // Moments of s = u·v: with p = a·b = d a b, A = |a|², B = |b|².
        let (p, squares) = (d * a * b, d * (a * a + b * b));
        let first = p;
        let second = p * p + squares + d;
        let third = p * p * p + 3.0 * p * (squares + d) + 6.0 * p;
        third / d.powi(3) + 3.0 * second / d.powi(2) + 3.0 * first / d + 1.0
    }

    #[test]
    fn is_unbiased_and_its_error_covers() {
        for (shift, least, most) in [(0.0, 0.95, 1.0), (0.5, 0.92, 0.975), (2.0, 0.92, 0.975)] {
            let truth = expected_kernel(0.0, 0.0) + expected_kernel(shift, shift) - 2.0 * expected_kernel(0.0, shift);
            let mut draws = Draws::new(11);
            let estimates: Vec<KernelDistance> = (0..1000)
                .map(|_| kernel_distance(&draws.gaussian(60, 8, 0.0), &draws.gaussian(90, 8, shift)).unwrap())
                .collect();
            let mean = estimates.iter().map(|of| of.value).sum::<f64>() / 1000.0;
            let variance = estimates.iter().map(|of| (of.value - mean).powi(2)).sum::<f64>() / 999.0;
            let z = (mean - truth) / (variance / 1000.0).sqrt();
            assert!(z.abs() < 3.0, "shift {shift}: {mean} and {truth}, z = {z}");
            let covers = |of: &&KernelDistance| (of.value - truth).abs() <= 1.96 * of.standard_error;
            let covered = estimates.iter().filter(covers).count() as f64 / 1000.0;
            assert!((least..=most).contains(&covered), "shift {shift}: {covered}");
        }
    }

    #[test]
    fn blocks_of_large_sets_estimate_what_all_pairs_do() {
        // Sorted, as folders of classes are: neighbours are alike, and blocks must not be.
        let mut draws = Draws::new(5);
        let mut sorted = |rows: usize, shift: f64| {
            let all = draws.gaussian(rows, 2, shift);
            let mut rows: Vec<&[f64]> = all.rows().collect();
            rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
            Features::new(rows.concat(), 2).unwrap()
        };
        let (left, right) = (sorted(4100, 0.0), sorted(FEW, 0.3));
        let (whole, blocks) = (
            of_all_pairs(&left, &right).unwrap(),
            kernel_distance(&left, &right).unwrap(),
        );
        assert_ne!(blocks, whole);
        let gap = (blocks.value - whole.value).abs();
        assert!(gap < 3.0 * blocks.standard_error, "{blocks:?} {whole:?}");
        assert!(
            blocks.standard_error < 3.0 * whole.standard_error,
            "{blocks:?} {whole:?}"
        );
        assert!(blocks.value > 3.0 * blocks.standard_error, "{blocks:?}");
        let few = left.select(&(0..FEW - 1).collect::<Vec<_>>());
        assert_eq!(
            kernel_distance(&few, &right).unwrap(),
            of_all_pairs(&few, &right).unwrap()
        );
    }

    #[test]
    fn two_rows_are_too_few() {
        let mut draws = Draws::new(3);
        let (few, many) = (draws.gaussian(2, 4, 0.0), draws.gaussian(9, 4, 0.0));
        for found in [kernel_distance(&few, &many), kernel_distance(&many, &few)] {
            assert!(matches!(found, Err(MeasureError::TooFew { least: 3, .. })));
        }
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn is_symmetric_and_blind_to_order_and_rotation(
            seed in 0u64..1000, rows in 3usize..30, others in 3usize..30, width in 1usize..10,
        ) {
            let mut draws = Draws::new(seed);
            let (left, right) = (draws.gaussian(rows, width, 0.0), draws.gaussian(others, width, 0.3));
            let plain = kernel_distance(&left, &right).unwrap();
            let rotation = draws.rotation(width);
            for same in [
                kernel_distance(&right, &left),
                kernel_distance(&reversed(&left), &right),
                kernel_distance(&moved(&left, 1.0, &rotation, 0.0), &moved(&right, 1.0, &rotation, 0.0)),
            ] {
                let same = same.unwrap();
                assert_close(same.value, plain.value, 1e-9);
                assert_close(same.standard_error, plain.standard_error, 1e-9);
            }
        }
    }
}
