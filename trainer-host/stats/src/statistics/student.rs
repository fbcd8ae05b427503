//! Student's t: how far the mean of a few numbers may be from what they were drawn around.
//!
//! Student (1908), The probable error of a mean, Biometrika 6; the tail as an incomplete beta function: Abramowitz and
//! Stegun, 26.7.1.

use statrs::function::beta::{beta_reg, inv_beta_reg};

use super::interval::{Interval, MIN_SEEDS, NoInterval};

/// A spread below this part of the numbers it comes from is their rounding.
const ROUNDING: f64 = 1e-12;

/// The mean of n independent, near-normal numbers, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanEstimate {
    /// Count of the numbers, at least [`MIN_SEEDS`].
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation over √n; above 0.
    pub standard_error: f64,
}

impl MeanEstimate {
    /// The estimate from `values`, which are finite. `scale` is the magnitude of the numbers that they were computed
    /// from: a spread that is rounding on that scale is none.
    ///
    /// # Errors
    /// Too few values, or all of them the same.
    pub fn new(values: &[f64], scale: f64) -> Result<Self, NoInterval> {
        let n = values.len();
        if n < MIN_SEEDS {
            return Err(NoInterval::TooFewSeeds { seeds: n });
        }
        let deviation = deviation(values);
        if deviation <= ROUNDING * scale {
            return Err(NoInterval::NoSpread { seeds: n });
        }
        Ok(Self {
            n,
            mean: mean(values),
            standard_error: deviation / (n as f64).sqrt(),
        })
    }

    /// The t statistic against a mean of zero.
    pub fn t(&self) -> f64 {
        self.mean / self.standard_error
    }

    /// The two-sided p value against a mean of zero.
    pub fn p(&self) -> f64 {
        two_sided_p(self.t(), self.n - 1)
    }

    /// The t interval of the mean, which misses at `error_rate`.
    pub fn interval(&self, error_rate: f64) -> Interval {
        let half = critical_value(error_rate, self.n - 1) * self.standard_error;
        Interval {
            low: self.mean - half,
            high: self.mean + half,
            level: 1.0 - error_rate,
        }
    }
}

/// The mean of at least one value.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of at least two values, with n - 1.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The chance of a |T| of `t` or more with `freedom` ≥ 1 degrees of freedom: I(ν / (ν + t²); ν/2, 1/2).
pub fn two_sided_p(t: f64, freedom: usize) -> f64 {
    let (freedom, square) = (freedom as f64, t * t);
    if square > freedom {
        beta_reg(freedom / 2.0, 0.5, freedom / (freedom + square))
    } else {
        // The same, from the side on which a small t is not rounded away.
        1.0 - beta_reg(0.5, freedom / 2.0, square / (freedom + square))
    }
}

/// The t that |T| passes with chance `p`, 0 < p < 1: the inverse of [`two_sided_p`].
pub fn critical_value(p: f64, freedom: usize) -> f64 {
    let degrees = freedom as f64;
    let y = inv_beta_reg(degrees / 2.0, 0.5, p);
    (degrees * (1.0 - y) / y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles at 97.5 % from scipy.stats.t.ppf; 1 and 2 degrees of freedom have closed forms.
    #[test]
    fn critical_values_are_the_tables() {
        let known = [
            (1, (0.475 * std::f64::consts::PI).tan()),
            (2, 0.95 * (2.0_f64 / 0.0975).sqrt()),
            (4, 2.7764451051977987),
            (9, 2.2621571627409915),
            (29, 2.045229642132703),
        ];
        for (freedom, t) in known {
            let ours = critical_value(0.05, freedom);
            assert!((ours / t - 1.0).abs() < 1e-9, "{freedom}: {ours} is not {t}");
        }
    }

    #[test]
    fn critical_values_invert_p_values() {
        for freedom in [1, 2, 3, 4, 7, 19, 100, 1000] {
            for p in [0.5, 0.1, 0.05, 0.05 / 7.0, 1e-4, 1e-6] {
                let back = two_sided_p(critical_value(p, freedom), freedom);
                assert!((back / p - 1.0).abs() < 1e-9, "{freedom}, {p}: {back}");
            }
        }
    }

    #[test]
    fn p_values_have_the_closed_forms_of_one_and_two_degrees() {
        for t in [0.0, 1e-8, 0.3, 1.0, 5.0, 1e3, 1e8, 1e200] {
            let cauchy = 2.0 / std::f64::consts::PI * (1.0_f64 / t).atan();
            assert!((two_sided_p(t, 1) - cauchy).abs() <= 1e-12 * cauchy.max(1e-3), "{t}");
            let two = 1.0 - t / (2.0 + t * t).sqrt();
            assert!(t > 1e100 || (two_sided_p(t, 2) - two).abs() < 1e-12, "{t}");
            assert_eq!(two_sided_p(t, 2), two_sided_p(-t, 2));
        }
    }

    #[test]
    fn rounding_is_no_spread() {
        let values = [0.3 - 0.2, 0.5 - 0.4, 0.9 - 0.8];
        assert_eq!(MeanEstimate::new(&values, 0.9), Err(NoInterval::NoSpread { seeds: 3 }));
        assert!(MeanEstimate::new(&[0.1, 0.1, 0.1 + 1e-9], 0.9).is_ok());
    }
}
