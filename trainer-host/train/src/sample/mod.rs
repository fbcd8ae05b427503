//! Samples of a trained network: drawn, laid out as a grid, written as PNG and `.npz`.

mod grid;
mod job;
mod label_array;
mod labels;
mod need;
mod npz;
mod partial;
mod read;
mod training;

pub use grid::{GRID_SCALE, grid_png};
pub use job::{Drawn, NoPart, Part, SampleJob};
pub use label_array::LabelOf;
pub use labels::Labels;
pub use need::SamplesNeed;
pub use npz::npz;
pub use read::{Pixels, SampleFile, read_npz};
pub use training::TrainingSamples;

use burn::tensor::{Device, Int, Tensor};

use crate::{Error, Ranks};
use serde::{Deserialize, Serialize};
use sextant_data::Dataset;
use sextant_model::Sit;
use sextant_model::diffusion::sampler::{Latents, SampleError, SampleStreams};
use sextant_model::diffusion::{Path, Prediction, Sampler, SamplerConfig};
use sextant_recipe::Recipe;

/// Samples of one pass, where nothing else is asked for.
pub const BATCH: usize = 64;

/// Settings for drawing samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drawing {
    /// Method, steps, guidance.
    pub sampler: SamplerConfig,
    /// The path of the training.
    pub path: Path,
    /// Quantity that the network predicts.
    pub prediction: Prediction,
    /// Seed of the noise.
    pub seed: u64,
    /// Samples of one pass, at least 1. With guidance a pass has twice as many rows.
    pub batch: usize,
}

impl Drawing {
    /// As a recipe says, with its seed.
    pub fn of(recipe: &Recipe) -> Self {
        Self {
            sampler: recipe.evaluation.sampler.clone(),
            path: recipe.diffusion.path,
            prediction: recipe.diffusion.prediction,
            seed: recipe.seed,
            batch: BATCH,
        }
    }
}

/// The sample grid of a recipe, drawn by `network`: labels, and RGB bytes as of [`draw`].
///
/// # Errors
/// As [`draw`].
pub fn grid(
    recipe: &Recipe,
    network: &Sit,
    dataset: &Dataset,
    device: &Device,
    ranks: &Ranks,
) -> Result<(Vec<usize>, Vec<u8>), Error> {
    let labels = labels(dataset.class_names().len(), recipe.evaluation.samples);
    let pixels = draw(network, &Drawing::of(recipe), &labels, dataset, device, ranks)?;
    Ok((labels, pixels))
}

/// One label a sample: class i modulo the number of classes, so that a grid with a column a class has one class a column.
pub fn labels(classes: usize, count: usize) -> Vec<usize> {
    (0..count).map(|i| i % classes).collect()
}

/// Draws one image a label, as RGB bytes `[N, H, W, 3]`. Sample i depends on the seed, i and its label alone. Each rank draws some passes;
/// the first has all images, and the others none.
///
/// # Errors
/// Settings or a label that the sampler cannot follow; a network whose output is not finite; a fault of other ranks.
pub fn draw(
    network: &Sit,
    drawing: &Drawing,
    labels: &[usize],
    dataset: &Dataset,
    device: &Device,
    ranks: &Ranks,
) -> Result<Vec<u8>, Error> {
    let mut drawn = Vec::new();
    let passes = labels.len().div_ceil(drawing.batch);
    ranks.share(
        passes,
        |at| pass(network, drawing, at, labels, dataset, device),
        |images| {
            drawn.extend(images);
            Ok(())
        },
    )?;
    Ok(drawn)
}

/// The images of one pass of a [`draw`], the `at`-th from 0.
///
/// # Errors
/// As [`draw`].
pub fn pass(
    network: &Sit,
    drawing: &Drawing,
    at: usize,
    labels: &[usize],
    dataset: &Dataset,
    device: &Device,
) -> Result<Vec<u8>, Error> {
    let first = at * drawing.batch;
    let labels = &labels[first..labels.len().min(first + drawing.batch)];
    images_from(network, drawing, first as u64, labels, dataset, device)
}

/// The samples from number `first` on, one a label, in one pass: RGB bytes as of [`draw`].
fn images_from(
    network: &Sit,
    drawing: &Drawing,
    first: u64,
    labels: &[usize],
    dataset: &Dataset,
    device: &Device,
) -> Result<Vec<u8>, Error> {
    let latents = latents(network, drawing, first, labels, dataset.shape(), device)?;
    if let Some(at) = latents.values.iter().position(|value| !value.is_finite()) {
        let place = at / dataset.sample_len();
        return Err(Error::Samples {
            network: None,
            sample: first as usize + place,
            class: labels[place],
            value: latents.values[at],
        });
    }
    pixels(&latents, dataset)
}

/// The sampler's latents of the samples from number `first` on, one a label, in one pass.
pub(crate) fn latents(
    network: &Sit,
    drawing: &Drawing,
    first: u64,
    labels: &[usize],
    shape: [usize; 3],
    device: &Device,
) -> Result<Latents, SampleError> {
    let sampler = Sampler {
        config: drawing.sampler.clone(),
        path: drawing.path,
        prediction: drawing.prediction,
        null_class: network.config().null_class(),
    };
    let mut streams = SampleStreams::new(drawing.seed, first..first + labels.len() as u64);
    let start = streams.initial(shape);
    let forward = |x: Tensor<4>, t: Tensor<1>, y: Tensor<1, Int>| network.forward(x, t, y, &[]).output;
    sampler.sample(forward, start, labels, &mut streams, device)
}

/// RGB bytes of what a sampler gave: the one place where latents become pixels.
fn pixels(latents: &Latents, dataset: &Dataset) -> Result<Vec<u8>, Error> {
    let values: Vec<f32> = latents.values.iter().map(|v| *v as f32).collect();
    Ok(dataset.to_pixels(&values)?)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
