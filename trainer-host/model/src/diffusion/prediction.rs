//! The training target, and the velocity that follows from a network's output.

use burn::tensor::Tensor;
use sextant_recipe::{Path, PathCoefficients, Prediction};

use super::path::combine;

/// Below this weight, `x_t` says nothing of the data (or of the noise), and what it would say is set to its mean, 0.
///
/// With the noise known, the data are `(x_t - sigma n) / alpha`: at t = 1 that is 0 / 0. (The other way round at t = 0 for
/// known data.) The mean is the best guess there; latents are standardised, so it is 0. Samplers meet this at t = 1 only.
const SINGULAR: f64 = 1e-3;

/// A [`Prediction`] on batches of latents `[B, C, H, W]`, at one time a sample.
pub trait Target {
    /// The tensor that the output is trained towards, of data, noise, and the path's velocity from one to the other.
    fn target(self, x: Tensor<4>, n: Tensor<4>, velocity: Tensor<4>) -> Tensor<4>;

    /// The velocity that `output` means at `x_t`.
    ///
    /// Finite at every t: where `x_t` holds next to no data (noise prediction, t near 1) the data are taken to be their mean
    /// 0, and likewise the noise where it holds next to none (data prediction, t near 0).
    fn velocity(self, path: Path, output: Tensor<4>, x_t: Tensor<4>, t: &[f32]) -> Tensor<4>;
}

impl Target for Prediction {
    fn target(self, x: Tensor<4>, n: Tensor<4>, velocity: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Velocity => velocity,
            Self::Data => x,
            Self::Noise => n,
        }
    }

    fn velocity(self, path: Path, output: Tensor<4>, x_t: Tensor<4>, t: &[f32]) -> Tensor<4> {
        let weights = |c| velocity_weights(self, c);
        match self {
            Self::Velocity => output,
            _ => combine(path, t, output, |c| weights(c).0, x_t, |c| weights(c).1),
        }
    }
}

/// The weights of output and `x_t` in the velocity.
///
/// Data: `n = (x_t - alpha x) / sigma`, so `v = (alpha' - sigma' alpha / sigma) x + (sigma' / sigma) x_t`. Noise:
/// `x = (x_t - sigma n) / alpha`, so `v = (sigma' - alpha' sigma / alpha) n + (alpha' / alpha) x_t`.
pub(super) fn velocity_weights(prediction: Prediction, c: PathCoefficients) -> (f64, f64) {
    match prediction {
        Prediction::Velocity => (1.0, 0.0),
        Prediction::Data if c.sigma < SINGULAR => (c.d_alpha, 0.0),
        Prediction::Data => (c.d_alpha - c.d_sigma * c.alpha / c.sigma, c.d_sigma / c.sigma),
        Prediction::Noise if c.alpha < SINGULAR => (c.d_sigma, 0.0),
        Prediction::Noise => (c.d_sigma - c.d_alpha * c.sigma / c.alpha, c.d_alpha / c.alpha),
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::Interpolant;
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    const PREDICTIONS: [Prediction; 3] = [Prediction::Velocity, Prediction::Data, Prediction::Noise];

    fn scalar(value: f32) -> Tensor<4> {
        Tensor::from_data(TensorData::new(vec![value], [1, 1, 1, 1]), &Device::flex())
    }

    fn value(tensor: Tensor<4>) -> f32 {
        tensor.into_scalar()
    }

    #[test]
    fn should_stay_finite_at_both_ends() {
        for path in [Path::Linear, Path::Cosine] {
            for prediction in PREDICTIONS {
                for t in [0.0, 1e-7, 1.0 - 1e-7, 1.0] {
                    let v = value(prediction.velocity(path, scalar(0.7), scalar(-1.3), &[t]));
                    assert!(v.abs() < 10.0, "{path:?} {prediction:?} {t}: {v}");
                }
            }
        }
    }

    proptest! {
        /// A perfect network of any kind gives the path's own velocity.
        #[test]
        fn should_turn_each_target_into_the_velocity(x in -2f32..2.0, n in -2f32..2.0, t in 0.01f32..0.99) {
            for path in [Path::Linear, Path::Cosine] {
                let (x_t, v) = path.interpolate(scalar(x), scalar(n), &[t]);
                for prediction in PREDICTIONS {
                    let target = prediction.target(scalar(x), scalar(n), v.clone());
                    let found = value(prediction.velocity(path, target, x_t.clone(), &[t]));
                    prop_assert!((found - value(v.clone())).abs() < 2e-3, "{path:?} {prediction:?}");
                }
            }
        }
    }
}
