//! The fixed validation set: held-out images at fixed times with fixed noise, the same for every variant.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;
use sextant_data::{DataError, Dataset, Stream};
use sextant_interrupt::{self as interrupt, Interrupted};
use sextant_model::Sit;
use sextant_model::diffusion::{Interpolant, Target};
use sextant_recipe::{DiffusionRecipe, EvaluationRecipe, Path, Prediction};
use sextant_records::ValidationLoss;

use super::Error;
use super::objective::per_sample;
use super::reduce::{Ranks, bytes, floats};

/// Samples of one pass.
pub(super) const BATCH: usize = 64;

/// A part of the fixed validation set.
#[derive(Clone, Debug)]
pub struct ValidationBatch {
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Clean latents.
    pub x: Vec<f32>,
    /// Noise.
    pub noise: Vec<f32>,
    /// Times.
    pub t: Vec<f32>,
    /// Labels, none dropped.
    pub labels: Vec<i64>,
    /// The path of the training.
    pub path: Path,
    /// Quantity that the network predicts.
    pub prediction: Prediction,
}

impl ValidationBatch {
    /// Denoising loss of `network` per sample, without gradients.
    fn losses(&self, network: &Sit) -> Result<Vec<f32>, Interrupted> {
        interrupt::check()?;
        let device = network.pos_embed.device().inner();
        let images = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), self.shape), &device);
        let count = [self.shape[0]];
        let (x, noise) = (images(&self.x), images(&self.noise));
        let (x_t, velocity) = self.path.interpolate(x.clone(), noise.clone(), &self.t);
        let target = self.prediction.target(x, noise, velocity);
        let t = Tensor::from_data(TensorData::new(self.t.clone(), count), &device);
        let labels = Tensor::<1, Int>::from_data(TensorData::new(self.labels.clone(), count), &device);
        let output = network.forward(x_t, t, labels, &[]).output;
        Ok(per_sample((output - target).square()).into_data().iter().collect())
    }
}

/// Batches that pair the first `images` held-out images with `times` times each, spread evenly over (0, 1). Noise is
/// keyed by image and time under a seed of its own, so that it is the same in every run on this data.
///
/// # Errors
/// An image that cannot be read.
pub fn validation_set(
    dataset: &Dataset,
    evaluation: &EvaluationRecipe,
    diffusion: &DiffusionRecipe,
) -> Result<Vec<ValidationBatch>, DataError> {
    let [c, h, w] = dataset.shape();
    let stream = Stream::new(0, "validation/noise");
    let held_out = dataset.held_out();
    // Spread over the held-out part, whose order follows the classes.
    let count = evaluation.images.min(held_out.len());
    let images: Vec<usize> = (0..count).map(|i| held_out[i * held_out.len() / count]).collect();
    let pairs: Vec<(usize, usize)> = images
        .iter()
        .flat_map(|image| (0..evaluation.times).map(move |time| (*image, time)))
        .collect();
    pairs
        .chunks(BATCH)
        .map(|pairs| {
            let ids: Vec<usize> = pairs.iter().map(|(image, _)| *image).collect();
            let mut noise = vec![0f32; ids.len() * c * h * w];
            for ((image, time), out) in pairs.iter().zip(noise.chunks_mut(c * h * w)) {
                let normals = stream
                    .at(&[*image as u64, *time as u64])
                    .sample_iter::<f32, _>(StandardNormal);
                out.iter_mut().zip(normals).for_each(|(out, normal)| *out = normal);
            }
            Ok(ValidationBatch {
                shape: [ids.len(), c, h, w],
                x: dataset.gather(&ids)?,
                noise,
                t: pairs
                    .iter()
                    .map(|(_, time)| (*time as f32 + 0.5) / evaluation.times as f32)
                    .collect(),
                labels: ids.iter().map(|id| dataset.labels()[*id]).collect(),
                path: diffusion.path,
                prediction: diffusion.prediction,
            })
        })
        .collect()
}

/// Denoising loss of a network over a validation set. A synchronisation per batch.
///
/// # Errors
/// Somebody asked to stop.
pub fn validation_loss(network: &Sit, batches: &[ValidationBatch]) -> Result<ValidationLoss, Interrupted> {
    let losses = batches.iter().map(|batch| batch.losses(network));
    Ok(mean(batches, losses.collect::<Result<_, _>>()?))
}

/// The same, of which each rank computes some batches; the first has it, to the bit what it is on one rank.
///
/// # Errors
/// Somebody asked to stop; a fault of other ranks.
pub fn shared_validation_loss(
    network: &Sit,
    batches: &[ValidationBatch],
    ranks: &Ranks,
) -> Result<Option<ValidationLoss>, Error> {
    let mut losses = Vec::new();
    ranks.share(
        batches.len(),
        |batch| Ok(bytes(&batches[batch].losses(network)?)),
        |part| {
            losses.push(floats(part).collect());
            Ok::<_, Error>(())
        },
    )?;
    Ok(ranks.leads().then(|| mean(batches, losses)))
}

/// The mean of all losses, those of each batch in their order.
fn mean(batches: &[ValidationBatch], losses: Vec<Vec<f32>>) -> ValidationLoss {
    // Times in [0, 1] are ordered as their bits are.
    let mut of_time: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    let (mut sum, mut count) = (0.0, 0usize);
    for (batch, losses) in batches.iter().zip(losses) {
        count += losses.len();
        sum += losses.iter().map(|l| *l as f64).sum::<f64>();
        for (t, loss) in batch.t.iter().zip(&losses) {
            let of = of_time.entry(t.to_bits()).or_default();
            *of = (of.0 + f64::from(*loss), of.1 + 1);
        }
    }
    ValidationLoss {
        mean: sum / count as f64,
        by_time: of_time
            .into_iter()
            .map(|(t, (sum, count))| [f64::from(f32::from_bits(t)), sum / count as f64])
            .collect(),
    }
}
