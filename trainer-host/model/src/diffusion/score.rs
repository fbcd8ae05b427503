//! The score `grad log p(x_t)` that a velocity implies.

use burn::tensor::Tensor;

use super::path::combine;
use sextant_recipe::{Path, PathCoefficients};

/// The score from velocity `v` at `x_t`, both `[B, C, H, W]`, at one time a sample: `(r v - x_t) / (sigma^2 - r sigma' sigma)`
/// with `r = alpha / alpha'` (SiT, equation 9).
///
/// Infinite at t = 0, where the density of noised data has no smooth limit.
pub fn score_from_velocity(path: Path, v: Tensor<4>, x_t: Tensor<4>, t: &[f32]) -> Tensor<4> {
    combine(path, t, v, |c| weights(c).0, x_t, |c| weights(c).1)
}

/// The weights of `v` and `x_t` in the score: the formula with `alpha'` multiplied through, since the cosine path's vanishes
/// at t = 0.
pub(super) fn weights(c: PathCoefficients) -> (f64, f64) {
    let denominator = c.sigma * (c.d_alpha * c.sigma - c.alpha * c.d_sigma);
    (c.alpha / denominator, -c.d_alpha / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For known data and noise the score is that of a Gaussian around `alpha x`: `-n / sigma`.
        #[test]
        fn should_be_minus_the_noise_over_its_weight(x in -2f64..2.0, n in -2f64..2.0, t in 0.02f64..1.0) {
            for path in [Path::Linear, Path::Cosine] {
                let c = path.coefficients(t);
                let (x_t, v) = (c.alpha * x + c.sigma * n, c.d_alpha * x + c.d_sigma * n);
                let (a, b) = weights(c);
                let wanted = -n / c.sigma;
                prop_assert!((a * v + b * x_t - wanted).abs() < 1e-6 * (1.0 + wanted.abs()));
            }
        }
    }
}
