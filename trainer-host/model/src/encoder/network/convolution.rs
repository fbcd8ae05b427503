//! Convolutions that turn an image into a grid of tokens: the encoder's network.

use super::normal;
use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use sextant_recipe::NetworkConfig;

/// Channels that a group norm treats together.
const GROUP: usize = 8;

/// A small residual network without batch statistics, so that a feature depends on its own image alone.
#[derive(Module, Debug)]
pub struct ConvolutionNetwork {
    stages: Vec<Stage>,
    norm: GroupNorm,
    head: Conv2d,
    token_norm: LayerNorm,
}

/// Halves the side, then refines.
#[derive(Module, Debug)]
struct Stage {
    down: Conv2d,
    blocks: Vec<Block>,
}

/// A pre-activation residual block (arXiv 1603.05027) with group norm.
#[derive(Module, Debug)]
struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
}

impl ConvolutionNetwork {
    /// He-normal convolutions (arXiv 1502.01852), drawn from `rng` on the CPU. `config` must be valid.
    pub fn init(config: &NetworkConfig, rng: &mut impl Rng, device: &Device) -> Self {
        let mut channels = 3;
        let mut stages = Vec::new();
        for (stage, &count) in config.blocks.iter().enumerate() {
            let width = config.width << stage;
            let down = conv(channels, width, 3, 2, 2.0, rng, device);
            let blocks = (0..count).map(|_| Block::init(width, rng, device)).collect();
            stages.push(Stage { down, blocks });
            channels = width;
        }
        Self {
            stages,
            norm: group_norm(channels, device),
            head: conv(channels, config.output, 1, 1, 1.0, rng, device),
            token_norm: LayerNormConfig::new(config.output).init(device),
        }
    }

    /// `[B, 3, input, input]` to tokens `[B, grid * grid, output]`, row by row.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let mut hidden = images;
        for stage in &self.stages {
            hidden = stage.down.forward(hidden);
            for block in &stage.blocks {
                hidden = block.forward(hidden);
            }
        }
        let hidden = self.head.forward(relu(self.norm.forward(hidden)));
        self.token_norm.forward(hidden.flatten::<3>(2, 3).swap_dims(1, 2))
    }
}

impl Block {
    fn init(width: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self {
            norm1: group_norm(width, device),
            conv1: conv(width, width, 3, 1, 2.0, rng, device),
            norm2: group_norm(width, device),
            conv2: conv(width, width, 3, 1, 2.0, rng, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(relu(self.norm1.forward(x.clone())));
        x + self.conv2.forward(relu(self.norm2.forward(hidden)))
    }
}

fn group_norm(channels: usize, device: &Device) -> GroupNorm {
    GroupNormConfig::new(channels / GROUP, channels).init(device)
}

/// A convolution whose weights have variance `gain / fan_in` and whose bias is 0; odd kernels keep the grid.
fn conv(
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
    gain: f32,
    rng: &mut impl Rng,
    device: &Device,
) -> Conv2d {
    let std = (gain / (from * kernel * kernel) as f32).sqrt();
    let pad = kernel / 2;
    Conv2d {
        weight: normal([to, from, kernel, kernel], std, rng, device),
        bias: Some(Param::from_data(TensorData::new(vec![0.0f32; to], [to]), device)),
        stride: [stride; 2],
        kernel_size: [kernel; 2],
        dilation: [1; 2],
        groups: 1,
        padding: PaddingConfig2d::Explicit(pad, pad, pad, pad),
    }
}
