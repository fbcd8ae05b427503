//! The two-layer perceptron of a block.

use burn::module::Module;
use burn::tensor::Tensor;

use super::linear::Linear;

/// `fc2(gelu(fc1(x)))` with the tanh approximation of GELU.
#[derive(Module, Debug)]
pub struct Mlp {
    /// D to the hidden width.
    pub fc1: Linear,
    /// The hidden width back to D.
    pub fc2: Linear,
}

impl Mlp {
    /// Maps rows `[N, D]` to `[N, D]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(gelu_tanh(self.fc1.forward(x)))
    }
}

/// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, PyTorch's `gelu(approximate="tanh")`.
///
/// Written with the logistic function, since `(1 + tanh(u)) / 2 = sigmoid(2u)`. Under autodiff the graph holds the tangent
/// `f'(x0) (x - x0) + f(x0)` in its place: the same value and gradient (though no second derivative) for one product instead
/// of a dozen operations that would be kept, and some of them computed again, for the backward pass. On the CPU that is a
/// third of the time.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !x.is_autodiff() {
        let gate = gelu_gate(x.clone());
        return x * gate;
    }
    let at = x.clone().detach();
    let gate = gelu_gate(at.clone());
    let value = at.clone() * gate.clone();
    // f = x g(x) with g = sigmoid(u), so f' = g + f (1 - g) u'.
    let slope_of_argument = at.clone().square() * (3.0 * CUBIC) + LINEAR;
    let slope = gate.clone() + value.clone() * (-gate + 1.0) * slope_of_argument;
    x * slope.clone() + (value - at * slope)
}

/// `2 sqrt(2/pi)`: twice the tanh's argument is `LINEAR x + CUBIC x^3`.
const LINEAR: f64 = 2.0 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
const CUBIC: f64 = LINEAR * 0.044715;

/// `sigmoid(LINEAR x + CUBIC x^3)`, by way of the exponential: on the CPU much cheaper than the logistic function of burn. It
/// overflows to the right limit.
fn gelu_gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let negated = x.clone().square() * -CUBIC - LINEAR;
    ((x * negated).exp() + 1.0).recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, activation};

    fn grid(device: &Device) -> Tensor<1> {
        let x: Vec<f32> = (-200..=200).map(|i| i as f32 * 0.1).collect();
        Tensor::from_data(x.as_slice(), device)
    }

    #[test]
    fn should_be_the_tanh_gelu_with_and_without_autodiff() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let x = grid(&device);
            let gap = gelu_tanh(x.clone()) - activation::gelu_approximate(x);
            assert!(gap.abs().max().into_scalar::<f32>() < 4e-6);
        }
    }

    #[test]
    fn should_have_the_gradient_of_the_tanh_gelu() {
        let gradient = |f: fn(Tensor<1>) -> Tensor<1>| {
            let x = grid(&Device::flex().autodiff()).require_grad();
            x.grad(&f(x.clone()).sum().backward()).unwrap()
        };
        let gap = gradient(gelu_tanh) - gradient(activation::gelu_approximate);
        assert!(gap.abs().max().into_scalar::<f32>() < 4e-6);
    }

    #[test]
    fn should_have_finite_limits() {
        let device = Device::flex();
        let x = Tensor::<1>::from_data([-1e4f32, 1e4].as_slice(), &device);
        let limits = gelu_tanh(x).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(limits, [0.0, 1e4]);
    }
}
