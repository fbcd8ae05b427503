//! Means over the steps between two lines of the log. Scalars stay on the device until they are read, all
//! at once, since a read drains its queue.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Sums of named scalars since the last read.
#[derive(Debug, Default)]
pub struct ScalarAccumulator {
    sums: BTreeMap<String, Sum>,
}

#[derive(Debug)]
struct Sum {
    total: Tensor<1>,
    /// Number of steps after which the total was finite: once it is not, it stays so.
    sound: Tensor<1>,
    count: u32,
    /// The optimiser steps of the latest values, counted from 0.
    steps: Vec<u64>,
    /// True for a value of the log, false for one that is only looked at.
    logged: bool,
}

/// The sums at rest, exact to the bit, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalarSums(BTreeMap<String, (f32, u32)>);

impl ScalarSums {
    /// Sum and number of the values of this name.
    pub fn get(&self, name: &str) -> (f32, u32) {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// A scalar that is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Diverged {
    /// Its name.
    pub name: String,
    /// The first step at which it was, counted from 0.
    pub step: u64,
    /// Its sum from then on: infinity or not a number.
    pub value: f64,
}

impl ScalarAccumulator {
    /// Adds the value of a scalar at `step`, `[1]`.
    pub fn add(&mut self, name: &str, step: u64, value: Tensor<1>) {
        self.insert(name, step, value, true);
    }

    /// Looks whether a scalar is finite, `[1]`; it is no value of the log.
    pub fn watch(&mut self, name: &str, step: u64, value: Tensor<1>) {
        self.insert(name, step, value, false);
    }

    fn insert(&mut self, name: &str, step: u64, value: Tensor<1>, logged: bool) {
        let sum = match self.sums.remove(name) {
            Some(Sum {
                total,
                sound,
                count,
                mut steps,
                ..
            }) => {
                let total = total + value;
                steps.push(step);
                Sum {
                    sound: sound + total.clone().is_finite().float(),
                    total,
                    count: count + 1,
                    steps,
                    logged,
                }
            }
            None => Sum {
                sound: value.clone().is_finite().float(),
                total: value,
                count: 1,
                steps: vec![step],
                logged,
            },
        };
        self.sums.insert(name.into(), sum);
    }

    /// Number of values of this name.
    pub fn count(&self, name: &str) -> u32 {
        self.sums.get(name).map_or(0, |sum| sum.count)
    }

    /// The sums of what is logged, read in one go. A synchronisation.
    ///
    /// # Errors
    /// The scalar that was the first not to be finite. A source's own metrics may be what they like.
    pub fn state(&self) -> Result<ScalarSums, Diverged> {
        if self.sums.is_empty() {
            return Ok(ScalarSums::default());
        }
        let tensors = self.sums.values().flat_map(|s| [s.total.clone(), s.sound.clone()]);
        let read: Vec<f32> = Tensor::cat(tensors.collect(), 0).into_data().iter::<f32>().collect();
        let read = || self.sums.iter().zip(read.chunks(2));
        let faults = read().filter(|((name, _), read)| !read[0].is_finite() && !name.starts_with("metric."));
        let faults = faults.map(|((name, sum), read)| Diverged {
            name: name.clone(),
            step: sum.step_of(read[1] as usize),
            value: f64::from(read[0]),
        });
        if let Some(first) = faults.min_by_key(|fault| (fault.step, cause(&fault.name))) {
            return Err(first);
        }
        let logged = read().filter(|((_, sum), _)| sum.logged);
        Ok(ScalarSums(
            logged
                .map(|((name, sum), read)| (name.clone(), (read[0], sum.count)))
                .collect(),
        ))
    }

    /// Means since the last call; nothing is summed after it. A synchronisation.
    ///
    /// # Errors
    /// As [`ScalarAccumulator::state`].
    pub fn take_means(&mut self) -> Result<BTreeMap<String, f64>, Diverged> {
        let means = self.means()?;
        self.sums.clear();
        Ok(means)
    }

    /// Means since the last [`take_means`](Self::take_means); what is summed stays. A synchronisation.
    ///
    /// # Errors
    /// As [`ScalarAccumulator::state`].
    pub fn means(&self) -> Result<BTreeMap<String, f64>, Diverged> {
        let ScalarSums(sums) = self.state()?;
        let mean = |(name, (total, count)): (String, (f32, u32))| (name, f64::from(total) / f64::from(count));
        Ok(sums.into_iter().map(mean).collect())
    }

    /// The accumulator that had this state.
    pub fn restore(state: &ScalarSums, device: &Device) -> Self {
        let sums = state.0.iter().map(|(name, (total, count))| {
            let sum = Sum {
                total: Tensor::from_data([*total], device),
                sound: Tensor::from_data([*count as f32], device),
                count: *count,
                steps: Vec::new(),
                logged: true,
            };
            (name.clone(), sum)
        });
        Self { sums: sums.collect() }
    }
}

impl Sum {
    /// The step of the value at this place; what a checkpoint brought has no steps.
    fn step_of(&self, place: usize) -> u64 {
        let known = (self.count as usize).saturating_sub(self.steps.len());
        let steps = &self.steps;
        steps
            .get(place.saturating_sub(known))
            .or(steps.last())
            .copied()
            .unwrap_or(0)
    }
}

/// Rank of a scalar as the cause, of several that went wrong at the same step: what the network gave comes before what
/// a source made of it, losses come before their gradients, and a gradient of a source alone before that of all.
fn cause(name: &str) -> u8 {
    match name.split('.').next().unwrap_or_default() {
        "denoising" => 0,
        "guidance" => 1,
        "gradient" => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value: f32) -> Tensor<1> {
        Tensor::from_data([value], &Device::flex())
    }

    #[test]
    fn means_are_over_the_steps_since_the_last_read() {
        let mut scalars = ScalarAccumulator::default();
        scalars.add("a", 0, value(1.0));
        scalars.add("a", 1, value(2.0));
        scalars.add("b", 1, value(5.0));
        let means = scalars.take_means().unwrap();
        assert_eq!((means["a"], means["b"]), (1.5, 5.0));
        assert_eq!(scalars.take_means().unwrap(), BTreeMap::new());
    }

    #[test]
    fn sums_go_on_after_a_restart() {
        let mut scalars = ScalarAccumulator::default();
        scalars.add("a", 0, value(0.1));
        let mut again = ScalarAccumulator::restore(&scalars.state().unwrap(), &Device::flex());
        scalars.add("a", 1, value(0.2));
        again.add("a", 1, value(0.2));
        assert_eq!(again.state(), scalars.state());
    }

    #[test]
    fn what_is_only_looked_at_is_not_in_the_log() {
        let mut scalars = ScalarAccumulator::default();
        scalars.watch("gradient.a", 0, value(1.0));
        assert_eq!(scalars.take_means().unwrap(), BTreeMap::new());
    }

    #[test]
    fn the_step_and_the_scalar_that_went_wrong_first_are_named() {
        let mut scalars = ScalarAccumulator::default();
        for step in 10..20 {
            let broken = if step >= 15 { f32::NAN } else { 1.0 };
            scalars.add("denoising", step, value(if step >= 16 { f32::NAN } else { 1.0 }));
            scalars.add("guidance.a", step, value(1.0));
            scalars.add("guidance.b", step, value(broken));
            scalars.add("grad_norm", step, value(broken));
            scalars.add("metric.a.ratio", step, value(f32::INFINITY));
        }
        let fault = scalars.state().unwrap_err();
        assert_eq!((fault.name.as_str(), fault.step), ("guidance.b", 15));
        assert!(fault.value.is_nan());
    }

    #[test]
    fn a_gradient_is_blamed_on_its_source_where_the_losses_are_sound() {
        let mut scalars = ScalarAccumulator::default();
        scalars.add("denoising", 3, value(1.0));
        scalars.add("guidance.a", 3, value(1.0));
        scalars.watch("gradient.a", 3, value(f32::INFINITY));
        scalars.add("grad_norm", 3, value(f32::INFINITY));
        assert_eq!(scalars.state().unwrap_err().name, "gradient.a");
    }

    #[test]
    fn steps_are_right_after_a_restart() {
        let mut before = ScalarAccumulator::default();
        before.add("denoising", 7, value(1.0));
        let mut scalars = ScalarAccumulator::restore(&before.state().unwrap(), &Device::flex());
        scalars.add("denoising", 8, value(1.0));
        scalars.add("denoising", 9, value(f32::NAN));
        scalars.add("denoising", 10, value(1.0));
        assert_eq!(scalars.state().unwrap_err().step, 9);
    }
}
