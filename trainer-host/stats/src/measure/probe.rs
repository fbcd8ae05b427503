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

use super::regression::{Classifier, Settings};
use super::{Features, MeasureError};

/// A penalty for some hundred standardised columns and some hundred to thousand rows; a gradient from where no accuracy
/// moved by more than one row in two thousand; of these steps some hundreds are used.
const SETTINGS: Settings = Settings {
    l2: 1e-2,
    tolerance: 1e-5,
    iterations: 2000,
};

/// Features with a class each.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// `[N, D]`
    pub features: &'a Features,
    /// `[N]`, any numbers.
    pub labels: &'a [i64],
}

/// Findings of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The share of held-out rows whose class it names, in [0, 1]. A class without a training row is never named.
    pub accuracy: f64,
    /// The share of held-out rows in the training rows' most frequent class: what no features at all would reach.
    pub chance: f64,
    /// The objective at the end.
    pub objective: f64,
    /// Steps of the solver.
    pub iterations: usize,
    /// True if it reached the minimum; if not, the accuracy is that of an unfinished fit.
    pub converged: bool,
}

/// Fits a linear classifier to `training` and judges it on `held_out`. Needs two classes among the training rows. Panics for
/// sets of different widths, or a row without a label.
pub fn linear_probe(training: Labelled, held_out: Labelled) -> Result<Probe, MeasureError> {
    probe(training, held_out, SETTINGS)
}

fn probe(training: Labelled, held_out: Labelled, settings: Settings) -> Result<Probe, MeasureError> {
    for Labelled { features, labels } in [training, held_out] {
        assert_eq!(features.len(), labels.len(), "a label for each row");
    }
    let mut classes = training.labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return Err(MeasureError::OneClass {
            measure: "a linear probe",
            label: classes[0],
        });
    }
    let place = |label: &i64| classes.partition_point(|class| class < label);
    let targets: Vec<usize> = training.labels.iter().map(place).collect();
    let scale = Standard::of(training.features);
    let classifier = Classifier::fit(&scale.apply(training.features), &targets, classes.len(), settings);
    let named = classifier.name(&scale.apply(held_out.features));
    let share = |right: &dyn Fn(usize, i64) -> bool| {
        let rows = held_out.labels.iter().enumerate();
        rows.filter(|(row, label)| right(*row, **label)).count() as f64 / held_out.labels.len() as f64
    };
    let frequent = classes[most_frequent(&targets, classes.len())];
    Ok(Probe {
        accuracy: share(&|row, label| classes[named[row]] == label),
        chance: share(&|_, label| label == frequent),
        objective: classifier.objective,
        iterations: classifier.iterations,
        converged: classifier.converged,
    })
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
            let columns = squares.iter_mut().zip(row);
            columns.for_each(|(sum, value)| *sum += value * value);
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
    const EXACT: Settings = Settings {
        l2: 1e-3,
        tolerance: 1e-8,
        iterations: 5000,
    };

    type Set = (Features, Vec<i64>);

    fn labelled((features, labels): &Set) -> Labelled<'_> {
        Labelled { features, labels }
    }

    fn exact(training: &Set, held_out: &Set) -> Probe {
        probe(labelled(training), labelled(held_out), EXACT).unwrap()
    }

    #[test]
    fn agrees_with_scikit_learn() {
        // Classes by the signs of the fixture's y, 350 rows to fit, 150 held out; LogisticRegression of scikit-learn
        // 1.9 with C = 1/(350 * 1e-3) and StandardScaler.
        let referee = Referee::read();
        let label = |row: &[f64]| i64::from(row[0] > 0.0) + 2 * i64::from(row[1] > 0.0);
        let labels: Vec<i64> = referee.y.rows().map(label).collect();
        let part = |rows: std::ops::Range<usize>| {
            let ids: Vec<usize> = rows.clone().collect();
            (referee.a.select(&ids), labels[rows].to_vec())
        };
        let found = exact(&part(0..350), &part(350..500));
        assert!(found.converged);
        assert_close(found.objective, 0.2257592404450977, 1e-8);
        assert_eq!(found.accuracy, 0.9);
        assert_close(exact(&part(0..350), &part(0..350)).accuracy, 0.9542857142857143, 1e-15);
    }

    /// Rows of `classes` classes whose means lie `apart` deviations from each other along columns of their own.
    fn planted(draws: &mut Draws, rows: usize, classes: usize, apart: f64) -> Set {
        let labels: Vec<i64> = (0..rows).map(|row| (row % classes) as i64 * 10 - 5).collect();
        let noise = draws.gaussian(rows, classes + 3, 0.0);
        let values = noise.rows().enumerate().flat_map(|(row, noise)| {
            let shift = move |column| if column == row % classes { apart } else { 0.0 };
            noise
                .iter()
                .enumerate()
                .map(move |(column, noise)| noise + shift(column))
        });
        (Features::new(values.collect(), classes + 3).unwrap(), labels)
    }

    #[test]
    fn the_best_accuracy_that_noise_allows_is_reached() {
        // Two classes 2 apart in one column: the Bayes accuracy is that of a normal below 1, 0.8413.
        let mut draws = Draws::new(2);
        let mut set = || {
            let labels: Vec<i64> = (0..4000).map(|row| row % 2).collect();
            let row = |label: &i64| [2.0 * *label as f64 + draws.normal(), draws.normal()];
            (Features::new(labels.iter().flat_map(row).collect(), 2).unwrap(), labels)
        };
        let found = exact(&set(), &set());
        assert!((found.accuracy - 0.8413).abs() < 0.02, "{}", found.accuracy);
        assert_eq!(found.chance, 0.5);
    }

    #[test]
    fn noise_is_at_chance() {
        let mut draws = Draws::new(3);
        let mut accuracy = || exact(&planted(&mut draws, 300, 4, 0.0), &planted(&mut draws, 300, 4, 0.0)).accuracy;
        let mean = (0..20).map(|_| accuracy()).sum::<f64>() / 20.0;
        // 6000 rows, a standard error of 0.0056.
        assert!((mean - 0.25).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_class_without_training_rows_is_wrong_and_no_error() {
        let training = planted(&mut Draws::new(4), 90, 3, 9.0);
        let renamed = |label: &i64| if *label == 5 { 77 } else { *label };
        let held_out = (training.0.clone(), training.1.iter().map(renamed).collect());
        assert_close(exact(&training, &held_out).accuracy, 2.0 / 3.0, 1e-15);
    }

    #[test]
    fn more_columns_than_rows_and_constant_columns_are_fine() {
        let features = Draws::new(5).gaussian(30, 50, 0.0);
        let with_constant = |constant: f64| {
            let rows = features.rows().flat_map(|row| row.iter().copied().chain([constant]));
            (
                Features::new(rows.collect(), 51).unwrap(),
                (0..30).map(|row| row % 3).collect(),
            )
        };
        // The column changes only where it was not fitted.
        let found = exact(&with_constant(0.1), &with_constant(1e6));
        assert!(found.converged);
        assert_eq!(found.accuracy, 1.0);
    }

    #[test]
    fn an_unfinished_fit_says_so() {
        let set = planted(&mut Draws::new(6), 90, 3, 1.0);
        let few = Settings {
            iterations: 2,
            ..SETTINGS
        };
        let found = probe(labelled(&set), labelled(&set), few).unwrap();
        assert!(!found.converged && found.iterations == 2);
    }

    #[test]
    fn one_class_cannot_be_told_apart() {
        let (features, labels) = (Draws::new(7).gaussian(9, 3, 0.0), vec![4; 9]);
        let set = (features, labels);
        let refused = linear_probe(labelled(&set), labelled(&set)).unwrap_err();
        assert!(matches!(refused, MeasureError::OneClass { label: 4, .. }));
    }

    proptest! {
        #![proptest_config(repeatable(12))]

        #[test]
        fn is_blind_to_order_and_to_each_columns_scale(seed in 0u64..1000) {
            let mut draws = Draws::new(seed);
            let (training, held_out) = (planted(&mut draws, 60, 3, 2.0), planted(&mut draws, 60, 3, 2.0));
            let plain = exact(&training, &held_out);
            let backward = (reversed(&training.0), training.1.iter().rev().copied().collect());
            let scales: Vec<f64> = (0..36).map(|at| if at % 7 == 0 { 10f64.powi(at / 7 - 3) } else { 0.0 }).collect();
            let stretched = |set: &Set| (moved(&set.0, 1.0, &scales, 2.0), set.1.clone());
            for same in [exact(&backward, &held_out), exact(&stretched(&training), &stretched(&held_out))] {
                prop_assert_eq!(same.accuracy, plain.accuracy);
                assert_close(same.objective, plain.objective, 1e-9);
            }
        }
    }
}
