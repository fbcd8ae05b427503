//! Multinomial logistic regression with a penalty on the weights: the classifier of a linear probe.
//!
//! The objective is `mean cross-entropy + l2/2 |W|²`; its curvature along a principal axis of the rows is about the
//! variance there over the number of classes, plus l2. Features of networks spread over many orders of magnitude, and
//! so would the curvature; so the weights are sought in coordinates in which it is about one everywhere (principal
//! axes, each scaled), which changes the path to the minimum, not the minimum.

use nalgebra::{DMatrix, DMatrixView, DVector, SymmetricEigen};

use super::lbfgs::minimise;

/// Penalty of a fit, and when its solver stops.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The penalty: above 0.
    pub l2: f64,
    /// No entry of the gradient, in the coordinates of about unit curvature, is larger.
    pub tolerance: f64,
    /// So many steps were taken.
    pub iterations: usize,
}

/// A fitted classifier.
pub struct Classifier {
    /// `[K, D]`
    weights: DMatrix<f64>,
    /// `[K]`
    biases: DVector<f64>,
    /// The objective at the end.
    pub objective: f64,
    /// Steps that were taken.
    pub iterations: usize,
    /// True if the gradient vanished.
    pub converged: bool,
}

impl Classifier {
    /// Fits `rows` `[D, N]`, a sample a column and centred, to `targets`, a class below `classes` for each of N.
    pub fn fit(rows: &DMatrix<f64>, targets: &[usize], classes: usize, settings: Settings) -> Self {
        let l2 = settings.l2;
        let coordinates = unit_curvature(rows, classes, l2);
        let turned = &coordinates * rows;
        let objective = Objective {
            transposed: &turned.transpose(),
            rows: &turned,
            // The rows of `coordinates` are orthogonal: the squared length of W is a weighted sum of squares there.
            penalties: &DVector::from_iterator(rows.nrows(), coordinates.row_iter().map(|row| l2 * row.norm_squared())),
            targets,
            classes,
        };
        let start = DVector::zeros(classes * (rows.nrows() + 1));
        let minimum = minimise(start, settings.tolerance, settings.iterations, |point| {
            objective.evaluate(point)
        });
        let (weights, biases) = objective.parts(&minimum.point);
        Self {
            weights: weights * coordinates,
            biases: DVector::from_column_slice(biases),
            objective: minimum.value,
            iterations: minimum.iterations,
            converged: minimum.converged,
        }
    }

    /// The class of the largest logit for every column of `rows` `[D, N]`, the first of equal ones.
    pub fn name(&self, rows: &DMatrix<f64>) -> Vec<usize> {
        let mut logits = &self.weights * rows;
        logits.column_iter_mut().for_each(|mut column| column += &self.biases);
        logits.column_iter().map(|column| column.argmax().0).collect()
    }
}

/// `[D, D]`: to coordinates in which the objective's curvature is about one. Rows are orthogonal, not of unit length.
fn unit_curvature(rows: &DMatrix<f64>, classes: usize, l2: f64) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(rows * rows.transpose() / rows.ncols() as f64);
    let mut coordinates = eigen.eigenvectors.transpose();
    for (mut row, &variance) in coordinates.row_iter_mut().zip(&eigen.eigenvalues) {
        row /= (variance.max(0.0) / classes as f64 + l2).sqrt();
    }
    coordinates
}

/// The function that is minimised, and what it is of.
struct Objective<'a> {
    /// `[D, N]`
    rows: &'a DMatrix<f64>,
    /// `[N, D]`
    transposed: &'a DMatrix<f64>,
    /// `[D]`: of the squared weights of each coordinate.
    penalties: &'a DVector<f64>,
    /// A class for each of N, counted from 0.
    targets: &'a [usize],
    classes: usize,
}

impl Objective<'_> {
    /// Weights `[K, D]` and then biases `[K]`, as one point holds them.
    fn parts<'p>(&self, point: &'p DVector<f64>) -> (DMatrixView<'p, f64>, &'p [f64]) {
        let (weights, biases) = point.as_slice().split_at(self.classes * self.rows.nrows());
        (
            DMatrixView::from_slice(weights, self.classes, self.rows.nrows()),
            biases,
        )
    }

    /// The objective and its gradient.
    fn evaluate(&self, point: &DVector<f64>) -> (f64, DVector<f64>) {
        let count = self.rows.ncols() as f64;
        let (weights, biases) = self.parts(point);
        let mut residual = weights * self.rows;
        let mut value = 0.0;
        for (column, &target) in residual.as_mut_slice().chunks_exact_mut(self.classes).zip(self.targets) {
            column.iter_mut().zip(biases).for_each(|(logit, bias)| *logit += bias);
            let most = column.iter().fold(f64::NEG_INFINITY, |most, &logit| most.max(logit));
            let chosen = column[target] - most;
            column.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
            let sum: f64 = column.iter().sum();
            value += (sum.ln() - chosen) / count;
            column.iter_mut().for_each(|share| *share /= sum * count);
            column[target] -= 1.0 / count;
        }
        let mut slope = &residual * self.transposed;
        for ((mut slope, weights), &penalty) in slope.column_iter_mut().zip(weights.column_iter()).zip(self.penalties) {
            slope.axpy(penalty, &weights, 1.0);
            value += 0.5 * penalty * weights.norm_squared();
        }
        let biases = residual.column_sum();
        let gradient = slope.iter().chain(&biases).copied();
        (value, DVector::from_iterator(point.len(), gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Draws;
    use super::*;

    const SETTINGS: Settings = Settings {
        l2: 1e-2,
        tolerance: 1e-9,
        iterations: 2000,
    };

    /// Centred rows whose columns' deviations span `decades`, mixed with each other, and classes that depend on them.
    fn spread(
        draws: &mut Draws,
        rows: usize,
        width: usize,
        classes: usize,
        decades: f64,
    ) -> (DMatrix<f64>, Vec<usize>) {
        let rotation = DMatrix::from_row_slice(width, width, &draws.rotation(width));
        let mut values = DMatrix::from_fn(width, rows, |column, _| {
            10f64.powf(-decades * column as f64 / width as f64) * draws.normal()
        });
        let targets = values
            .column_iter()
            .map(|column| ((column[0] + 0.3 * draws.normal() + 3.0).max(0.0) * classes as f64 / 6.0) as usize)
            .map(|class| class.min(classes - 1))
            .collect();
        let mean = values.column_mean();
        values.column_iter_mut().for_each(|mut column| column -= &mean);
        (rotation * values, targets)
    }

    #[test]
    fn a_wide_spread_of_variances_does_not_stall_it() {
        let mut draws = Draws::new(2);
        // In plain coordinates the last of these takes some ten times as many steps.
        for decades in [0.0, 3.0, 6.0] {
            let (rows, targets) = spread(&mut draws, 300, 40, 5, decades);
            let found = Classifier::fit(&rows, &targets, 5, Settings { l2: 1e-3, ..SETTINGS });
            assert!(
                found.converged && found.iterations < 500,
                "{decades} decades: {} steps",
                found.iterations
            );
        }
    }
}
