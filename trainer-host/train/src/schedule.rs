//! The learning rate of a step, and the decay of the moving average: functions of the step alone.

use std::f64::consts::PI;

use sextant_recipe::{LrSchedule, OptimiserRecipe};

/// The learning rate of step `step` (from 0) of a phase of `steps`: it rises linearly over the first `warmup_steps`,
/// lr * (step + 1) / warmup, then follows the schedule, which would reach the final rate one step after the last.
///
/// burn's schedulers of these names give the same rates, but have a state of their own, which a checkpoint would have to keep
/// and a raised number of steps to change.
pub fn learning_rate(optimiser: &OptimiserRecipe, step: u64, steps: u64) -> f64 {
    let (lr, warmup, last) = (optimiser.lr, optimiser.warmup_steps, optimiser.final_lr);
    if step + 1 < warmup {
        return lr * (step + 1) as f64 / warmup as f64;
    }
    let done = (step - warmup.min(step)) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    match optimiser.schedule {
        LrSchedule::Constant => lr,
        LrSchedule::Cosine => last + 0.5 * (lr - last) * (1.0 + (PI * done).cos()),
        LrSchedule::Linear => lr + (last - lr) * done,
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
    use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
    use burn::lr_scheduler::linear::LinearLrSchedulerConfig;

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
        let rates = [0, 1, 2, 3, 4, 5].map(|step| learning_rate(&warm_up(4), step, 6));
        assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_full_rate() {
        assert_eq!(learning_rate(&warm_up(0), 0, 1), 1.0);
    }

    #[test]
    fn the_schedules_are_those_of_burn() {
        let (warmup_steps, steps) = (3, 20);
        let recipe = |schedule| OptimiserRecipe {
            lr: 0.8,
            final_lr: 0.1,
            schedule,
            warmup_steps,
            ..OptimiserRecipe::default()
        };
        let length = (steps - warmup_steps) as usize;
        let cosine = CosineAnnealingLrSchedulerConfig::new(0.8, length).with_min_lr(0.1);
        let linear = LinearLrSchedulerConfig::new(0.8, 0.1, length);
        for (schedule, mut burn) in [
            (LrSchedule::Cosine, cosine.init().unwrap()),
            (LrSchedule::Linear, linear.init().unwrap()),
        ] {
            for step in warmup_steps..steps {
                let (ours, theirs) = (learning_rate(&recipe(schedule), step, steps), burn.step().base());
                assert!(
                    (ours - theirs).abs() < 1e-12,
                    "{schedule:?}, step {step}: {ours}, burn has {theirs}"
                );
            }
            assert_eq!(learning_rate(&recipe(schedule), 2, steps), 0.8, "{schedule:?}");
        }
    }

    #[test]
    fn the_average_warms_up_to_its_decay() {
        assert_eq!(ema_decay(0.9999, true, 0), 0.1);
        assert_eq!(ema_decay(0.99, true, 100_000), 0.99);
        assert_eq!(ema_decay(0.9999, false, 0), 0.9999);
    }
}
