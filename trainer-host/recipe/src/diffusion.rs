//! The interpolant between data and noise, and what a network predicts (SiT, arXiv 2401.08740): `x_t = alpha(t) x + sigma(t) n`.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

/// The way from data to noise.
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
}

/// The quantity that the network's output stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// `alpha' x + sigma' n`.
    #[default]
    Velocity,
    /// The clean data `x`.
    #[serde(alias = "x")]
    Data,
    /// The noise `n`.
    Noise,
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

    #[test]
    fn should_read_x_as_data() {
        for (text, wanted) in [
            ("velocity", Prediction::Velocity),
            ("data", Prediction::Data),
            ("x", Prediction::Data),
            ("noise", Prediction::Noise),
        ] {
            let read: Prediction = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read, wanted);
        }
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
