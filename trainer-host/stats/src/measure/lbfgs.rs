//! Minimising a smooth function: L-BFGS with a line search that meets the Wolfe conditions.
//!
//! Nocedal and Wright 2006, "Numerical Optimization", algorithms 7.4 and 7.5; the step by bisection and doubling
//! (Lewis and Overton 2013, "Nonsmooth optimization via quasi-Newton methods", algorithm 2.6), which finds a point of
//! sufficient decrease and sufficient flattening on every smooth function that is bounded below.

use std::collections::VecDeque;

use nalgebra::DVector;

/// Pairs of steps and changes of gradient that stand for the curvature.
const MEMORY: usize = 20;

/// Of the decrease that the slope promises, what a step must bring.
const DECREASE: f64 = 1e-4;

/// Of the slope at the start, what may remain after a step.
const FLATTENING: f64 = 0.9;

/// Trials of one line search: bisections beyond these change nothing in f64.
const TRIALS: usize = 60;

/// The end of a minimisation.
pub struct Minimum {
    /// The point.
    pub point: DVector<f64>,
    /// The function there.
    pub value: f64,
    /// Steps that were taken.
    pub iterations: usize,
    /// True if no entry of the gradient is larger than was asked.
    pub converged: bool,
}

/// The function and its gradient at a point.
type Evaluated = (f64, DVector<f64>);

/// Goes down from `start` until no entry of the gradient exceeds `tolerance`, or for `most` steps, or until rounding
/// leaves no lower point; the first alone is convergence.
pub fn minimise(
    start: DVector<f64>,
    tolerance: f64,
    most: usize,
    mut function: impl FnMut(&DVector<f64>) -> Evaluated,
) -> Minimum {
    let mut point = start;
    let (mut value, mut gradient) = function(&point);
    let mut memory = Memory::default();
    let mut iterations = 0;
    while gradient.amax() > tolerance && iterations < most {
        let direction = -memory.solve(&gradient);
        // Without curvature a step has no scale of its own: the first trial moves by 1 at most.
        let first = if memory.pairs.is_empty() {
            (1.0 / gradient.norm()).min(1.0)
        } else {
            1.0
        };
        let slope = gradient.dot(&direction);
        let Some((step, next_value, next_gradient)) = search(first, value, slope, |step| {
            let (value, gradient) = function(&(&point + &direction * step));
            let slope = gradient.dot(&direction);
            (value, slope, gradient)
        }) else {
            // A stale memory may point nowhere; the gradient itself is tried before giving up.
            if memory.pairs.is_empty() {
                break;
            }
            memory = Memory::default();
            continue;
        };
        let moved = direction * step;
        memory.keep(moved.clone(), &next_gradient - &gradient);
        point += moved;
        (value, gradient) = (next_value, next_gradient);
        iterations += 1;
    }
    Minimum {
        converged: gradient.amax() <= tolerance,
        point,
        value,
        iterations,
    }
}

/// A step that meets the weak Wolfe conditions, with the value and the gradient there.
fn search(
    first: f64,
    start: f64,
    slope: f64,
    mut trial: impl FnMut(f64) -> (f64, f64, DVector<f64>),
) -> Option<(f64, f64, DVector<f64>)> {
    // Near the minimum the decrease is below the rounding of the value itself.
    let rounding = 4.0 * f64::EPSILON * start.abs();
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, first);
    for _ in 0..TRIALS {
        let (value, new_slope, gradient) = trial(step);
        // A value that is not a number is too far out as well.
        if value.is_nan() || value > start + DECREASE * step * slope + rounding {
            high = step;
        } else if new_slope < FLATTENING * slope {
            low = step;
        } else {
            return Some((step, value, gradient));
        }
        step = if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * low
        };
    }
    None
}

/// The curvature that recent steps saw.
#[derive(Default)]
struct Memory {
    /// Step, change of gradient, one over their product.
    pairs: VecDeque<(DVector<f64>, DVector<f64>, f64)>,
}

impl Memory {
    fn keep(&mut self, step: DVector<f64>, change: DVector<f64>) {
        let product = step.dot(&change);
        // Wolfe makes it positive; rounding may not.
        if product > 0.0 {
            self.pairs.push_back((step, change, 1.0 / product));
        }
        if self.pairs.len() > MEMORY {
            self.pairs.pop_front();
        }
    }

    /// The inverse of the curvature times a gradient, by the two loops.
    fn solve(&self, gradient: &DVector<f64>) -> DVector<f64> {
        let mut result = gradient.clone();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for (step, change, inverse) in self.pairs.iter().rev() {
            let share = inverse * step.dot(&result);
            result.axpy(-share, change, 1.0);
            shares.push(share);
        }
        if let Some((_, change, inverse)) = self.pairs.back() {
            result /= inverse * change.norm_squared();
        }
        for ((step, change, inverse), share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let correction = share - inverse * change.dot(&result);
            result.axpy(correction, step, 1.0);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_of_rosenbrock_is_followed_to_its_end() {
        let found = minimise(DVector::from_vec(vec![-1.2, 1.0]), 1e-10, 200, |p| {
            let (a, b) = (1.0 - p[0], p[1] - p[0] * p[0]);
            let gradient = DVector::from_vec(vec![-2.0 * a - 400.0 * p[0] * b, 200.0 * b]);
            (a * a + 100.0 * b * b, gradient)
        });
        assert!(found.converged && found.iterations < 60, "{} steps", found.iterations);
        assert!((found.point - DVector::from_element(2, 1.0)).amax() < 1e-9);
    }

    #[test]
    fn a_step_meets_the_wolfe_conditions_from_too_short_and_too_long_a_trial() {
        // 0.5 (x - 100)² from 0 along 1.
        let (value, slope) = (|x: f64| 0.5 * (x - 100.0).powi(2), |x: f64| x - 100.0);
        for first in [1e-6, 1.0, 100.0, 199.999, 1e9] {
            let trial = |step: f64| (value(step), slope(step), DVector::from_element(1, slope(step)));
            let (step, found, _) = search(first, value(0.0), slope(0.0), trial).unwrap();
            assert!(
                found <= value(0.0) + DECREASE * step * slope(0.0),
                "{first} led to {step}"
            );
            assert!(slope(step) >= FLATTENING * slope(0.0), "{first} led to {step}");
        }
    }

    #[test]
    fn too_few_steps_are_not_called_convergence() {
        let bowl = |p: &DVector<f64>| (0.5 * p.norm_squared(), p.clone());
        let found = minimise(DVector::from_element(3, 100.0), 1e-12, 1, bowl);
        assert!(!found.converged && found.iterations == 1);
        let found = minimise(DVector::zeros(3), 1e-12, 0, bowl);
        assert!(found.converged && found.iterations == 0);
    }

    #[test]
    fn a_function_without_a_floor_ends_without_convergence() {
        let found = minimise(DVector::zeros(1), 1e-9, 50, |p| (-p[0], DVector::from_element(1, -1.0)));
        assert!(!found.converged);
    }
}
