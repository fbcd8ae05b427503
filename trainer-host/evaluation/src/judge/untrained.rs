//! Convolutions with random weights, which know nothing of this data and favour nobody.
//!
//! Features of untrained networks tell laws of images apart too, without a trained network's taste for its own classes
//! (Naeem et al. 2020, arXiv 2002.09797, section 3.3). There is no normalisation in it: brightness and contrast are seen.

use super::base::Backbone;
use burn::tensor::activation::relu;
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData, module};
use rand::Rng;
use rand_distr::StandardNormal;
use sextant_data::Stream;
use sextant_model::fingerprint;
use std::collections::BTreeMap;

/// Pixels a side that it works at; other images are resized to it (bilinear), so that it is one network for every size.
const SIDE: usize = 32;

/// Channels of the layers.
const CHANNELS: [usize; 3] = [16, 32, 64];

/// Names the weights. Another number is another judge.
const SEED: u64 = 0;

/// Three convolutions of 3 x 3, each rectified and halved by the mean, and the mean over what places are left.
#[derive(Debug)]
pub(super) struct Untrained {
    /// `[out, in, 3, 3]` and `[out]` of each layer.
    layers: Vec<(Tensor<4>, Tensor<1>)>,
    fingerprint: String,
}

impl Untrained {
    /// He-normal weights (arXiv 1502.01852) and normal biases, which make edges of either brightness count.
    pub fn new(device: &Device) -> Self {
        let mut rng = Stream::new(SEED, "judge/untrained").at(&[]);
        let mut normal = |shape: Vec<usize>, std: f32| {
            let count = shape.iter().product();
            let draws = (&mut rng).sample_iter::<f32, _>(StandardNormal).take(count);
            TensorData::new(draws.map(|draw| draw * std).collect::<Vec<f32>>(), shape)
        };
        let mut from = 3;
        let mut tensors = BTreeMap::new();
        let mut layers = Vec::new();
        for (layer, to) in CHANNELS.into_iter().enumerate() {
            let weight = normal(vec![to, from, 3, 3], (2.0 / (9 * from) as f32).sqrt());
            let bias = normal(vec![to], 0.1);
            tensors.insert(format!("{layer}.weight"), weight.clone());
            tensors.insert(format!("{layer}.bias"), bias.clone());
            layers.push((Tensor::from_data(weight, device), Tensor::from_data(bias, device)));
            from = to;
        }
        let architecture = format!("untrained convolution, input {SIDE}");
        Self {
            layers,
            fingerprint: fingerprint(&architecture, &tensors),
        }
    }
}

/// `[B, C, H, W]` to `[B, C, H/2, W/2]`: means of 2 x 2.
fn halved(x: Tensor<4>) -> Tensor<4> {
    let [count, channels, height, width] = x.dims();
    let cells: Tensor<6> = x.reshape([count, channels, height / 2, 2, width / 2, 2]);
    cells
        .mean_dim(5)
        .mean_dim(3)
        .reshape([count, channels, height / 2, width / 2])
}

impl Backbone for Untrained {
    fn description(&self) -> String {
        format!("convolution network, random weights, {} features", self.width())
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn width(&self) -> usize {
        CHANNELS[CHANNELS.len() - 1]
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let [count, _, height, width] = images.dims();
        let mut hidden = images * 2.0 - 1.0;
        if [height, width] != [SIDE; 2] {
            let options = InterpolateOptions::new(InterpolateMode::Bilinear)
                .with_align_corners(false)
                .with_output_size([SIDE; 2]);
            hidden = module::interpolate(hidden, options);
        }
        for (weight, bias) in &self.layers {
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            hidden = relu(module::conv2d(hidden, weight.clone(), Some(bias.clone()), options));
            hidden = halved(hidden);
        }
        hidden.flatten::<3>(2, 3).mean_dim(2).reshape([count, self.width()])
    }
}
