//! The learning rate of a step, and the decay of the moving average.

use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};

/// Rises linearly over the first `warmup` steps, then stays: step s (from 0) has lr * min(1, (s + 1) / warmup).
#[derive(Clone, Debug)]
pub struct WarmUp {
    lr: f64,
    warmup: u64,
    step: u64,
}

impl WarmUp {
    /// At step 0.
    pub fn new(lr: f64, warmup: u64) -> Self {
        Self { lr, warmup, step: 0 }
    }
}

impl LrScheduler for WarmUp {
    fn step(&mut self) -> f64 {
        self.step += 1;
        if self.step >= self.warmup {
            self.lr
        } else {
            self.lr * self.step as f64 / self.warmup as f64
        }
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("step", self.step)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        if let Some(step) = record.scalar("step") {
            self.step = step;
        }
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

    #[test]
    fn warm_up_ends_at_the_full_rate_and_survives_a_restart() {
        let mut schedule = WarmUp::new(1.0, 4);
        assert_eq!([schedule.step(), schedule.step()], [0.25, 0.5]);
        let mut again = WarmUp::new(1.0, 4);
        again.load_record(schedule.to_record());
        assert_eq!([again.step(), again.step(), again.step()], [0.75, 1.0, 1.0]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_full_rate() {
        assert_eq!(WarmUp::new(0.5, 0).step(), 0.5);
    }

    #[test]
    fn the_average_warms_up_to_its_decay() {
        assert_eq!(ema_decay(0.9999, true, 0), 0.1);
        assert_eq!(ema_decay(0.99, true, 100_000), 0.99);
        assert_eq!(ema_decay(0.9999, false, 0), 0.9999);
    }
}
