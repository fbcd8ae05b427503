//! The fixed validation set: held-out images at fixed times with fixed noise, the same for every variant.

use std::collections::BTreeMap;

use burn::train::InferenceStep;
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::{Trainee, ValidationBatch};
use sextant_data::{Dataset, Stream};
use sextant_recipe::{DiffusionRecipe, EvaluationRecipe};

/// Samples of one pass.
const BATCH: usize = 64;

/// Batches that pair the first `images` held-out images with `times` times each, spread evenly over (0, 1). Noise is
/// keyed by image and time under a seed of its own, so that it is the same in every run on this data.
pub fn validation_set(
    dataset: &Dataset,
    evaluation: &EvaluationRecipe,
    diffusion: &DiffusionRecipe,
) -> Vec<ValidationBatch> {
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
            ValidationBatch {
                shape: [ids.len(), c, h, w],
                x: dataset.gather(&ids),
                noise,
                t: pairs
                    .iter()
                    .map(|(_, time)| (*time as f32 + 0.5) / evaluation.times as f32)
                    .collect(),
                labels: ids.iter().map(|id| dataset.labels()[*id]).collect(),
                path: diffusion.path,
                prediction: diffusion.prediction,
            }
        })
        .collect()
}

/// Denoising loss over a validation set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationLoss {
    /// Over all of it.
    pub mean: f64,
    /// Time and mean loss at that time, in rising order of time.
    pub by_time: Vec<[f64; 2]>,
}

impl ValidationLoss {
    /// Whether all of it is a number.
    pub fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.by_time.iter().flatten().all(|value| value.is_finite())
    }
}

/// Denoising loss over a validation set. A synchronisation per batch.
pub fn validation_loss(model: &Trainee, batches: impl Iterator<Item = ValidationBatch>) -> ValidationLoss {
    // Times in [0, 1] are ordered as their bits are.
    let mut of_time: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
    let (mut sum, mut count) = (0.0, 0usize);
    for batch in batches {
        let times = batch.t.clone();
        if let Some(losses) = InferenceStep::step(model, batch).denoising {
            let losses: Vec<f32> = losses.into_data().iter::<f32>().collect();
            count += losses.len();
            sum += losses.iter().map(|l| *l as f64).sum::<f64>();
            for (t, loss) in times.iter().zip(&losses) {
                let of = of_time.entry(t.to_bits()).or_default();
                *of = (of.0 + f64::from(*loss), of.1 + 1);
            }
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
