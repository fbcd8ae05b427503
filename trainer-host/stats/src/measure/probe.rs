//! Linear probing: can classes be read off features by a linear map?
//!
//! Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes", arXiv 1610.01644:
//! multinomial logistic regression on frozen features, judged on held-out images. Features are standardised by the
//! training rows' statistics, so that no depth is favoured by its scale; the objective
//! `mean cross-entropy + l2/2 |W|²` (no penalty on the biases) is strictly convex, and L-BFGS goes to its minimum, so
//! that nothing is drawn, nothing is stopped early, and the order of the rows does not matter. scikit-learn's C is
//! 1/(N l2).
//!
//! For probes of a diffusion transformer: mean-pooled tokens, and the null class fed to the network, or the label
//! leaks through the modulation.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::regression::{Classifier, Stop};
use super::{Features, MeasureError};

const NAME: &str = "a linear probe";

/// Features with a class each.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// `[N, D]`
    pub features: &'a Features,
    /// `[N]`, any numbers.
    pub labels: &'a [i64],
}

/// Settings of a probe's fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// The penalty: above 0.
    pub l2: f64,
    /// No entry of the gradient is larger at the end, in coordinates in which the curvature is about one.
    pub tolerance: f64,
    /// Steps after which the solver gives up.
    pub iterations: usize,
}

impl Default for ProbeSettings {
    /// A penalty of 1e-2, for some hundred standardised columns and some hundred to thousand rows; a gradient of 1e-5,
    /// from where no accuracy moved by more than one row in two thousand; 2000 steps, of which some hundreds are used.
    fn default() -> Self {
        Self {
            l2: 1e-2,
            tolerance: 1e-5,
            iterations: 2000,
        }
    }
}

/// Findings of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The share of held-out rows whose class it names, in [0, 1]. A class without a training row is never named.
    pub accuracy: f64,
    /// The same of the training rows: far above `accuracy`, the penalty is too small for so few rows.
    pub training_accuracy: f64,
    /// The share of held-out rows in the training rows' most frequent class: what no features at all would reach.
    pub chance: f64,
    /// The class named for every held-out row.
    pub predictions: Vec<i64>,
    /// The objective at the end.
    pub objective: f64,
    /// Steps of the solver.
    pub iterations: usize,
    /// True if it reached the minimum; if not, the accuracy is that of an unfinished fit.
    pub converged: bool,
}

/// Fits a linear classifier to `training` and judges it on `held_out`. Needs two classes among the training rows.
pub fn linear_probe(training: Labelled, held_out: Labelled, settings: &ProbeSettings) -> Result<Probe, MeasureError> {
    training.features.as_wide_as(held_out.features)?;
    training.features.labelled_by(training.labels)?;
    held_out.features.labelled_by(held_out.labels)?;
    check(settings)?;
    let mut classes = training.labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return Err(MeasureError::OneClass {
            measure: NAME,
            label: classes[0],
        });
    }
    let targets: Vec<usize> = training
        .labels
        .iter()
        .map(|label| classes.partition_point(|class| class < label))
        .collect();
    let scale = Standard::of(training.features);
    let (rows, judged) = (scale.apply(training.features), scale.apply(held_out.features));
    let stop = Stop {
        tolerance: settings.tolerance,
        iterations: settings.iterations,
    };
    let classifier = Classifier::fit(&rows, &targets, classes.len(), settings.l2, stop);
    let named = |rows| classifier.name(rows).into_iter().map(|class| classes[class]);
    let predictions: Vec<i64> = named(&judged).collect();
    let right = |predicted: &[i64], labels: &[i64]| {
        predicted.iter().zip(labels).filter(|(a, b)| a == b).count() as f64 / labels.len() as f64
    };
    let frequent = classes[most_frequent(&targets, classes.len())];
    Ok(Probe {
        accuracy: right(&predictions, held_out.labels),
        training_accuracy: right(&named(&rows).collect::<Vec<_>>(), training.labels),
        chance: right(&vec![frequent; held_out.labels.len()], held_out.labels),
        predictions,
        objective: classifier.objective,
        iterations: classifier.iterations,
        converged: classifier.converged,
    })
}

fn check(settings: &ProbeSettings) -> Result<(), MeasureError> {
    for (setting, value) in [
        ("the probe's l2", settings.l2),
        ("the probe's tolerance", settings.tolerance),
    ] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(MeasureError::Setting {
                setting,
                value,
                range: "above 0 and finite",
            });
        }
    }
    Ok(())
}

/// The class with most rows, the first of several.
fn most_frequent(targets: &[usize], classes: usize) -> usize {
    let count = |class: &usize| targets.iter().filter(|&target| target == class).count();
    (0..classes).rev().max_by_key(count).expect("at least two classes")
}

/// The mean and the inverse deviation of every column.
struct Standard {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl Standard {
    fn of(features: &Features) -> Self {
        let mean = features.mean();
        let centred = features.centred(&mean);
        let mut squares = vec![0.0; features.width()];
        for row in centred.rows() {
            squares
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += value * value);
        }
        let deviation = |column: usize| (squares[column] / features.len() as f64).sqrt();
        // A column that is constant but for rounding tells nothing, whatever it does on held-out rows.
        let inverse = |(column, mean): (usize, &f64)| match deviation(column) {
            deviation if deviation > 1e-12 * mean.abs() => 1.0 / deviation,
            _ => 0.0,
        };
        let inverse = mean.iter().enumerate().map(inverse).collect();
        Self { mean, inverse }
    }

    /// `[D, N]`: a column is a sample.
    fn apply(&self, features: &Features) -> DMatrix<f64> {
        DMatrix::from_fn(features.width(), features.len(), |column, row| {
            (features.row(row)[column] - self.mean[column]) * self.inverse[column]
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{Draws, Referee, assert_close, moved, repeatable, reversed};
    use super::*;

    /// A minimum that can be compared to many places.
    const EXACT: ProbeSettings = ProbeSettings {
        l2: 1e-3,
        tolerance: 1e-8,
        iterations: 5000,
    };

    fn probe(training: (&Features, &[i64]), held_out: (&Features, &[i64])) -> Probe {
        let labelled = |(features, labels)| Labelled { features, labels };
        linear_probe(labelled(training), labelled(held_out), &EXACT).unwrap()
    }

    #[test]
    fn agrees_with_scikit_learn() {
        // Classes by the signs of the fixture's y, 350 rows to fit, 150 held out; LogisticRegression of scikit-learn
        // 1.9 with C = 1/(350 * 1e-3) and StandardScaler.
        let referee = Referee::read();
        let label = |row: &[f64]| i64::from(row[0] > 0.0) + 2 * i64::from(row[1] > 0.0);
        let labels: Vec<i64> = referee.y.rows().map(label).collect();
        let part = |rows: std::ops::Range<usize>| referee.a.select(&rows.collect::<Vec<_>>());
        let found = probe((&part(0..350), &labels[..350]), (&part(350..500), &labels[350..]));
        assert!(found.converged);
        assert_close(found.objective, 0.2257592404450977, 1e-8);
        assert_eq!(found.accuracy, 0.9);
        assert_close(found.training_accuracy, 0.9542857142857143, 1e-15);
    }

    /// Rows of `classes` classes whose means lie `apart` deviations from each other along columns of their own.
    fn planted(draws: &mut Draws, rows: usize, classes: usize, apart: f64) -> (Features, Vec<i64>) {
        let labels: Vec<i64> = (0..rows).map(|row| (row % classes) as i64 * 10 - 5).collect();
        let noise = draws.gaussian(rows, classes + 3, 0.0);
        let values = noise.rows().enumerate().flat_map(|(row, noise)| {
            let class = row % classes;
            noise
                .iter()
                .enumerate()
                .map(move |(column, noise)| noise + if column == class { apart } else { 0.0 })
        });
        (Features::new(values.collect(), classes + 3).unwrap(), labels)
    }

    #[test]
    fn planted_classes_are_read_off() {
        let mut draws = Draws::new(1);
        let (training, held_out) = (planted(&mut draws, 400, 5, 8.0), planted(&mut draws, 200, 5, 8.0));
        let found = probe((&training.0, &training.1), (&held_out.0, &held_out.1));
        assert!(found.converged && found.accuracy > 0.995, "{found:?}");
        assert_eq!(found.predictions[..5], held_out.1[..5]);
    }

    #[test]
    fn the_best_accuracy_that_noise_allows_is_reached() {
        // Two classes 2 apart in one column: the Bayes accuracy is that of a normal below 1, 0.8413.
        let mut draws = Draws::new(2);
        let mut set = |rows: usize| {
            let labels: Vec<i64> = (0..rows).map(|row| (row % 2) as i64).collect();
            let values = labels
                .iter()
                .flat_map(|&label| [2.0 * label as f64 + draws.normal(), draws.normal()]);
            (Features::new(values.collect(), 2).unwrap(), labels)
        };
        let (training, held_out) = (set(4000), set(4000));
        let found = probe((&training.0, &training.1), (&held_out.0, &held_out.1));
        assert!((found.accuracy - 0.8413).abs() < 0.02, "{}", found.accuracy);
        assert_eq!(found.chance, 0.5);
    }

    #[test]
    fn noise_is_at_chance() {
        let mut draws = Draws::new(3);
        let mean = (0..20)
            .map(|_| {
                let (training, held_out) = (planted(&mut draws, 300, 4, 0.0), planted(&mut draws, 300, 4, 0.0));
                probe((&training.0, &training.1), (&held_out.0, &held_out.1)).accuracy
            })
            .sum::<f64>()
            / 20.0;
        // 6000 rows, a standard error of 0.0056.
        assert!((mean - 0.25).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_class_without_training_rows_is_wrong_and_no_error() {
        let mut draws = Draws::new(4);
        let (features, labels) = planted(&mut draws, 90, 3, 9.0);
        let held_out: Vec<i64> = labels
            .iter()
            .map(|&label| if label == 5 { 77 } else { label })
            .collect();
        let found = probe((&features, &labels), (&features, &held_out));
        assert_close(found.accuracy, 2.0 / 3.0, 1e-15);
        assert_eq!(found.training_accuracy, 1.0);
    }

    #[test]
    fn more_columns_than_rows_and_constant_columns_are_fine() {
        let mut draws = Draws::new(5);
        let features = draws.gaussian(30, 50, 0.0);
        let with_constant = |features: &Features, constant: f64| {
            let rows = features.rows().flat_map(|row| row.iter().copied().chain([constant]));
            Features::new(rows.collect(), 51).unwrap()
        };
        let labels: Vec<i64> = (0..30).map(|row| row % 3).collect();
        // The column changes only where it was not fitted.
        let found = probe(
            (&with_constant(&features, 0.1), &labels),
            (&with_constant(&features, 1e6), &labels),
        );
        assert!(found.converged);
        assert_eq!(found.accuracy, 1.0);
    }

    #[test]
    fn an_unfinished_fit_says_so() {
        let mut draws = Draws::new(6);
        let (features, labels) = planted(&mut draws, 90, 3, 1.0);
        let labelled = Labelled {
            features: &features,
            labels: &labels,
        };
        let settings = ProbeSettings {
            iterations: 2,
            ..Default::default()
        };
        let found = linear_probe(labelled, labelled, &settings).unwrap();
        assert!(!found.converged && found.iterations == 2);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let mut draws = Draws::new(7);
        let (features, labels) = planted(&mut draws, 9, 3, 1.0);
        let fit = |training: (&Features, &[i64]), settings: &ProbeSettings| {
            let labelled = |(features, labels)| Labelled { features, labels };
            linear_probe(labelled(training), labelled((&features, &labels)), settings).unwrap_err()
        };
        let usual = ProbeSettings::default();
        assert!(matches!(
            fit((&features, &labels[1..]), &usual),
            MeasureError::Labels { rows: 9, labels: 8 }
        ));
        assert!(matches!(
            fit((&features, &[4; 9]), &usual),
            MeasureError::OneClass { label: 4, .. }
        ));
        assert!(matches!(
            fit((&draws.gaussian(9, 2, 0.0), &labels), &usual),
            MeasureError::Widths { .. }
        ));
        for l2 in [0.0, -1.0, f64::NAN] {
            assert!(matches!(
                fit((&features, &labels), &ProbeSettings { l2, ..usual }),
                MeasureError::Setting { .. }
            ));
        }
    }

    proptest! {
        #![proptest_config(repeatable(12))]

        #[test]
        fn is_blind_to_order_and_to_each_columns_scale(seed in 0u64..1000) {
            let mut draws = Draws::new(seed);
            let (training, held_out) = (planted(&mut draws, 60, 3, 2.0), planted(&mut draws, 60, 3, 2.0));
            let plain = probe((&training.0, &training.1), (&held_out.0, &held_out.1));
            let backward: Vec<i64> = training.1.iter().rev().copied().collect();
            let same = probe((&reversed(&training.0), &backward), (&held_out.0, &held_out.1));
            prop_assert_eq!(&same.predictions, &plain.predictions);
            assert_close(same.objective, plain.objective, 1e-9);
            let scales: Vec<f64> = (0..36).map(|at| if at % 7 == 0 { 10f64.powi(at / 7 - 3) } else { 0.0 }).collect();
            let stretched = [&training.0, &held_out.0].map(|set| moved(set, 1.0, &scales, 2.0));
            let same = probe((&stretched[0], &training.1), (&stretched[1], &held_out.1));
            prop_assert_eq!(&same.predictions, &plain.predictions);
        }
    }
}
