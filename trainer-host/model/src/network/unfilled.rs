//! Layers of networks whose values come from a file or from a generator: zeros until then, made only where nothing takes their
//! place.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::linear::Linear;
use super::norm::{GroupNorm, LayerNorm};

/// A parameter of `shape`.
pub fn parameter<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Initializer::Zeros.init(shape, device)
}

/// A dense layer.
pub fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    Linear {
        weight: parameter([outputs, inputs], device),
        bias: parameter([outputs], device),
    }
}

/// A norm over the last axis.
pub fn layer_norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    LayerNorm {
        weight: parameter([width], device),
        bias: parameter([width], device),
        epsilon,
    }
}

/// A norm over groups of channels.
pub fn group_norm(groups: usize, channels: usize, epsilon: f64, device: &Device) -> GroupNorm {
    GroupNorm {
        weight: parameter([channels], device),
        bias: parameter([channels], device),
        groups,
        epsilon,
    }
}

/// A convolution from `channels[0]` to `channels[1]` with a square kernel, a bias, and as much padding on each side as keeps the
/// grid at stride 1.
pub fn convolution(channels: [usize; 2], kernel: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    padded(
        channels,
        kernel,
        1,
        PaddingConfig2d::Explicit(pad, pad, pad, pad),
        device,
    )
}

/// A convolution with a square kernel and a bias.
pub fn padded(channels: [usize; 2], kernel: usize, stride: usize, padding: PaddingConfig2d, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(padding)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// `module` with PyTorch's own initialisation: weights and biases of dense layers and convolutions uniform within
/// `±1/sqrt(fan in)`, norms the identity.
///
/// A layer's weight must come before its bias, as it does in every layer here. Values are drawn on the CPU, in the order of the
/// fields.
pub fn drawn<M: Module>(module: M, rng: &mut impl Rng) -> M {
    struct Drawing<'a, R> {
        rng: &'a mut R,
        /// Of the last weight: what its bias is drawn from. None for a norm's.
        bound: Option<f32>,
        layer: Vec<String>,
    }
    impl<R: Rng> ModuleMapper for Drawing<'_, R> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.layer.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.layer.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.lazy_shape().to_vec();
            let bias = self.layer.last().is_some_and(|name| name == "bias");
            if !bias {
                let fan_in: usize = shape[1..].iter().product();
                self.bound = (D > 1).then(|| (fan_in as f32).sqrt().recip());
            }
            let mut value = || match self.bound {
                Some(bound) => bound * (2.0 * self.rng.random::<f32>() - 1.0),
                None if bias => 0.0,
                None => 1.0,
            };
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
            param.map(|old| {
                let tracked = old.is_require_grad();
                Tensor::from_data(TensorData::new(values, shape), &old.device()).set_require_grad(tracked)
            })
        }
    }
    module.map(&mut Drawing {
        rng,
        bound: None,
        layer: Vec::new(),
    })
}
