//! The objective: two views of an image agree, or its finer class is named; and each token knows its own patch.

use super::network::{Network, normal, patches};
use crate::network::naming::name_parameters;
use crate::pretraining::Terms;
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData, module};
use rand::Rng;
use sextant_recipe::{NetworkConfig, Objective, ObjectiveConfig};

/// The network in training, with the heads that are dropped afterwards: one reads pixels from tokens, one names classes.
///
/// The contrast has no projection head: at this size of data the pooled tokens themselves come out better (by
/// nearest neighbours) when they are what is contrasted.
#[derive(Module, Debug)]
pub(super) struct Learner {
    pub network: Network,
    pixels: Param<Tensor<2>>,
    /// A direction for each finer class, `[classes, output]`; only where classes are the objective.
    classes: Option<Param<Tensor<2>>>,
}

impl Learner {
    pub fn init(
        config: &NetworkConfig,
        objective: Objective,
        classes: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Self {
        let network = Network::init(config, rng, device);
        let std = (1.0 / config.output as f32).sqrt();
        let patch = 3 * config.patch().pow(2);
        let learner = Self {
            network,
            pixels: normal([config.output, patch], std, rng, device),
            classes: match objective {
                Objective::Contrast => None,
                Objective::Classes => Some(normal([classes, config.output], std, rng, device)),
            },
        };
        // With ids that a checkpoint's moments find again.
        name_parameters(learner, "encoder")
    }

    /// `noisy` and `clean` are `[2B, 3, side, side]`: first views of B images, then second views in the same order;
    /// `labels` are the images' finer classes, `[B]`.
    pub fn terms(&self, noisy: Tensor<4>, clean: Tensor<4>, labels: &[i64], config: &ObjectiveConfig) -> Terms {
        let tokens = self.network.forward(noisy);
        let [views, count, output] = tokens.dims();
        let pooled = tokens.clone().mean_dim(1).reshape([views, output]);
        let read = module::linear(tokens.reshape([views * count, output]), self.pixels.val(), None);
        let grid = count.isqrt();
        let objective = match &self.classes {
            None => nt_xent(pooled, config.temperature),
            Some(classes) => {
                let labels = [labels, labels].concat();
                cosine_cross_entropy(pooled, classes.val(), &labels, config.temperature)
            }
        };
        let reconstruction = (read - patches(clean, grid)).square().mean();
        Terms {
            loss: objective.clone() + reconstruction.clone().mul_scalar(config.reconstruction),
            named: [("objective", objective), ("reconstruction", reconstruction)],
        }
    }
}

/// Cross-entropy of classes named by the cosine between a feature and the class's direction, divided by the temperature
/// (the normalised softmax of arXiv 1704.06369). Rows are `[N, D]`, directions `[classes, D]`.
fn cosine_cross_entropy(features: Tensor<2>, directions: Tensor<2>, labels: &[i64], temperature: f32) -> Tensor<1> {
    let (device, [classes, _]) = (features.device(), directions.dims());
    let logits = unit(features)
        .matmul(unit(directions).transpose())
        .div_scalar(temperature);
    let named: Vec<f32> = labels
        .iter()
        .flat_map(|&label| (0..classes as i64).map(move |class| if class == label { 1.0 } else { 0.0 }))
        .collect();
    let named = Tensor::<2>::from_data(TensorData::new(named, [labels.len(), classes]), &device);
    (log_softmax(logits, 1) * named)
        .sum()
        .div_scalar(-(labels.len() as f32))
}

/// Rows of length 1.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).add_scalar(1e-8).sqrt();
    rows / norm
}

/// Normalised temperature-scaled cross-entropy, equation 1 of SimCLR (arXiv 2002.05709): rows i and i + B of
/// `[2B, D]` are a pair, all other rows are its negatives.
fn nt_xent(features: Tensor<2>, temperature: f32) -> Tensor<1> {
    let [views, _] = features.dims();
    let device = features.device();
    let unit = unit(features);
    let similarity = unit.clone().matmul(unit.transpose()).div_scalar(temperature);
    let matrix = |value: &dyn Fn(usize, usize) -> f32| {
        let values: Vec<f32> = (0..views * views).map(|i| value(i / views, i % views)).collect();
        Tensor::<2>::from_data(TensorData::new(values, [views, views]), &device)
    };
    // A view is no negative of itself.
    let itself = matrix(&|row, column| if row == column { -1e9 } else { 0.0 });
    let pair = matrix(&|row, column| {
        if (row + views / 2) % views == column { 1.0 } else { 0.0 }
    });
    (log_softmax(similarity + itself, 1) * pair)
        .sum()
        .div_scalar(-(views as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_equal_the_formula_on_two_pairs() {
        let device = Device::flex();
        // Unit rows: both views of the first image along x, of the second along y.
        let rows = Tensor::<2>::from_data([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 5.0]], &device);
        let loss: f32 = nt_xent(rows, 0.5).into_scalar();
        let expected = -(2.0f32.exp() / (2.0f32.exp() + 2.0)).ln();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }

    #[test]
    fn should_name_classes_by_direction_not_by_length() {
        let device = Device::flex();
        let rows = Tensor::<2>::from_data([[3.0, 0.0], [0.0, 2.0]], &device);
        let directions = Tensor::<2>::from_data([[7.0, 0.0], [0.0, 0.5], [0.0, -1.0]], &device);
        let loss: f32 = cosine_cross_entropy(rows, directions, &[0, 1], 0.5).into_scalar();
        let of = |others: [f32; 2]| -(2.0f32.exp() / (2.0f32.exp() + others[0].exp() + others[1].exp())).ln();
        let expected = (of([0.0, 0.0]) + of([0.0, -2.0])) / 2.0;
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }
}
