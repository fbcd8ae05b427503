//! The batch of a step on its device, from the loader to the sources.

use std::collections::BTreeMap;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, Int, Shape, Slice, Tensor, TensorData};
use sextant_data::{Clean, FieldBatch, HostBatch, Pictures};

use super::autoencoder::Autoencoder;

/// The samples of one optimiser step, or a part of them; outside autodiff.
///
/// The plain numbers are the same as the tensors beside them, so that reading them costs no synchronisation.
#[derive(Clone, Debug)]
pub struct TrainBatch {
    /// The optimiser step, counted from 0.
    pub step: u64,
    /// Clean latents `[B, C, H, W]`.
    pub x: Tensor<4>,
    /// Noise `[B, C, H, W]`.
    pub noise: Tensor<4>,
    /// Times `[B]`.
    pub t: Tensor<1>,
    /// Labels before dropout `[B]`.
    pub labels: Tensor<1, Int>,
    /// Labels after dropout `[B]`: some are the null class.
    pub dropped: Tensor<1, Int>,
    /// The images of the samples `[B, 3, S, S]`, 0 to 255, where an encoder sees them.
    pub pictures: Option<Tensor<4>>,
    /// Batch fields `[B, …]`, by name.
    pub fields: BTreeMap<String, DispatchTensor>,
    /// Identities of the samples: B.
    pub ids: Vec<u64>,
    /// Times: B.
    pub times: Vec<f32>,
    /// Labels before dropout: B.
    pub label_values: Vec<i64>,
    /// Labels after dropout: B.
    pub dropped_values: Vec<i64>,
    /// Share of the step's samples that are in here: 1 for the whole batch.
    pub share: f64,
}

impl TrainBatch {
    /// The whole batch, on `device`. Latents that are still to be encoded are by `autoencoder`, whose tensors are there too, outside
    /// autodiff.
    ///
    /// Panics if there are such latents, and nothing that makes them.
    pub fn upload(batch: HostBatch, autoencoder: Option<&Autoencoder>, device: &Device) -> Self {
        let device = &device.clone().inner();
        let images = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, batch.shape), device);
        let pictures = batch.pictures.map(|pictures| upload_pictures(&pictures, device));
        let x = match batch.x {
            Clean::Values(values) => images(values),
            Clean::Posterior(noise) => {
                let pictures = pictures.clone().expect("latents are made of pictures");
                let autoencoder = autoencoder.expect("data of an autoencoder train with it");
                autoencoder.latents(pictures, Some(images(noise)))
            }
        };
        let count = [batch.shape[0]];
        let labels = |values: &[i64]| Tensor::from_data(TensorData::new(values.to_vec(), count), device);
        let fields = batch.fields.into_iter();
        Self {
            step: batch.step,
            x,
            pictures,
            noise: images(batch.noise),
            t: Tensor::from_data(TensorData::new(batch.t.clone(), count), device),
            labels: labels(&batch.labels),
            dropped: labels(&batch.dropped),
            fields: fields
                .map(|(name, field)| (name, upload_field(field, device)))
                .collect(),
            ids: batch.ids,
            times: batch.t,
            label_values: batch.labels,
            dropped_values: batch.dropped,
            share: 1.0,
        }
    }

    /// Number of samples B.
    pub fn samples(&self) -> usize {
        self.ids.len()
    }

    /// Samples `start..start + count` alone: a micro-batch. Its tensors are views.
    pub fn part(&self, start: usize, count: usize) -> Self {
        let all = self.samples();
        if count == all {
            return self.clone();
        }
        let rows = start..start + count;
        let images = |tensor: &Tensor<4>| tensor.clone().narrow(0, start, count);
        let labels = |tensor: &Tensor<1, Int>| tensor.clone().narrow(0, start, count);
        let field = |(name, field): (&String, &DispatchTensor)| {
            let rows = Slice::from(start as isize..(start + count) as isize);
            (name.clone(), Dispatch::float_slice(field.clone(), &[rows]))
        };
        Self {
            step: self.step,
            x: images(&self.x),
            pictures: self.pictures.as_ref().map(images),
            noise: images(&self.noise),
            t: self.t.clone().narrow(0, start, count),
            labels: labels(&self.labels),
            dropped: labels(&self.dropped),
            fields: self.fields.iter().map(field).collect(),
            ids: self.ids[rows.clone()].to_vec(),
            times: self.times[rows.clone()].to_vec(),
            label_values: self.label_values[rows.clone()].to_vec(),
            dropped_values: self.dropped_values[rows].to_vec(),
            share: self.share * (count as f64 / all as f64),
        }
    }
}

fn upload_pictures(pictures: &Pictures, device: &Device) -> Tensor<4> {
    let shape = [pictures.len(), 3, pictures.side, pictures.side];
    Tensor::from_data(TensorData::new(pictures.planes(), shape), device)
}

/// A field of any rank: the rank lives in the value, not in the type.
fn upload_field(field: FieldBatch, device: &Device) -> DispatchTensor {
    let count = field.values.len();
    let flat = Tensor::<1>::from_data(TensorData::new(field.values, [count]), device);
    Dispatch::float_reshape(flat.into_dispatch(), Shape::from(field.shape))
}
