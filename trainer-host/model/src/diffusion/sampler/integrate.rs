//! The three integrators, and the drift that they follow.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thiserror::Error;

use super::noise::{Latents, StepNoise};
use crate::diffusion::prediction::velocity_weights;
use crate::diffusion::score;
use sextant_interrupt::{self as interrupt, Interrupted};
use sextant_recipe::{KeyError, Path, Prediction, SamplerConfig, SamplerMethod};

/// The time at which the SDE stops adding noise; one last step takes it from here to 0.
const SDE_LAST_TIME: f64 = 0.04;

/// Why samples could not be drawn.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SampleError {
    /// The settings contradict themselves.
    #[error("sampler: {0}")]
    Config(KeyError),
    /// Not one label a sample.
    #[error("{labels} labels were given for {samples} samples: give one each")]
    LabelCount {
        /// Labels given.
        labels: usize,
        /// Samples asked for.
        samples: usize,
    },
    /// A label that the network has no row for.
    #[error("label {label} does not exist: labels run from 0 to {null_class}, which means none")]
    Label {
        /// The label.
        label: usize,
        /// The last that exists.
        null_class: usize,
    },
    /// The initial noise does not fill its shape.
    #[error("the initial noise has {found} values, its shape {shape:?} wants {}", shape.iter().product::<usize>())]
    NoiseCount {
        /// Values given.
        found: usize,
        /// Shape given.
        shape: [usize; 4],
    },
    /// Someone asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Draws samples from a network by integrating from t = 1 (noise) to t = 0 (data).
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    /// Method, steps, guidance.
    pub config: SamplerConfig,
    /// The path that the network was trained on.
    pub path: Path,
    /// Quantity that the network predicts.
    pub prediction: Prediction,
    /// The label that stands for none.
    pub null_class: usize,
}

impl Sampler {
    /// Moves the noise `start` to samples, one label each.
    ///
    /// `network` maps `(x_t [B, C, H, W], t [B], labels [B])` on `device`, in f32, to its raw output; with guidance on, B is
    /// twice that of `start`. `noise` is asked by the SDE only.
    pub fn sample(
        &self,
        network: impl FnMut(Tensor<4>, Tensor<1>, Tensor<1, Int>) -> Tensor<4>,
        start: Latents,
        labels: &[usize],
        noise: &mut impl StepNoise,
        device: &Device,
    ) -> Result<Latents, SampleError> {
        self.check(&start, labels)?;
        let mut network = GuidedNetwork {
            network,
            sampler: self,
            labels,
            device,
        };
        Ok(match self.config.method {
            SamplerMethod::Euler => self.ode(&mut network, start, false)?,
            SamplerMethod::Heun => self.ode(&mut network, start, true)?,
            SamplerMethod::Sde => self.sde(&mut network, start, noise)?,
        })
    }

    fn check(&self, start: &Latents, labels: &[usize]) -> Result<(), SampleError> {
        self.config.validate().map_err(SampleError::Config)?;
        let (found, shape) = (start.values.len(), start.shape);
        if found != shape.iter().product::<usize>() {
            return Err(SampleError::NoiseCount { found, shape });
        }
        let (samples, null_class) = (shape[0], self.null_class);
        match labels.iter().copied().find(|label| *label > null_class) {
            _ if labels.len() != samples => {
                let labels = labels.len();
                Err(SampleError::LabelCount { labels, samples })
            }
            Some(label) => Err(SampleError::Label { label, null_class }),
            None => Ok(()),
        }
    }

    /// `dx = v dt` in equal steps. Heun's correction is left out of the last step, whose end is data, where the network was
    /// never trained; it keeps the start's decision whether guidance is on, so that a step does not average two fields.
    fn ode(
        &self,
        network: &mut GuidedNetwork<'_, impl Network>,
        mut x: Latents,
        heun: bool,
    ) -> Result<Latents, Interrupted> {
        let (steps, times) = (self.config.steps, times(&self.config));
        for step in 0..steps {
            interrupt::check()?;
            let (t, next) = (times[step], times[step + 1]);
            let guided = self.config.guides(t);
            let mut slope = network.drift(&x, t, guided, (1.0, 0.0));
            if heun && step + 1 < steps {
                let mut end = x.clone();
                advance(&mut end.values, &slope, next - t);
                let correction = network.drift(&end, next, guided, (1.0, 0.0));
                for (slope, end_slope) in slope.iter_mut().zip(correction) {
                    *slope = (*slope + end_slope) / 2.0;
                }
            }
            advance(&mut x.values, &slope, next - t);
        }
        Ok(x)
    }

    /// `dx = (v - w s / 2) dt + sqrt(w) dW`, run backwards, with score s and diffusion `w = 2t`.
    fn sde(
        &self,
        network: &mut GuidedNetwork<'_, impl Network>,
        mut x: Latents,
        noise: &mut impl StepNoise,
    ) -> Result<Latents, Interrupted> {
        let (steps, times) = (self.config.steps, times(&self.config));
        for step in 0..steps {
            interrupt::check()?;
            let (t, next) = (times[step], times[step + 1]);
            let (of_velocity, of_state) = score::weights(self.path.coefficients(t));
            let drift = (1.0 - t * of_velocity, -t * of_state);
            let slope = network.drift(&x, t, self.config.guides(t), drift);
            advance(&mut x.values, &slope, next - t);
            if step + 1 < steps {
                let spread = (2.0 * t).sqrt() * (next - t).abs().sqrt();
                let draws = noise.draw(step, x.shape);
                advance(&mut x.values, &draws, spread);
            }
        }
        Ok(x)
    }
}

/// The time at which each step begins, falling from 1, and 0, where the last one ends.
pub fn times(config: &SamplerConfig) -> Vec<f64> {
    match config.method {
        SamplerMethod::Euler | SamplerMethod::Heun => linspace(1.0, 0.0, config.steps + 1),
        SamplerMethod::Sde => {
            let mut times = linspace(1.0, SDE_LAST_TIME, config.steps);
            times.push(0.0);
            times
        }
    }
}

/// Maps `(x_t [B, C, H, W], t [B], labels [B])` to a network's raw output.
trait Network: FnMut(Tensor<4>, Tensor<1>, Tensor<1, Int>) -> Tensor<4> {}
impl<F: FnMut(Tensor<4>, Tensor<1>, Tensor<1, Int>) -> Tensor<4>> Network for F {}

/// A network, asked for velocities of an f64 state.
struct GuidedNetwork<'a, N> {
    network: N,
    sampler: &'a Sampler,
    labels: &'a [usize],
    device: &'a Device,
}

impl<N: Network> GuidedNetwork<'_, N> {
    /// The drift at `x` and `t`: `drift(output, state)` of what the network says, and with guidance `u + w (c - u)` of the
    /// drifts with label (c) and without (u), both from one pass over twice the batch.
    ///
    /// `drift` gives the weights of output and state.
    fn drift(&mut self, x: &Latents, t: f64, guided: bool, drift: (f64, f64)) -> Vec<f64> {
        let Sampler {
            config,
            path,
            prediction,
            null_class,
        } = self.sampler;
        let batch = x.shape[0];
        let state = x.to_tensor(self.device);
        let (state, rows) = if guided {
            (Tensor::cat(vec![state.clone(), state], 0), 2 * batch)
        } else {
            (state, batch)
        };
        let labels: Vec<i64> = (0..rows)
            .map(|row| self.labels.get(row).copied().unwrap_or(*null_class) as i64)
            .collect();
        let labels = Tensor::from_data(TensorData::new(labels, [rows]), self.device);
        let times = Tensor::full([rows], t as f32, self.device);
        let output = (self.network)(state, times, labels);
        let output: Vec<f64> = output.into_data().iter::<f64>().collect();

        let of_velocity = velocity_weights(*prediction, path.coefficients(t));
        let of_output = drift.0 * of_velocity.0;
        let of_state = drift.1 + drift.0 * of_velocity.1;
        let at = |index: usize, value: f64| of_output * output[index] + of_state * value;
        let count = x.values.len();
        let values = x.values.iter().enumerate();
        if guided {
            values
                .map(|(i, value)| {
                    let (c, u) = (at(i, *value), at(count + i, *value));
                    u + config.cfg_scale * (c - u)
                })
                .collect()
        } else {
            values.map(|(i, value)| at(i, *value)).collect()
        }
    }
}

/// `x += step * slope`.
fn advance(x: &mut [f64], slope: &[f64], step: f64) {
    for (x, slope) in x.iter_mut().zip(slope) {
        *x += step * slope;
    }
}

/// `count` values from `start` to `end`, both included; at least two are wanted.
///
/// Counted from the nearer end, as PyTorch does: a time that is an end of the guidance interval must round alike.
fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / (count - 1) as f64;
    (0..count)
        .map(|i| {
            if i < count / 2 {
                start + step * i as f64
            } else {
                end - step * (count - 1 - i) as f64
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::noise::SampleStreams;
    use super::*;

    const METHODS: [SamplerMethod; 3] = [SamplerMethod::Euler, SamplerMethod::Heun, SamplerMethod::Sde];

    fn sampler(method: SamplerMethod, steps: usize) -> Sampler {
        Sampler {
            config: SamplerConfig {
                method,
                steps,
                ..Default::default()
            },
            path: Path::Linear,
            prediction: Prediction::Velocity,
            null_class: 9,
        }
    }

    fn run(
        sampler: &Sampler,
        network: impl FnMut(Tensor<4>, Tensor<1>, Tensor<1, Int>) -> Tensor<4>,
        labels: &[usize],
    ) -> Latents {
        let mut streams = SampleStreams::new(3, 0..labels.len() as u64);
        let start = streams.initial([1, 2, 2]);
        sampler
            .sample(network, start, labels, &mut streams, &Device::flex())
            .unwrap()
    }

    /// A network for data that are all `mean`: n = (x_t - (1 - t) mean) / t, so v = n - mean = (x_t - mean) / t.
    fn point_mass(x: Tensor<4>, t: Tensor<1>, _: Tensor<1, Int>) -> Tensor<4> {
        let rows = t.dims()[0];
        (x - 1.5) / t.reshape([rows, 1, 1, 1])
    }

    #[test]
    fn should_find_a_point_mass_by_every_method() {
        // The SDE's last step is an Euler step too, from 0.04, and leaves that much of the noise.
        for (method, steps, tolerance) in [
            (SamplerMethod::Euler, 8, 1e-5),
            (SamplerMethod::Heun, 8, 1e-5),
            (SamplerMethod::Sde, 250, 0.2),
        ] {
            for value in run(&sampler(method, steps), point_mass, &[0, 1]).values {
                assert!((value - 1.5).abs() < tolerance, "{method:?}: {value}");
            }
        }
    }

    #[test]
    fn should_sample_alike_from_each_kind_of_prediction() {
        for method in METHODS {
            let by_velocity = run(&sampler(method, 8), point_mass, &[0]);
            let by_data = Sampler {
                prediction: Prediction::Data,
                ..sampler(method, 8)
            };
            let found = run(&by_data, |x, _, _| x.zeros_like() + 1.5, &[0]);
            for (a, b) in by_velocity.values.iter().zip(&found.values) {
                assert!((a - b).abs() < 1e-5, "{method:?}");
            }
        }
    }

    #[test]
    fn should_double_the_batch_only_inside_the_guidance_interval() {
        for (scale, wanted) in [(1.0, [2, 2, 2, 2]), (2.0, [2, 4, 4, 2])] {
            let mut sampler = sampler(SamplerMethod::Euler, 4);
            (sampler.config.cfg_scale, sampler.config.guidance_low) = (scale, 0.5);
            sampler.config.guidance_high = 0.75;
            let mut rows = Vec::new();
            let network = |x: Tensor<4>, _: Tensor<1>, _: Tensor<1, Int>| {
                rows.push(x.dims()[0]);
                x
            };
            run(&sampler, network, &[0, 1]);
            assert_eq!(rows, wanted);
        }
    }

    #[test]
    fn should_not_change_a_network_that_ignores_its_label() {
        for method in METHODS {
            let mut guided = sampler(method, 6);
            guided.config.cfg_scale = 4.0;
            let [a, b] = [guided, sampler(method, 6)].map(|sampler| run(&sampler, point_mass, &[0, 1]));
            for (a, b) in a.values.iter().zip(&b.values) {
                assert!((a - b).abs() < 1e-9, "{method:?}");
            }
        }
    }

    #[test]
    fn should_not_depend_on_the_size_of_the_batch() {
        for method in METHODS {
            let together = run(&sampler(method, 5), point_mass, &[0, 1, 2]);
            let alone = run(&sampler(method, 5), point_mass, &[0]);
            assert_eq!(together.values[..4], alone.values, "{method:?}");
        }
    }

    #[test]
    fn should_refuse_labels_that_do_not_exist() {
        let sampler = sampler(SamplerMethod::Euler, 2);
        let mut streams = SampleStreams::new(3, [0]);
        let start = streams.initial([1, 2, 2]);
        let mut refused = |labels: &[usize], wanted: SampleError| {
            let found = sampler.sample(point_mass, start.clone(), labels, &mut streams, &Device::flex());
            assert_eq!(found, Err(wanted));
        };
        let (label, null_class, labels, samples) = (10, 9, 2, 1);
        refused(&[10], SampleError::Label { label, null_class });
        refused(&[1, 2], SampleError::LabelCount { labels, samples });
    }

    #[test]
    fn should_space_times_evenly_with_exact_ends() {
        assert_eq!(linspace(1.0, 0.0, 5), [1.0, 0.75, 0.5, 0.25, 0.0]);
        let times = linspace(1.0, 0.04, 250);
        assert_eq!((times[0], times[249]), (1.0, 0.04));
    }
}
