//! The network.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d, interpolate, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::architecture::{Block, Convolution, Step};
use super::file::{Contents, read};
use crate::checkpoint::CheckpointError;
use crate::network::fingerprint;

/// Pixels a side that it works at.
const SIDE: usize = 299;

/// Added to the variances of the batch norms.
const EPSILON: f64 = 0.001;

/// A frozen Inception v3, to its last pool.
#[derive(Debug, Clone)]
pub struct Inception {
    blocks: Vec<Block<Layer>>,
    width: usize,
    fingerprint: String,
}

/// A convolution with the batch norm behind it, folded into one map.
#[derive(Debug, Clone)]
struct Layer {
    /// `[out, in, height, width]`
    weight: Tensor<4>,
    /// `[out]`
    bias: Tensor<1>,
    options: ConvOptions<2>,
}

impl Inception {
    /// Reads pytorch-fid's file, or safetensors with the same names, onto `device`. Narrower networks are read too: every width
    /// divided by 2, 4, 8 or 16.
    ///
    /// # Errors
    /// A file that cannot be read; tensors that do not fit, all of them; values that are no numbers.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let Contents { blocks, tensors } = read(path)?;
        let tensors: BTreeMap<String, TensorData> = tensors
            .into_iter()
            .map(|(name, data)| (name, data.convert_dtype(DType::F32)))
            .collect();
        let mut layer = |convolution| Layer::folded(&convolution, &tensors, device);
        let blocks: Vec<Block<Layer>> = blocks
            .into_iter()
            .map(|block| {
                let branches = block.into_iter();
                let branch =
                    |steps: Vec<Step<Convolution>>| steps.into_iter().map(|step| step.map(&mut layer)).collect();
                branches.map(branch).collect()
            })
            .collect();
        let ends = blocks.last().into_iter().flatten().filter_map(|branch| branch.last());
        let width = ends
            .flat_map(Step::convolutions)
            .map(|layer: &Layer| layer.bias.dims()[0])
            .sum();
        Ok(Self {
            blocks,
            width,
            fingerprint: fingerprint("Inception v3 of pytorch-fid, pool3", &tensors),
        })
    }

    /// Features of an image: 2048 of the published network.
    pub fn width(&self) -> usize {
        self.width
    }

    /// SHA-256 (hex) of architecture and weights: equal for equal networks, in whatever file.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// pool3, `[B, width]`, of images `[B, 3, H, W]` in 0 to 1, each row of its own image alone.
    ///
    /// As pytorch-fid does it, images are resized to 299 pixels (bilinear, corners not aligned, not smoothed where they shrink)
    /// and brought to [-1, 1].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let options = InterpolateOptions::new(InterpolateMode::Bilinear)
            .with_align_corners(false)
            .with_output_size([SIDE; 2]);
        let mut x = interpolate(images, options) * 2.0 - 1.0;
        for block in &self.blocks {
            let mut branches: Vec<Tensor<4>> = block.iter().map(|branch| through(branch, x.clone())).collect();
            x = match branches.len() {
                1 => branches.remove(0),
                _ => Tensor::cat(branches, 1),
            };
        }
        let [batch, width, _, _] = x.dims();
        x.flatten::<3>(2, 3).mean_dim(2).reshape([batch, width])
    }
}

fn through(branch: &[Step<Layer>], mut x: Tensor<4>) -> Tensor<4> {
    for step in branch {
        x = match step {
            Step::Convolution(layer) => layer.forward(x),
            Step::Fork(pair) => Tensor::cat(pair.iter().map(|layer| layer.forward(x.clone())).collect(), 1),
            Step::Mean => {
                let options = AvgPoolOptions::new([3, 3]).with_stride([1, 1]).with_padding([1, 1]);
                avg_pool2d(x, options.with_count_include_pad(false))
            }
            Step::Maximum { stride, padding } => {
                let options = MaxPoolOptions::new([3, 3]).with_stride([*stride; 2]);
                max_pool2d(x, options.with_padding([*padding; 2]))
            }
        };
    }
    x
}

impl Layer {
    /// `tensors` hold the convolution's own, under the file's names.
    fn folded(convolution: &Convolution, tensors: &BTreeMap<String, TensorData>, device: &Device) -> Self {
        let Convolution {
            name,
            shape,
            stride,
            padding,
        } = convolution;
        let values = |part: &str| tensors[&format!("{name}.{part}")].iter::<f64>();
        let gains: Vec<f64> = values("bn.weight")
            .zip(values("bn.running_var"))
            .map(|(gain, variance)| gain / (variance + EPSILON).sqrt())
            .collect();
        let bias = values("bn.bias").zip(values("bn.running_mean")).zip(&gains);
        let bias: Vec<f32> = bias.map(|((bias, mean), gain)| (bias - mean * gain) as f32).collect();
        let filter = shape[1..].iter().product();
        let weight: Vec<f64> = values("conv.weight").collect();
        let weight = weight.chunks_exact(filter).zip(&gains);
        let weight: Vec<f32> = weight
            .flat_map(|(filter, gain)| filter.iter().map(move |value| (value * gain) as f32))
            .collect();
        Self {
            bias: Tensor::from_data(TensorData::new(bias, [shape[0]]), device),
            weight: Tensor::from_data(TensorData::new(weight, *shape), device),
            options: ConvOptions::new([*stride; 2], *padding, [1, 1], 1),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(conv2d(
            x,
            self.weight.clone(),
            Some(self.bias.clone()),
            self.options.clone(),
        ))
    }
}
