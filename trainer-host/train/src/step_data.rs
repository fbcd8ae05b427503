//! What one step reads: a batch with its times, noise and dropped labels, on the CPU.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;

use super::Replica;
use sextant_data::{FieldBatch, StepItem, StepLoader};
use sextant_recipe::DiffusionRecipe;

/// A batch as the objective needs it. All lists have one entry a sample, tensors are row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct StepData {
    /// The optimiser step, counted from 0.
    pub step: u64,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Clean latents.
    pub x: Vec<f32>,
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

impl StepData {
    /// Turns an item's raw draws into times and dropped labels.
    pub fn prepare(item: StepItem, diffusion: &DiffusionRecipe, null_class: i64) -> Self {
        let StepItem { step, batch, draws } = item;
        let t = draws
            .uniform
            .iter()
            .zip(&draws.normal)
            .map(|(uniform, normal)| diffusion.time.at(diffusion.path, *uniform, *normal))
            .collect();
        let dropped = batch
            .labels
            .iter()
            .zip(&draws.drop)
            .map(|(label, draw)| {
                if *draw < diffusion.label_dropout {
                    null_class
                } else {
                    *label
                }
            })
            .collect();
        Self {
            step,
            shape: batch.shape,
            x: batch.x,
            noise: draws.noise,
            t,
            labels: batch.labels,
            dropped,
            ids: batch.ids,
            fields: batch.fields,
        }
    }

    /// Samples `start..start + count` alone: a micro-batch.
    pub fn part(&self, start: usize, count: usize) -> Self {
        let [_, c, h, w] = self.shape;
        let rows = |values: &[f32], width: usize| values[start * width..(start + count) * width].to_vec();
        Self {
            step: self.step,
            shape: [count, c, h, w],
            x: rows(&self.x, c * h * w),
            noise: rows(&self.noise, c * h * w),
            t: rows(&self.t, 1),
            labels: self.labels[start..start + count].to_vec(),
            dropped: self.dropped[start..start + count].to_vec(),
            ids: self.ids[start..start + count].to_vec(),
            fields: self
                .fields
                .iter()
                .map(|(name, field)| {
                    let width = field.shape[1..].iter().product();
                    let mut shape = field.shape.clone();
                    shape[0] = count;
                    let values = rows(&field.values, width);
                    (name.clone(), FieldBatch { shape, values })
                })
                .collect(),
        }
    }
}

/// A batch with the state of the device on which its step runs.
#[derive(Clone)]
pub struct StepInput {
    /// The batch.
    pub data: StepData,
    /// Sources, teacher, moving average of this device.
    pub replica: Arc<Mutex<Replica>>,
    /// Factor on the loss before backward: one over the number of micro-batches.
    pub scale: f64,
}

/// The training loader: prepares items and hands each the state of its device.
#[derive(Clone)]
pub struct Feed {
    loader: StepLoader,
    diffusion: DiffusionRecipe,
    null_class: i64,
    replica: Arc<Mutex<Replica>>,
}

impl Feed {
    /// Steps of `loader` for the device that `replica` belongs to.
    pub fn new(loader: StepLoader, diffusion: DiffusionRecipe, null_class: i64, replica: Arc<Mutex<Replica>>) -> Self {
        Self {
            loader,
            diffusion,
            null_class,
            replica,
        }
    }
}

impl DataLoader<StepInput> for Feed {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<StepInput> + 'a> {
        Box::new(Fed {
            feed: self,
            items: self.loader.iter(),
        })
    }

    fn num_items(&self) -> usize {
        self.loader.num_items()
    }

    /// The same loader: the step uploads its batch.
    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<StepInput>> {
        Arc::new(self.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<StepInput>> {
        Arc::new(Self {
            loader: self.loader.range(start, end),
            ..self.clone()
        })
    }
}

struct Fed<'a> {
    feed: &'a Feed,
    items: Box<dyn DataLoaderIterator<StepItem> + 'a>,
}

impl Iterator for Fed<'_> {
    type Item = Result<StepInput, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.items.next()?.map(|item| StepInput {
            data: StepData::prepare(item, &self.feed.diffusion, self.feed.null_class),
            replica: self.feed.replica.clone(),
            scale: 1.0,
        }))
    }
}

impl DataLoaderIterator<StepInput> for Fed<'_> {
    fn progress(&self) -> Progress {
        self.items.progress()
    }
}
