//! The encoder that a recipe's `[encoder]` names.

use std::path::{Path, PathBuf};

use burn::backend::DispatchTensor;
use burn::tensor::{Device, Tensor};
use sextant_data::{Dataset, Standardisation};
use sextant_recipe::{Precision, TargetEncoder};

use super::base::{Encoder, FEATURES, target_encoder};
use super::error::EncoderError;
use super::published::Published;
use crate::dinov2::LAYOUT;
use crate::hub::{HubError, is_hub_name};
use crate::inception;

/// An encoder whose outputs become batch fields, before a training begins or step by step.
#[derive(Debug, Clone)]
pub enum Target {
    /// One that `sextant encoder train` made.
    Trained(Box<Encoder>),
    /// A DINOv2.
    Published(Box<Published>),
}

impl Target {
    /// Reads the encoder that `config` names onto `device`. A folder, or a name of the hub, is a DINOv2; a file is one of ours.
    ///
    /// # Errors
    /// An encoder that cannot be found or read, or has not the blocks that are asked for.
    pub fn load(config: &TargetEncoder, device: &Device) -> Result<Self, EncoderError> {
        if is_published(&config.weights) {
            let published = Published::load(&config.weights, device)?;
            let published = published.with_attention(config.attention.as_deref())?;
            return Ok(Self::Published(Box::new(published)));
        }
        match &config.attention {
            None => Ok(Self::Trained(Box::new(target_encoder(config, device)?))),
            Some(asked) => Err(EncoderError::Attention {
                asked: asked.clone(),
                reason: "encoders of `sextant encoder train` have no attention; leave it out, or name a DINOv2".into(),
            }),
        }
    }

    /// The same, a DINOv2 with its matrices in this type, and computing in it; encoders of ours are small, and stay as they are.
    pub fn held_in(self, precision: Precision) -> Self {
        match self {
            Self::Trained(encoder) => Self::Trained(encoder),
            Self::Published(published) => Self::Published(Box::new(published.held_in(precision))),
        }
    }

    /// SHA-256 (hex) of architecture and weights.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Trained(encoder) => encoder.fingerprint(),
            Self::Published(published) => published.network().fingerprint(),
        }
    }

    /// Number of scalars in its parameters.
    pub fn parameter_count(&self) -> usize {
        match self {
            Self::Trained(encoder) => encoder.parameter_count(),
            Self::Published(published) => published.network().parameter_count(),
        }
    }

    /// Bytes of its parameters, [`held_in`](Self::held_in) this type.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        let held = match self {
            Self::Trained(_) => Precision::F32,
            Self::Published(_) => precision,
        };
        held.bytes() * self.parameter_count() as u64
    }

    /// Floating-point operations of its training; none where nobody says how it was trained.
    pub fn training_operations(&self) -> Option<f64> {
        match self {
            Self::Trained(encoder) => Some(encoder.training_operations()),
            Self::Published(_) => None,
        }
    }

    /// Floating-point operations of encoding `images` images for a student of `grid` tokens a side.
    pub fn encoding_operations(&self, images: usize, grid: usize) -> f64 {
        match self {
            Self::Trained(encoder) => encoder.encoding_operations(images),
            Self::Published(published) => published.network().config().operations(grid) as f64 * images as f64,
        }
    }

    /// Name and shape, of one sample, of every batch field that it can add for a student of `grid` tokens a side.
    pub fn fields(&self, grid: usize) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Trained(encoder) => vec![(FEATURES.to_owned(), encoder.shape().to_vec())],
            Self::Published(published) => published.fields(grid),
        }
    }

    /// Checks that it may see the images of `dataset`, and can; answers how their pixels are standardised for an encoder of ours.
    ///
    /// # Errors
    /// Images that are not there; a split that is not its own.
    pub fn check(&self, dataset: &Dataset) -> Result<Standardisation, EncoderError> {
        match self {
            Self::Trained(encoder) => encoder.check(dataset),
            Self::Published(_) => {
                dataset.source_side()?;
                Ok(Standardisation::RANGE)
            }
        }
    }

    /// Those of its fields that are `wanted`, `[B, …]`, for a student of `grid` tokens a side and pictures `[B, 3, S, S]` with values from
    /// 0 to 255, which [`check`](Self::check) says how to standardise.
    pub fn fields_of(
        &self,
        pictures: Tensor<4>,
        standardisation: Standardisation,
        grid: usize,
        wanted: &[String],
    ) -> Vec<(String, DispatchTensor)> {
        match self {
            Self::Trained(encoder) if wanted.iter().any(|name| name == FEATURES) => {
                let Standardisation { mean, std } = standardisation;
                let features = encoder.features((pictures / 127.5 - (1.0 + mean)) / std);
                vec![(FEATURES.to_owned(), features.into_dispatch())]
            }
            Self::Trained(_) => Vec::new(),
            Self::Published(published) => published.fields_of(pictures, grid, wanted),
        }
    }

    /// Adds those of its fields that are `wanted` to `dataset`, for every image.
    ///
    /// # Errors
    /// Data that it cannot see, or must not.
    pub fn add_fields(
        &self,
        dataset: &mut Dataset,
        grid: usize,
        wanted: &[String],
        device: &Device,
    ) -> Result<(), EncoderError> {
        match self {
            Self::Trained(encoder) if wanted.iter().any(|name| name == FEATURES) => {
                encoder.add_features(dataset, device)
            }
            Self::Trained(_) => Ok(()),
            Self::Published(published) => published.add_fields(dataset, grid, wanted, device),
        }
    }
}

/// True for a name of the hub, and for a folder, which one of our own files is not.
pub(super) fn is_published(name: &str) -> bool {
    let built_in = matches!(name, "embedded" | "untrained");
    is_hub_name(name) || !built_in && Path::new(name).is_dir()
}

/// The file of weights behind the name of an encoder or a judge that is no built-in one, and its commit if it came from the hub.
///
/// # Errors
/// A name of the hub that is not found.
pub fn weights_file(name: &str) -> Result<(PathBuf, Option<String>), HubError> {
    if let Some(file) = inception::weights_file(name) {
        return Ok(file);
    }
    match is_published(name) {
        true => LAYOUT.weights_file(name),
        false => Ok((name.into(), None)),
    }
}
