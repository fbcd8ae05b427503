//! Pictures of the latents that a diffusion transformer is trained on.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::{Codec, Dataset, Decode};

use super::{Autoencoder, AutoencoderError};

/// An autoencoder that decodes on a device.
#[derive(Debug)]
struct PictureDecoder {
    network: Autoencoder,
    fingerprint: String,
    device: Device,
}

impl Decode for PictureDecoder {
    fn side(&self, side: usize) -> usize {
        side * self.network.config().factor()
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn decode(&self, latents: &[f32], [channels, height, width]: [usize; 3]) -> Vec<u8> {
        let count = latents.len() / (channels * height * width);
        let latents = TensorData::new(latents.to_vec(), [count, channels, height, width]);
        let latents = Tensor::from_data(latents, &self.device);
        bytes(self.network.decode(self.network.unscaled(latents)))
    }
}

/// 8-bit `[N, H, W, C]` of images `[N, C, H, W]` on the scale [-1, 1], rounded as DiT and SiT do when they sample for the evaluator:
/// 127.5 x + 128, cut off.
pub(super) fn bytes(images: Tensor<4>) -> Vec<u8> {
    let values = images.permute([0, 2, 3, 1]).into_data();
    values
        .iter::<f32>()
        .map(|value| (127.5 * value + 128.0) as u8)
        .collect()
}

impl Autoencoder {
    /// `dataset` with pictures of its latents by this autoencoder, which the recipe calls `name`.
    ///
    /// # Errors
    /// An autoencoder of another number of channels or scale; data that are no latents.
    pub fn decoding(&self, name: &str, dataset: Dataset, device: &Device) -> Result<Dataset, AutoencoderError> {
        let config = self.config();
        let [channels, ..] = dataset.shape();
        let misfit = |reason: String| AutoencoderError::Misfit {
            name: name.into(),
            reason,
        };
        let Codec::Latents { scale } = dataset.codec() else {
            return Err(misfit("the data are pixels, of which it makes no pictures".into()));
        };
        if config.latent_channels != channels {
            return Err(misfit(format!(
                "its latents have {} channels, the data {channels}",
                config.latent_channels
            )));
        }
        let shift = config.shift_factor.unwrap_or(0.0);
        if (config.scaling_factor - scale).abs() > 1e-6 * scale || shift != 0.0 {
            return Err(misfit(format!(
                "its scaling_factor is {} and its shift_factor {shift}, while the data are scaled by {scale} (data.scale) \
                 and not shifted",
                config.scaling_factor
            )));
        }
        Ok(dataset.with_decoder(decoder(self, name, device)?))
    }
}

/// The maker of pictures of the latents of `network`.
///
/// # Errors
/// A network whose pictures are not RGB.
pub(super) fn decoder(network: &Autoencoder, name: &str, device: &Device) -> Result<Arc<dyn Decode>, AutoencoderError> {
    let channels = network.config().out_channels;
    if channels != 3 {
        return Err(AutoencoderError::Misfit {
            name: name.into(),
            reason: format!("it makes pictures of {channels} channels; pictures are RGB"),
        });
    }
    Ok(Arc::new(PictureDecoder {
        fingerprint: network.fingerprint(),
        network: network.clone(),
        device: device.clone(),
    }))
}
