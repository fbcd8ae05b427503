//! A judge, and the network that it looks through.

use super::error::JudgeError;
use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::Dataset;
use sextant_records::evaluation::JudgeIdentity;
use sextant_stats::measure::Features;
use std::fmt::Debug;

/// Images that are looked at together: as many as are drawn in one pass.
pub const CHUNK: usize = sextant_train::sample::BATCH;

/// A frozen network that turns images into features.
pub trait Backbone: Debug {
    /// Family, objective and width in words: `patch network, supervised on 98 classes, 64 features`.
    fn description(&self) -> String;

    /// SHA-256 (hex) of architecture and weights.
    fn fingerprint(&self) -> String;

    /// Features of an image.
    fn width(&self) -> usize;

    /// `[B, width]` of images `[B, 3, side, side]` whose pixels lie in 0 to 1, each row of its own image alone. The side may be
    /// any: resizing and normalisation are part of the network.
    fn features(&self, images: Tensor<4>) -> Tensor<2>;
}

/// A network in whose features samples are compared with the data.
#[derive(Debug)]
pub struct Judge {
    identity: JudgeIdentity,
    backbone: Box<dyn Backbone>,
    device: Device,
}

impl Judge {
    /// `backbone` under the name that a recipe gives it; it computes on `device`, where its weights must lie.
    pub fn new(name: &str, backbone: Box<dyn Backbone>, device: &Device) -> Self {
        let identity = JudgeIdentity {
            name: name.into(),
            fingerprint: backbone.fingerprint(),
            description: backbone.description(),
        };
        Self {
            identity,
            backbone,
            device: device.clone(),
        }
    }

    /// Its name, fingerprint and description.
    pub fn identity(&self) -> &JudgeIdentity {
        &self.identity
    }

    /// As the recipe names it.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Features of an image.
    pub fn width(&self) -> usize {
        self.backbone.width()
    }

    /// `[N, width]` of RGB bytes `[N, side, side, 3]`, at least one image. Equal bytes give equal bits.
    ///
    /// # Errors
    /// Bytes that are no whole images; features that are not finite.
    pub fn features(&self, pixels: &[u8], side: usize) -> Result<Features, JudgeError> {
        let image = side * side * 3;
        if image == 0 || pixels.is_empty() || !pixels.len().is_multiple_of(image) {
            return Err(JudgeError::Pixels {
                bytes: pixels.len(),
                side,
                image,
            });
        }
        let mut values: Vec<f32> = Vec::with_capacity(pixels.len() / image * self.width());
        for chunk in pixels.chunks(CHUNK * image) {
            let count = chunk.len() / image;
            let scaled: Vec<f32> = chunk.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
            let images = Tensor::<4>::from_data(TensorData::new(scaled, [count, side, side, 3]), &self.device);
            let features = self.backbone.features(images.permute([0, 3, 1, 2]));
            values.extend(features.into_data().iter::<f32>());
        }
        Features::from_f32(&values, self.width()).map_err(|source| self.failed(source))
    }

    /// [`Judge::features`] of the data's images `ids`, at least one.
    ///
    /// # Errors
    /// Latents without a decoder; features that are not finite.
    pub fn features_of(&self, dataset: &Dataset, ids: &[usize]) -> Result<Features, JudgeError> {
        let side = dataset.picture_side()?;
        self.features(&dataset.shown(ids)?, side)
    }

    /// The kind of device that it computes on, in words: another may round otherwise.
    pub(crate) fn device(&self) -> String {
        format!("{:?}", self.device)
    }

    /// A measure's error with this judge's name.
    pub(crate) fn failed(&self, source: sextant_stats::measure::MeasureError) -> JudgeError {
        JudgeError::Measure {
            judge: self.identity.name.clone(),
            source,
        }
    }
}
