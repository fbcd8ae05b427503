//! The batch of a step on the CPU: images, labels, fields, times, noise and dropped labels.

use std::collections::BTreeMap;

use sextant_recipe::DiffusionRecipe;

use super::batch::{Batch, Clean, FieldBatch};
use super::dataset::Dataset;
use super::draws::Draws;
use super::error::DataError;
use super::pictures::Pictures;

/// The data of one optimiser step, on the CPU. All lists have one entry a sample, tensors are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBatch {
    /// The optimiser step, counted from 0.
    pub step: u64,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Clean latents.
    pub x: Clean,
    /// The images of the samples, where networks of the step see them.
    pub pictures: Option<Pictures>,
    /// Noise.
    pub noise: Vec<f32>,
    /// Times.
    pub t: Vec<f32>,
    /// Labels.
    pub labels: Vec<i64>,
    /// Labels after dropout: some are the null class.
    pub dropped: Vec<i64>,
    /// Identities of the samples.
    pub ids: Vec<u64>,
    /// Further fields, each with a first dimension B.
    pub fields: BTreeMap<String, FieldBatch>,
}

impl HostBatch {
    /// Batch `step` of the run `seed`: what the loader yields, computed on the spot. With the images of its samples where these
    /// `pictures` are asked for.
    ///
    /// # Errors
    /// A sample, a picture or a field that cannot be read.
    pub fn new(
        dataset: &Dataset,
        seed: u64,
        step: u64,
        batch_size: usize,
        diffusion: &DiffusionRecipe,
        null_class: i64,
        pictures: bool,
    ) -> Result<Self, DataError> {
        let places = dataset.order(seed, batch_size).batch(step);
        let batch = dataset.collect(seed, step, &places, pictures)?;
        Ok(Self::draw(dataset, seed, batch, diffusion, null_class))
    }

    /// Turns the raw draws of a batch's step and samples into times, noise and dropped labels.
    pub(crate) fn draw(
        dataset: &Dataset,
        seed: u64,
        batch: Batch,
        diffusion: &DiffusionRecipe,
        null_class: i64,
    ) -> Self {
        let draws = Draws::new(seed, batch.index, &batch.ids, dataset.sample_len());
        let times = draws.uniform.iter().zip(&draws.normal);
        let dropped = batch.labels.iter().zip(&draws.drop);
        Self {
            step: batch.index,
            shape: batch.shape,
            t: times
                .map(|(uniform, normal)| diffusion.time.at(diffusion.path, *uniform, *normal))
                .collect(),
            dropped: dropped
                .map(|(label, draw)| {
                    if *draw < diffusion.label_dropout {
                        null_class
                    } else {
                        *label
                    }
                })
                .collect(),
            x: batch.x,
            pictures: batch.pictures,
            noise: draws.noise,
            labels: batch.labels,
            ids: batch.ids,
            fields: batch.fields,
        }
    }
}
