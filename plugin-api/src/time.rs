//! Ranges of diffusion time.

use crate::Error;

/// Times from `min` to `max`, both ends inclusive; 0 is data, 1 is noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeRange {
    min: f64,
    max: f64,
}

impl TimeRange {
    /// The range of a configuration's `t_min` and `t_max`.
    ///
    /// # Errors
    /// If an end is not finite, or they are in the wrong order.
    pub fn new(min: f64, max: f64) -> Result<Self, Error> {
        if !min.is_finite() || !max.is_finite() {
            return Err(Error::new("`t_min` and `t_max` must be finite"));
        }
        if min > max {
            return Err(Error::new(format!("`t_min` ({min}) must not be above `t_max` ({max})")));
        }
        Ok(Self { min, max })
    }

    /// Lower end.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// Upper end.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// True if a time lies inside. Decided in f32, as PyTorch compares an f32 tensor with a number: the
    /// sample at t = 0.4f32 is inside [0.4, 0.7] although 0.4f32 and 0.4f64 differ.
    pub fn contains(&self, t: f32) -> bool {
        t >= self.min as f32 && t <= self.max as f32
    }
}

/// Numbers of the samples whose time lies inside, ascending.
pub fn rows_inside(times: &[f32], range: TimeRange) -> Vec<u32> {
    (0u32..)
        .zip(times)
        .filter(|(_, t)| range.contains(**t))
        .map(|(row, _)| row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_inside_as_f32() {
        let range = TimeRange::new(0.4, 0.7).unwrap();
        let below = f32::from_bits(0.4f32.to_bits() - 1);
        let above = f32::from_bits(0.7f32.to_bits() + 1);
        let times = [0.4, 0.7, below, above, 0.5, f32::NAN];
        assert_eq!(rows_inside(&times, range), [0, 1, 4]);
    }

    #[test]
    fn reversed_or_infinite_ends_are_refused() {
        assert!(
            TimeRange::new(0.7, 0.4)
                .unwrap_err()
                .to_string()
                .contains("must not be above")
        );
        assert!(TimeRange::new(f64::NAN, 0.4).is_err());
    }
}
