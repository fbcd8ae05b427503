//! The velocity of a whole batch, with classifier-free guidance where it is on.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::noise::Latents;
use crate::diffusion::prediction::velocity_weights;
use sextant_recipe::{Path, Prediction};

/// A network, asked for velocities of an f64 state.
pub(super) struct GuidedNetwork<'a, N> {
    pub network: N,
    pub path: Path,
    pub prediction: Prediction,
    pub labels: &'a [usize],
    pub null_class: usize,
    pub cfg_scale: f64,
    pub device: &'a Device,
}

impl<N> GuidedNetwork<'_, N>
where
    N: FnMut(Tensor<4>, Tensor<1>, Tensor<1, Int>) -> Tensor<4>,
{
    /// The drift at `x` and `t`: `drift(output, state)` of what the network says, and with guidance `u + w (c - u)` of the
    /// drifts with label (c) and without (u), both from one pass over twice the batch.
    ///
    /// `drift` gives the weights of output and state.
    pub fn drift(&mut self, x: &Latents, t: f64, guided: bool, drift: (f64, f64)) -> Vec<f64> {
        let batch = x.shape[0];
        let state = x.to_tensor(self.device);
        let (state, rows) = if guided {
            (Tensor::cat(vec![state.clone(), state], 0), 2 * batch)
        } else {
            (state, batch)
        };
        let labels: Vec<i64> = (0..rows)
            .map(|row| self.labels.get(row).copied().unwrap_or(self.null_class) as i64)
            .collect();
        let labels = Tensor::from_data(TensorData::new(labels, [rows]), self.device);
        let times = Tensor::full([rows], t as f32, self.device);
        let output = (self.network)(state, times, labels);
        let output: Vec<f64> = output.into_data().iter::<f64>().collect();

        let of_velocity = velocity_weights(self.prediction, self.path.coefficients(t));
        let of_output = drift.0 * of_velocity.0;
        let of_state = drift.1 + drift.0 * of_velocity.1;
        let at = |index: usize, value: f64| of_output * output[index] + of_state * value;
        let count = x.values.len();
        let values = x.values.iter().enumerate();
        if guided {
            values
                .map(|(i, value)| {
                    let (c, u) = (at(i, *value), at(count + i, *value));
                    u + self.cfg_scale * (c - u)
                })
                .collect()
        } else {
            values.map(|(i, value)| at(i, *value)).collect()
        }
    }
}
