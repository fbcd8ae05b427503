//! Share of a target's variance that the label alone explains.
//!
//! A guided target of which the label explains nearly all is little more than a table of one row a class: what a
//! student learns from it is the label. The decomposition is that of the analysis of variance, with squared Euclidean
//! distances summed over columns: total = between classes + within classes. The plain share is biased upward, since K
//! means follow noise: on a target that is unrelated to the label it is (K - 1)/(N - 1) on average. The corrected one
//! is omega squared (Hays 1963; Olejnik and Algina 2003, equation 4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Features, MeasureError};

const NAME: &str = "the share that the label explains";

/// Shares of the variance, summed over columns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelShare {
    /// Eta squared: between over total, in [0, 1], biased upward.
    pub eta_squared: f64,
    /// Omega squared: corrected for the means' own noise, at most 1, below 0 by chance where there is nothing.
    pub omega_squared: f64,
    /// K.
    pub classes: usize,
}

/// The share of the variance of `target` `[N, D]` between the classes that `labels` `[N]` name.
///
/// Tokens of an image count as columns, since a label explains an image: flatten `[N, T, D]` to `[N, T * D]`. Needs
/// two classes and more rows than classes; not defined where the target is constant.
pub fn label_share(target: &Features, labels: &[i64]) -> Result<LabelShare, MeasureError> {
    target.labelled_by(labels)?;
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    labels
        .iter()
        .enumerate()
        .for_each(|(row, &label)| members.entry(label).or_default().push(row));
    let classes = members.len();
    if classes < 2 {
        return Err(MeasureError::OneClass {
            measure: NAME,
            label: labels[0],
        });
    }
    target.at_least(classes + 1, NAME, "target")?;
    let squares = |features: &Features| features.values().iter().map(|value| value * value).sum::<f64>();
    let centred = target.centred(&target.mean());
    let total = squares(&centred);
    let within: f64 = members
        .values()
        .map(|rows| {
            let class = centred.select(rows);
            squares(&class.centred(&class.mean()))
        })
        .sum();
    // What rounding leaves of a constant is about 1e-16 of it.
    if total <= 1e-28 * squares(target) {
        return Err(MeasureError::Degenerate {
            measure: NAME,
            reason: "the target has no variance, all its rows are equal",
        });
    }
    let between = (total - within).max(0.0);
    let noise = within / (target.len() - classes) as f64;
    Ok(LabelShare {
        eta_squared: between / total,
        omega_squared: (between - (classes - 1) as f64 * noise) / (total + noise),
        classes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    #[test]
    fn agrees_with_numpy() {
        // Classes by the signs of the fixture's y; the sums of squares by NumPy 2.4.
        let referee = Referee::read();
        let label = |row: &[f64]| i64::from(row[0] > 0.0) + 2 * i64::from(row[1] > 0.0);
        let labels: Vec<i64> = referee.y.rows().map(label).collect();
        let found = label_share(&referee.a, &labels).unwrap();
        assert_close(found.eta_squared, 0.08420469569901623, 1e-12);
        assert_close(found.omega_squared, 0.07852063372208805, 1e-12);
        assert_eq!(found.classes, 4);
    }

    #[test]
    fn a_table_of_classes_is_explained_whole() {
        let target = Features::new(vec![1.0, 2.0, 1.0, 2.0, 5.0, 0.0, 5.0, 0.0], 2).unwrap();
        let found = label_share(&target, &[3, 3, -1, -1]).unwrap();
        assert_close(found.eta_squared, 1.0, 1e-15);
        assert_close(found.omega_squared, 1.0, 1e-15);
    }

    #[test]
    fn of_noise_the_corrected_share_is_0_on_average_and_the_plain_one_is_not() {
        let mut draws = Draws::new(1);
        let labels: Vec<i64> = (0..60).map(|row| row % 10).collect();
        let found: Vec<_> = (0..400)
            .map(|_| label_share(&draws.gaussian(60, 4, 0.0), &labels).unwrap())
            .collect();
        let mean = |share: fn(&LabelShare) -> f64| found.iter().map(share).sum::<f64>() / 400.0;
        assert!(
            mean(|found| found.omega_squared).abs() < 0.005,
            "{}",
            mean(|found| found.omega_squared)
        );
        assert!((mean(|found| found.eta_squared) - 9.0 / 59.0).abs() < 0.005);
    }

    #[test]
    fn a_planted_share_is_found() {
        // Class means of variance 1 around a common one, noise of variance 3: the label explains a quarter.
        let mut draws = Draws::new(2);
        let (classes, each, width) = (200, 20, 8);
        let means = draws.gaussian(classes, width, 5.0);
        let labels: Vec<i64> = (0..classes * each).map(|row| (row % classes) as i64).collect();
        let values = labels
            .iter()
            .flat_map(|&label| means.row(label as usize))
            .map(|mean| mean + 3f64.sqrt() * draws.normal());
        let found = label_share(&Features::new(values.collect(), width).unwrap(), &labels).unwrap();
        assert!((found.omega_squared - 0.25).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let target = Draws::new(3).gaussian(4, 2, 0.0);
        assert!(matches!(
            label_share(&target, &[0, 1]),
            Err(MeasureError::Labels { rows: 4, labels: 2 })
        ));
        assert!(matches!(
            label_share(&target, &[7; 4]),
            Err(MeasureError::OneClass { label: 7, .. })
        ));
        assert!(matches!(
            label_share(&target, &[0, 1, 2, 3]),
            Err(MeasureError::TooFew { least: 5, .. })
        ));
        let constant = Features::new(vec![0.1; 8], 2).unwrap();
        assert!(matches!(
            label_share(&constant, &[0, 0, 1, 1]),
            Err(MeasureError::Degenerate { .. })
        ));
    }

    proptest! {
        #![proptest_config(repeatable(24))]

        #[test]
        fn is_blind_to_order_names_and_motion(
            seed in 0u64..1000, rows in 5usize..40, width in 1usize..6, scale in 0.1f64..10.0,
        ) {
            let mut draws = Draws::new(seed);
            let target = draws.gaussian(rows, width, 0.0);
            let labels: Vec<i64> = (0..rows).map(|row| (row % 3) as i64).collect();
            let plain = label_share(&target, &labels).unwrap();
            prop_assert!((0.0..=1.0).contains(&plain.eta_squared) && plain.omega_squared <= plain.eta_squared);
            let backward: Vec<i64> = labels.iter().rev().map(|label| 100 - 7 * label).collect();
            let motion = moved(&target, scale, &draws.rotation(width), 4.0);
            for same in [label_share(&reversed(&target), &backward), label_share(&motion, &labels)] {
                let same = same.unwrap();
                assert_close(same.eta_squared, plain.eta_squared, 1e-10);
                assert_close(same.omega_squared, plain.omega_squared, 1e-10);
            }
        }
    }
}
