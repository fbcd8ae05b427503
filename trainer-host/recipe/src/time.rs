//! Distributions of training times.

use std::f64::consts::FRAC_2_PI;

use serde::{Deserialize, Serialize};

use super::Path;

/// The law of t in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSampling {
    /// Uniform on [0, 1).
    #[default]
    Uniform,
    /// The ratio of noise to data, `sigma / alpha`, is `exp(N(0, 1))`.
    LogNormal,
}

impl TimeSampling {
    /// The time of one sample from its draws, each used by one law: `uniform` on [0, 1), `normal` standard normal.
    pub fn at(self, path: Path, uniform: f64, normal: f64) -> f32 {
        match self {
            // Rounding to f32 may reach 1, which the law excludes.
            Self::Uniform => (uniform as f32).min(1.0 - f32::EPSILON / 2.0),
            Self::LogNormal => from_normal(path, normal) as f32,
        }
    }
}

/// The time at which `sigma / alpha = exp(z)`: `s / (1 + s)` on the linear path, `(2 / pi) atan(s)` on the cosine path.
pub fn from_normal(path: Path, z: f64) -> f64 {
    match path {
        // The logistic function, in the form that does not overflow.
        Path::Linear => 1.0 / (1.0 + (-z).exp()),
        Path::Cosine => FRAC_2_PI * z.exp().atan(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::Rng;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    #[test]
    fn should_be_written_with_a_hyphen() {
        let text = serde_json::to_string(&TimeSampling::LogNormal).unwrap();
        assert_eq!(text, "\"log-normal\"");
    }

    #[test]
    fn should_put_half_of_the_times_on_each_side_of_the_middle() {
        for law in [TimeSampling::Uniform, TimeSampling::LogNormal] {
            for path in [Path::Linear, Path::Cosine] {
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                let early = (0..4000)
                    .filter(|_| law.at(path, rng.random(), rng.sample(StandardNormal)) < 0.5)
                    .count();
                assert!((1850..2150).contains(&early), "{law:?} {path:?}: {early}");
            }
        }
    }

    proptest! {
        #[test]
        fn should_find_the_time_of_a_noise_to_data_ratio(z in -6f64..6.0) {
            for path in [Path::Linear, Path::Cosine] {
                let c = path.coefficients(from_normal(path, z));
                prop_assert!(((c.sigma / c.alpha).ln() - z).abs() < 1e-9);
            }
        }

        #[test]
        fn should_stay_between_data_and_noise(z in -1e4f64..1e4) {
            for path in [Path::Linear, Path::Cosine] {
                prop_assert!((0.0..=1.0).contains(&from_normal(path, z)));
            }
        }
    }
}
