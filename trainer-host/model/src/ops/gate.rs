//! Activations that are a number times a gate in (0, 1).

use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Tensor, activation};

use super::{BlockOps, is_fused, widened};
use crate::precision::full;

/// The tanh approximation of GELU (arXiv 1606.08415): `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, PyTorch's `gelu(approximate="tanh")`.
///
/// Written with the logistic function, since `(1 + tanh(u)) / 2 = sigmoid(2u)`: with `s = sigmoid(u)` and
/// `u = LINEAR x + CUBIC x^3`, the value is `x s`, and its slope `s + x s (1 - s) u'`.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    widened(x, |x| match is_fused(&x) {
        true => Tensor::from_dispatch(Dispatch::fused_gate(x.into_dispatch(), Gate::Gelu)),
        false => composed(x),
    })
}

/// `x sigmoid(x)` (arXiv 1606.08415, section 2), whose slope with `s = sigmoid(x)` is `s + x s (1 - s)`.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    widened(x, |x| match is_fused(&x) {
        true => Tensor::from_dispatch(Dispatch::fused_gate(x.into_dispatch(), Gate::Silu)),
        false => activation::silu(x),
    })
}

/// The gate of an activation.
#[derive(Clone, Copy, Debug)]
pub enum Gate {
    /// `sigmoid(LINEAR x + CUBIC x^3)`, of the tanh approximation of GELU.
    Gelu,
    /// `sigmoid(x)`.
    Silu,
}

/// Computed in f32, value and slope, of whatever type x is.
///
/// Under autodiff the graph holds the tangent `f'(x0) (x - x0) + f(x0)` in place of the function: the same value and gradient
/// (though no second derivative) for one product instead of a dozen operations that would be kept, and some of them computed
/// again, for the backward pass. The difference is 0, so that nothing cancels, in a half neither, and the slope is kept in the type of x.
fn composed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = FloatDType::from(x.dtype());
    let at = full(x.clone().detach());
    let gate = composed_gate(at.clone());
    let value = at.clone() * gate.clone();
    if !x.is_autodiff() {
        return value.cast(dtype);
    }
    let slope_of_argument = at.clone().square() * (3.0 * CUBIC) + LINEAR;
    let slope = gate.clone() + value.clone() * (-gate + 1.0) * slope_of_argument;
    let step = x.clone() - x.detach();
    step * slope.cast(dtype) + value.cast(dtype)
}

/// `2 sqrt(2/pi)`: twice the tanh's argument is `LINEAR x + CUBIC x^3`.
const LINEAR: f64 = 2.0 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
const CUBIC: f64 = LINEAR * 0.044715;

/// `sigmoid(LINEAR x + CUBIC x^3)`. It overflows to the right limit.
fn composed_gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let negated = x.clone().square() * -CUBIC - LINEAR;
    ((x * negated).exp() + 1.0).recip()
}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::flex::FlexTensor;
    use macerator::Simd;

    use super::Gate;
    use crate::ops::kernel::lanes::exp;
    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, rewrite, values};

    const LINEAR: f32 = super::LINEAR as f32;
    const CUBIC: f32 = super::CUBIC as f32;

    impl Operation<1> for Gate {
        type Kept = ();

        fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, ()) {
            let rows = rows(&x);
            let (values, _) = rewrite(x, rows, |_, x| match self {
                Gate::Gelu => to_gelu(x),
                Gate::Silu => to_silu(x),
            });
            (values, ())
        }

        fn backward(&self, [x]: [FlexTensor; 1], _: (), gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let rows = rows(&x);
            let x = contiguous(x);
            let x = values(&x);
            let (gradient, _) = rewrite(gradient, rows, |row, gradient| {
                let x = &x[row * rows[1]..][..gradient.len()];
                match self {
                    Gate::Gelu => times_slopes_of_gelu(x, gradient),
                    Gate::Silu => times_slopes_of_silu(x, gradient),
                }
            });
            [Some(gradient)]
        }
    }

    /// Rows of some numbers, all of one sample: each number is for itself.
    fn rows(x: &FlexTensor) -> [usize; 2] {
        const WIDTH: usize = 256;
        [x.layout().num_elements().div_ceil(WIDTH), WIDTH]
    }

    #[macerator::with_simd]
    fn to_gelu<S: Simd>(x: &mut [f32]) {
        for x in x {
            *x *= sigmoid(gelu_argument(*x));
        }
    }

    #[macerator::with_simd]
    fn to_silu<S: Simd>(x: &mut [f32]) {
        for x in x {
            *x *= sigmoid(*x);
        }
    }

    #[macerator::with_simd]
    fn times_slopes_of_gelu<S: Simd>(x: &[f32], gradient: &mut [f32]) {
        for (x, gradient) in x.iter().zip(gradient) {
            *gradient *= slope(*x, gelu_argument(*x), 3.0 * CUBIC * (x * x) + LINEAR);
        }
    }

    #[macerator::with_simd]
    fn times_slopes_of_silu<S: Simd>(x: &[f32], gradient: &mut [f32]) {
        for (x, gradient) in x.iter().zip(gradient) {
            *gradient *= slope(*x, *x, 1.0);
        }
    }

    /// The slope of `x sigmoid(u(x))`, with u and its slope at x.
    #[inline(always)]
    fn slope(x: f32, argument: f32, of_argument: f32) -> f32 {
        let gate = sigmoid(argument);
        gate + x * gate * (1.0 - gate) * of_argument
    }

    #[inline(always)]
    fn gelu_argument(x: f32) -> f32 {
        x * (CUBIC * (x * x) + LINEAR)
    }

    #[inline(always)]
    fn sigmoid(x: f32) -> f32 {
        1.0 / (exp(-x) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_close, assert_same_operation, tensor};
    use burn::tensor::Device;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn should_be_the_composed_form(rows in 1..70_usize, width in 1..20_usize, seed: u64) {
            let x = tensor([rows, width], 3.0, seed);
            assert_same_operation([x], |[x]| gelu_tanh(x), |[x]| composed(x), 4e-6);
        }

        #[test]
        fn should_be_the_silu_of_burn(rows in 1..70_usize, width in 1..20_usize, seed: u64) {
            let x = tensor([rows, width], 5.0, seed);
            assert_same_operation([x], |[x]| silu(x), |[x]| activation::silu(x), 4e-6);
        }
    }

    #[test]
    fn should_be_the_tanh_gelu_of_burn() {
        let x: Vec<f32> = (-200..=200).map(|i| i as f32 * 0.1).collect();
        let x = Tensor::<1>::from_data(x.as_slice(), &Device::flex());
        let burns = activation::gelu_approximate(x.clone()).into_data();
        for ours in [gelu_tanh(x.clone()), composed(x)] {
            assert_close(&ours.into_data(), &burns, 4e-6);
        }
    }

    #[test]
    fn should_have_finite_limits() {
        let device = Device::flex();
        let x = Tensor::<1>::from_data([-1e4f32, 1e4].as_slice(), &device);
        for values in [gelu_tanh(x.clone()), composed(x)] {
            assert_eq!(values.into_data().try_to_vec::<f32>().unwrap(), [0.0, 1e4]);
        }
    }

    #[test]
    fn should_not_hide_what_is_no_number() {
        let x = Tensor::<1>::from_data([f32::NAN, 1.0].as_slice(), &Device::flex());
        let values = gelu_tanh(x).into_data().try_to_vec::<f32>().unwrap();
        assert!(values[0].is_nan() && values[1].is_finite());
    }
}
