//! The interpolant between data and noise on tensors (SiT, arXiv 2401.08740): `x_t = alpha(t) x + sigma(t) n`.

use burn::tensor::{DType, Device, Tensor, TensorData};
use sextant_recipe::{Path, PathCoefficients};

/// A [`Path`] on batches of latents `[B, C, H, W]`, at one time a sample.
///
/// The times are plain numbers, since they were drawn on the CPU; only their coefficients travel to the device.
pub trait Interpolant {
    /// `x_t` and the velocity `d x_t / d t` for data `x` and noise `n`.
    fn interpolate(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> (Tensor<4>, Tensor<4>);

    /// `alpha x + sigma n`.
    fn diffuse(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4>;

    /// `alpha' x + sigma' n`.
    fn velocity(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4>;
}

impl Interpolant for Path {
    fn interpolate(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> (Tensor<4>, Tensor<4>) {
        (self.diffuse(x.clone(), n.clone(), t), self.velocity(x, n, t))
    }

    fn diffuse(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4> {
        combine(self, t, x, |c| c.alpha, n, |c| c.sigma)
    }

    fn velocity(self, x: Tensor<4>, n: Tensor<4>, t: &[f32]) -> Tensor<4> {
        combine(self, t, x, |c| c.d_alpha, n, |c| c.d_sigma)
    }
}

/// `a(t) x + b(t) y`, with one t a sample.
pub(super) fn combine(
    path: Path,
    t: &[f32],
    x: Tensor<4>,
    a: impl Fn(PathCoefficients) -> f64,
    y: Tensor<4>,
    b: impl Fn(PathCoefficients) -> f64,
) -> Tensor<4> {
    let device = x.device();
    let at = |weight: &dyn Fn(PathCoefficients) -> f64| {
        t.iter()
            .map(|t| weight(path.coefficients(f64::from(*t))) as f32)
            .collect()
    };
    let (a, b) = (at(&a), at(&b));
    let dtype = x.dtype();
    x * per_sample(a, dtype, &device) + y * per_sample(b, dtype, &device)
}

fn per_sample(values: Vec<f32>, dtype: DType, device: &Device) -> Tensor<4> {
    let shape = [values.len(), 1, 1, 1];
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}
