//! The network: an image becomes a grid of tokens.

mod convolution;
mod patches;

pub use convolution::ConvolutionNetwork;
pub(crate) use patches::EXPANSION;
pub use patches::PatchNetwork;
pub(super) use patches::patches;

use crate::network::{WeightsError, apply, collect};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;
use sextant_recipe::{Family, NetworkConfig};
use std::collections::BTreeMap;

/// A network of one of the families that a recipe can name. A feature depends on its own image alone.
#[derive(Module, Debug)]
pub enum Network {
    /// `family = "convolution"`
    Convolution(ConvolutionNetwork),
    /// `family = "patches"`
    Patches(PatchNetwork),
}

impl Network {
    /// Initial weights, drawn from `rng` on the CPU. `config` must be valid.
    pub fn init(config: &NetworkConfig, rng: &mut impl Rng, device: &Device) -> Self {
        match config.family {
            Family::Convolution => Self::Convolution(ConvolutionNetwork::init(config, rng, device)),
            Family::Patches => Self::Patches(PatchNetwork::init(config, rng, device)),
        }
    }

    /// `[B, 3, input, input]` to tokens `[B, grid * grid, output]`, row by row.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        match self {
            Self::Convolution(network) => network.forward(images),
            Self::Patches(network) => network.forward(images),
        }
    }

    /// Every parameter by name. The names do not say the family, the recipe beside them does.
    pub fn tensors(&self) -> BTreeMap<String, TensorData> {
        match self {
            Self::Convolution(network) => collect(network),
            Self::Patches(network) => collect(network),
        }
    }

    /// This network with the values of `tensors`: all that [`Network::tensors`] names, and nothing else.
    pub(super) fn with(self, tensors: &BTreeMap<String, TensorData>) -> Result<Self, WeightsError> {
        Ok(match self {
            Self::Convolution(network) => Self::Convolution(apply(network, tensors)?),
            Self::Patches(network) => Self::Patches(apply(network, tensors)?),
        })
    }
}

/// A parameter of normal draws with standard deviation `std`.
pub(super) fn normal<const D: usize>(
    shape: [usize; D],
    std: f32,
    rng: &mut impl Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let count = shape.iter().product();
    let values: Vec<f32> = rng
        .sample_iter::<f32, _>(StandardNormal)
        .take(count)
        .map(|draw| draw * std)
        .collect();
    Param::from_data(TensorData::new(values, shape), device)
}
