//! The mean of a number over seeds.

use crate::content::Variant;
use crate::number::{fixed, significant};
use sextant_records::evaluation::Evaluation;

/// The mean of several seeds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeedMean {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over seeds, with n - 1; none of one.
    pub deviation: Option<f64>,
    /// The number of seeds.
    pub seeds: usize,
}

impl SeedMean {
    /// The mean of these values, one a seed; none of none.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            seeds: values.len(),
        })
    }

    /// The mean of what `value` finds in a variant's evaluations; none where it finds nothing in any.
    pub fn evaluations(variant: &Variant, value: impl Fn(&Evaluation) -> Option<f64>) -> Option<Self> {
        Self::new(variant.evaluations.iter().flatten().filter_map(value))
    }

    /// The mean and, after ±, the deviation.
    pub fn text(&self) -> String {
        with_error(self.mean, self.deviation)
    }

    /// The same of a fraction, in per cent.
    pub fn percent(&self) -> String {
        let mean = fixed(self.mean * 100.0, 1);
        match self.deviation {
            Some(deviation) => format!("{mean} ± {} %", fixed(deviation * 100.0, 1)),
            None => format!("{mean} %"),
        }
    }
}

/// The decimals that an uncertainty gives sense to: up to its first digit, or its second where the first is a 1; none where there is
/// no uncertainty.
fn decimals(error: f64) -> Option<usize> {
    let magnitude = error.log10().floor();
    let first = error / 10f64.powf(magnitude);
    let decimals = (f64::from(u8::from(first < 1.95)) - magnitude).clamp(0.0, 6.0) as usize;
    (error.is_finite() && error > 0.0).then_some(decimals)
}

/// A number and, after ±, how uncertain it is, both to the place that the uncertainty gives sense to: its first digit, or its second
/// where the first is a 1.
pub fn with_error(value: f64, error: Option<f64>) -> String {
    // Equal numbers differ from their mean by rounding: that is no uncertainty.
    let error = error.filter(|error| *error > value.abs() * 1e-9);
    let Some(decimals) = error.and_then(decimals) else {
        return significant(value, 4, 5);
    };
    match error {
        Some(error) if value.is_finite() && value.abs() < 1e7 => {
            format!("{} ± {}", fixed(value, decimals), fixed(error, decimals))
        }
        _ => significant(value, 4, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_have_a_spread_and_one_has_none() {
        let over = SeedMean::new([1.0, 2.0, 3.0]).unwrap();
        assert_eq!((over.mean, over.deviation, over.seeds), (2.0, Some(1.0), 3));
        assert_eq!(SeedMean::new([2.0]).unwrap().text(), "2.000");
        assert_eq!(SeedMean::new([]), None);
    }

    #[test]
    fn a_number_has_the_digits_that_its_error_allows() {
        assert_eq!(with_error(0.012_336, Some(0.000_67)), "0.0123 ± 0.0007");
        assert_eq!(with_error(123.456, Some(7.8)), "123 ± 8");
        assert_eq!(with_error(123.456, Some(1.23)), "123.5 ± 1.2");
        assert_eq!(with_error(0.5, Some(0.0)), "0.5000");
        assert_eq!(with_error(0.238_457, Some(3e-17)), "0.2385");
        assert_eq!(with_error(f64::NAN, Some(0.1)), "NaN");
        assert_eq!(SeedMean::new([0.25, 0.35]).unwrap().percent(), "30.0 ± 7.1 %");
    }
}
