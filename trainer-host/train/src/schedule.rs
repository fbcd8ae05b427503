//! The learning rate of a step, and the decay of the moving average: functions of the step alone.

use sextant_recipe::OptimiserRecipe;

/// The learning rate of step `step` (from 0): it rises linearly over the first `warmup_steps`, then stays:
/// lr * min(1, (step + 1) / warmup).
pub fn learning_rate(optimiser: &OptimiserRecipe, step: u64) -> f64 {
    let (lr, warmup, reached) = (optimiser.lr, optimiser.warmup_steps, step + 1);
    if reached >= warmup {
        lr
    } else {
        lr * reached as f64 / warmup as f64
    }
}

/// Decay after step `step` (from 0): `decay`, or with `warmup` min(decay, (1 + step) / (10 + step)), without
/// which a short training's average is mostly its initial weights.
pub fn ema_decay(decay: f64, warmup: bool, step: u64) -> f64 {
    if warmup {
        decay.min((1 + step) as f64 / (10 + step) as f64)
    } else {
        decay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warm_up(warmup_steps: u64) -> OptimiserRecipe {
        OptimiserRecipe {
            lr: 1.0,
            warmup_steps,
            ..OptimiserRecipe::default()
        }
    }

    #[test]
    fn warm_up_ends_at_the_full_rate() {
        let rates = [0, 1, 2, 3, 4, 5].map(|step| learning_rate(&warm_up(4), step));
        assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_full_rate() {
        assert_eq!(learning_rate(&warm_up(0), 0), 1.0);
    }

    #[test]
    fn the_average_warms_up_to_its_decay() {
        assert_eq!(ema_decay(0.9999, true, 0), 0.1);
        assert_eq!(ema_decay(0.99, true, 100_000), 0.99);
        assert_eq!(ema_decay(0.9999, false, 0), 0.9999);
    }
}
