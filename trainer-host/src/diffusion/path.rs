//! The interpolant between data and noise (SiT, arXiv 2401.08740): `x_t = alpha(t) x + sigma(t) n`.

use std::f64::consts::FRAC_PI_2;

use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// How data turns into noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// `alpha = 1 - t`, `sigma = t`.
    #[default]
    Linear,
    /// `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)`, which keeps the variance of standardised data.
    Cosine,
}

/// A path at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathCoefficients {
    /// Weight of the data.
    pub alpha: f64,
    /// Weight of the noise.
    pub sigma: f64,
    /// Derivative of `alpha` in t; at most 0.
    pub d_alpha: f64,
    /// Derivative of `sigma` in t; at least 0.
    pub d_sigma: f64,
}

impl Path {
    /// The coefficients at `t`, in [0, 1].
    pub fn coefficients(self, t: f64) -> PathCoefficients {
        match self {
            Self::Linear => PathCoefficients {
                alpha: 1.0 - t,
                sigma: t,
                d_alpha: -1.0,
                d_sigma: 1.0,
            },
            Self::Cosine => {
                let (sin, cos) = (FRAC_PI_2 * t).sin_cos();
                PathCoefficients {
                    alpha: cos,
                    sigma: sin,
                    d_alpha: -FRAC_PI_2 * sin,
                    d_sigma: FRAC_PI_2 * cos,
                }
            }
        }
    }

    /// `x_t` and the velocity `d x_t / d t` for data `x` and noise `n`, both `[B, C, H, W]`, at one time a sample.
    ///
    /// The times are plain numbers, since they were drawn on the CPU; only their coefficients travel to the device.
    pub fn interpolate(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> (Tensor<4>, Tensor<4>) {
        (self.diffuse(x.clone(), n.clone(), t), self.velocity(x, n, t))
    }

    /// `alpha x + sigma n`; shapes as for [`interpolate`](Self::interpolate).
    pub fn diffuse(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4> {
        self.combine(t, x, |c| c.alpha, n, |c| c.sigma)
    }

    /// `alpha' x + sigma' n`; shapes as for [`interpolate`](Self::interpolate).
    pub fn velocity(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4> {
        self.combine(t, x, |c| c.d_alpha, n, |c| c.d_sigma)
    }

    /// `a(t) x + b(t) y`, with one t a sample.
    pub(super) fn combine(
        self,
        t: &[f32],
        x: Tensor<4>,
        a: impl Fn(PathCoefficients) -> f64,
        y: Tensor<4>,
        b: impl Fn(PathCoefficients) -> f64,
    ) -> Tensor<4> {
        let device = x.device();
        let at = |weight: &dyn Fn(PathCoefficients) -> f64| {
            t.iter()
                .map(|t| weight(self.coefficients(f64::from(*t))) as f32)
                .collect()
        };
        let (a, b) = (at(&a), at(&b));
        let dtype = x.dtype();
        x * per_sample(a, dtype, &device) + y * per_sample(b, dtype, &device)
    }
}

/// One number a sample, as `[B, 1, 1, 1]`.
fn per_sample(values: Vec<f32>, dtype: DType, device: &Device) -> Tensor<4> {
    let shape = [values.len(), 1, 1, 1];
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATHS: [Path; 2] = [Path::Linear, Path::Cosine];

    #[test]
    fn should_begin_at_data_and_end_at_noise() {
        for path in PATHS {
            let (start, end) = (path.coefficients(0.0), path.coefficients(1.0));
            assert_eq!((start.alpha, start.sigma), (1.0, 0.0));
            assert!(end.alpha.abs() < 1e-15 && end.sigma == 1.0);
        }
    }

    #[test]
    fn should_be_written_in_lower_case() {
        assert_eq!(serde_json::to_string(&Path::Cosine).unwrap(), "\"cosine\"");
        assert_eq!(serde_json::from_str::<Path>("\"linear\"").unwrap(), Path::Linear);
    }

    proptest! {
        #[test]
        fn should_give_the_derivatives_of_its_own_coefficients(t in 0.001f64..0.999) {
            let step = 1e-6;
            for path in PATHS {
                let c = path.coefficients(t);
                let (before, after) = (path.coefficients(t - step), path.coefficients(t + step));
                prop_assert!(((after.alpha - before.alpha) / (2.0 * step) - c.d_alpha).abs() < 1e-8);
                prop_assert!(((after.sigma - before.sigma) / (2.0 * step) - c.d_sigma).abs() < 1e-8);
            }
        }

        #[test]
        fn should_turn_data_into_noise_monotonically(t in 0.0f64..0.99, step in 1e-3f64..0.01) {
            for path in PATHS {
                let (now, later) = (path.coefficients(t), path.coefficients(t + step));
                prop_assert!(later.alpha < now.alpha && later.sigma > now.sigma);
                prop_assert!(now.d_alpha <= 0.0 && now.d_sigma >= 0.0);
            }
        }
    }
}
