//! Frozen networks that see the images of each batch, as the step goes on.

use burn::tensor::Device;
use sextant_data::{Dataset, Standardisation};
use sextant_model::TrainBatch;
use sextant_model::autoencoder::Autoencoder;
use sextant_model::encoder;
use sextant_recipe::EncodingTime;

use super::error::Error;

/// The networks of a training that encode its batches; they are never trained.
#[derive(Clone, Debug, Default)]
pub struct Encoders {
    /// Makes the latents that are trained on, where the data are pixels and the recipe names it.
    pub autoencoder: Option<Autoencoder>,
    /// Gives batch fields that sources read.
    pub target: Option<Target>,
}

/// An encoder that gives batch fields for the images of a batch.
#[derive(Clone, Debug)]
pub struct Target {
    /// The network.
    pub encoder: encoder::Target,
    /// Standardisation of pixels for an encoder of ours.
    pub standardisation: Standardisation,
    /// Tokens of the student a side.
    pub grid: usize,
}

impl Target {
    /// Lets `encoder` see the images of `dataset` for a student of `grid` tokens a side: all of them now, for the fields that are
    /// `wanted`, or those of each batch in its step, with what this answers.
    ///
    /// # Errors
    /// Images that are not there, or that it must not see.
    pub fn place(
        encoder: encoder::Target,
        when: EncodingTime,
        dataset: &mut Dataset,
        grid: usize,
        wanted: &[String],
        device: &Device,
    ) -> Result<Option<Self>, Error> {
        match when {
            EncodingTime::Before => {
                encoder.add_fields(dataset, grid, wanted, device)?;
                Ok(None)
            }
            EncodingTime::Step => Ok(Some(Self {
                standardisation: encoder.check(dataset)?,
                encoder,
                grid,
            })),
        }
    }

    /// Names of the fields that it can give.
    pub fn names(&self) -> Vec<String> {
        let fields = self.encoder.fields(self.grid).into_iter();
        fields.map(|(name, _)| name).collect()
    }

    /// Values that those of its fields have for an image which sources read: `wanted`.
    pub fn values(&self, wanted: &[String]) -> usize {
        let fields = self.encoder.fields(self.grid).into_iter();
        let wanted = fields.filter(|(name, _)| wanted.contains(name));
        wanted.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Puts those of its fields that are `wanted` into `batch`, in place of its pictures.
    pub fn add_fields(&self, batch: &mut TrainBatch, wanted: &[String]) {
        let Some(pictures) = batch.pictures.take() else { return };
        let fields = self
            .encoder
            .fields_of(pictures, self.standardisation, self.grid, wanted);
        batch.fields.extend(fields);
    }

    /// Floating-point operations for an image.
    pub fn operations(&self) -> f64 {
        self.encoder.encoding_operations(1, self.grid)
    }
}
