//! The factor on the loss of a training in f16, whose small gradients would be 0 without one.

use serde::{Deserialize, Serialize};

/// Dynamic loss scaling (arXiv 1710.03740, section 3.2), by the rules and numbers of PyTorch's `GradScaler`: steps whose gradients
/// overflow are left out and halve the factor, and 2000 others in a row double it. Its powers of two change no bit of a gradient that
/// f16 holds either way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    /// The factor.
    pub factor: f64,
    /// Steps since it changed, or since a step was left out.
    pub steps: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self {
            factor: 65536.0,
            steps: 0,
        }
    }
}

impl LossScale {
    /// Steps after which the factor doubles.
    const INTERVAL: u64 = 2000;

    /// The factor after a step, whose gradients were finite or not. False if the step has to be left out: at a factor of 1 it is not
    /// the factor that makes them infinite.
    pub fn adapt(&mut self, finite: bool) -> bool {
        if finite {
            self.steps += 1;
            if self.steps == Self::INTERVAL {
                (self.factor, self.steps) = (2.0 * self.factor, 0);
            }
            return true;
        }
        let fits = self.factor <= 1.0;
        (self.factor, self.steps) = ((self.factor / 2.0).max(1.0), 0);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_go_up_after_many_good_steps_and_down_after_a_bad_one() {
        let mut scale = LossScale::default();
        for _ in 0..1999 {
            assert!(scale.adapt(true));
        }
        assert_eq!(scale.factor, 65536.0);
        assert!(!scale.adapt(false));
        assert_eq!((scale.factor, scale.steps), (32768.0, 0));
        for _ in 0..2000 {
            assert!(scale.adapt(true));
        }
        assert_eq!((scale.factor, scale.steps), (65536.0, 0));
    }

    #[test]
    fn should_not_hide_gradients_that_are_infinite_without_it() {
        let mut scale = LossScale::default();
        let left_out = (0..40).take_while(|_| !scale.adapt(false)).count();
        assert_eq!((left_out, scale.factor), (16, 1.0));
    }
}
