//! Means over the steps between two lines of the log. Scalars stay on the device until they are read, all
//! at once, since a read drains its queue.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Sums of named scalars since the last read.
#[derive(Debug, Default)]
pub struct Window {
    sums: BTreeMap<String, Sum>,
}

#[derive(Debug)]
struct Sum {
    total: Tensor<1>,
    count: u32,
}

/// A window at rest, exact to the bit, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowState(BTreeMap<String, (f32, u32)>);

impl WindowState {
    /// Name and sum of each scalar.
    pub fn sums(&self) -> impl Iterator<Item = (&String, f64)> {
        self.0.iter().map(|(name, (sum, _))| (name, f64::from(*sum)))
    }
}

impl Window {
    /// Adds a scalar of shape `[1]`.
    pub fn add(&mut self, name: &str, value: Tensor<1>) {
        match self.sums.remove(name) {
            Some(Sum { total, count }) => self.insert(name, total + value, count + 1),
            None => self.insert(name, value, 1),
        }
    }

    fn insert(&mut self, name: &str, total: Tensor<1>, count: u32) {
        self.sums.insert(name.into(), Sum { total, count });
    }

    /// How many values of this name there are.
    pub fn count(&self, name: &str) -> u32 {
        self.sums.get(name).map_or(0, |sum| sum.count)
    }

    /// The sums, read in one go. A synchronisation.
    pub fn state(&self) -> WindowState {
        if self.sums.is_empty() {
            return WindowState::default();
        }
        let totals = self.sums.values().map(|s| s.total.clone()).collect();
        let read: Vec<f32> = Tensor::cat(totals, 0).into_data().iter::<f32>().collect();
        WindowState(
            self.sums
                .iter()
                .zip(read)
                .map(|((name, sum), total)| (name.clone(), (total, sum.count)))
                .collect(),
        )
    }

    /// Means since the last call; the window is empty after it. A synchronisation.
    pub fn take_means(&mut self) -> BTreeMap<String, f64> {
        let WindowState(sums) = self.state();
        self.sums.clear();
        sums.into_iter()
            .map(|(name, (total, count))| (name, total as f64 / count as f64))
            .collect()
    }

    /// The window that had this state.
    pub fn restore(state: &WindowState, device: &Device) -> Self {
        let mut window = Self::default();
        for (name, (total, count)) in &state.0 {
            window.insert(name, Tensor::from_data([*total], device), *count);
        }
        window
    }
}
