//! Latents of pictures, as a diffusion transformer is trained on them.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::{Codec, Dataset, Encode, Pictures};

use super::decode::decoder;
use super::{Autoencoder, AutoencoderError, Moments};

/// An autoencoder that encodes on a device.
#[derive(Debug)]
struct PictureEncoder {
    network: Autoencoder,
    fingerprint: String,
    device: Device,
}

impl Encode for PictureEncoder {
    fn shape(&self, side: usize) -> [usize; 3] {
        let config = self.network.config();
        let side = side / config.factor();
        [config.latent_channels, side, side]
    }

    fn scale(&self) -> f64 {
        self.network.config().scaling_factor
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn encode(&self, pictures: &Pictures) -> Vec<f32> {
        let latents = self.network.latents(uploaded(pictures, &self.device), None);
        latents.into_data().iter::<f32>().collect()
    }

    fn moments(&self, pictures: &Pictures) -> Vec<f32> {
        let shift = self.network.config().shift_factor.unwrap_or(0.0);
        let Moments { mean, std } = self.network.encode(normalised(uploaded(pictures, &self.device)));
        let moments = Tensor::cat(vec![mean - shift, std], 1);
        moments.into_data().iter::<f32>().collect()
    }
}

impl Autoencoder {
    /// Latents `[N, C, h, w]` of pictures `[N, 3, H, W]` with values from 0 to 255, scaled as in training: the points of their
    /// posteriors that standard normal `noise` `[N, C, h, w]` chooses, their means without it.
    pub fn latents(&self, pictures: Tensor<4>, noise: Option<Tensor<4>>) -> Tensor<4> {
        let Moments { mean, std } = self.encode(normalised(pictures));
        self.scaled(match noise {
            Some(noise) => mean + std * noise,
            None => mean,
        })
    }

    /// `dataset`, whose samples are pixels, as latents of this autoencoder, which the recipe calls `name`; with pictures of them.
    ///
    /// # Errors
    /// An autoencoder of other images, of a factor that does not divide their side, or that was trained on other images than this
    /// set's training part.
    pub fn encoding(&self, name: &str, dataset: Dataset, device: &Device) -> Result<Dataset, AutoencoderError> {
        let config = self.config();
        let misfit = |reason: String| AutoencoderError::Misfit {
            name: name.into(),
            reason,
        };
        let [channels, side, _] = dataset.shape();
        if !matches!(dataset.codec(), Codec::Pixels(_)) {
            return Err(misfit("the data are latents already".into()));
        }
        if config.in_channels != channels {
            return Err(misfit(format!(
                "it takes images of {} channels, the data have {channels}",
                config.in_channels
            )));
        }
        let factor = config.factor();
        if !side.is_multiple_of(factor) {
            return Err(misfit(format!(
                "one place of its latents stands for {factor} pixels a side, and the images have {side}; the size of the images must \
                 be a multiple of {factor}"
            )));
        }
        let split = dataset.split_fingerprint();
        if let Some(origin) = self.origin().filter(|origin| origin.split != split) {
            let short = |hash: &str| hash.chars().take(12).collect();
            return Err(AutoencoderError::Split {
                name: name.into(),
                trained: short(&origin.split),
                data: short(&split),
            });
        }
        let decoder = decoder(self, name, device)?;
        let encoder = PictureEncoder {
            fingerprint: self.fingerprint(),
            network: self.clone(),
            device: device.clone(),
        };
        Ok(dataset.with_encoder(Arc::new(encoder)).with_decoder(decoder))
    }
}

/// Pictures on a device, `[N, 3, H, W]` with values from 0 to 255.
pub(super) fn uploaded(pictures: &Pictures, device: &Device) -> Tensor<4> {
    let shape = [pictures.len(), 3, pictures.side, pictures.side];
    Tensor::from_data(TensorData::new(pictures.planes(), shape), device)
}

/// Pixels from 0 to 255 as published encoders of latents take them: pixel / 127.5 - 1.
pub fn normalised(pictures: Tensor<4>) -> Tensor<4> {
    pictures / 127.5 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoencoder::AutoencoderConfig;
    use sextant_data::load;
    use sextant_recipe::DataConfig;

    fn emoji() -> Dataset {
        load(&DataConfig::emoji(8, 0)).unwrap()
    }

    fn tiny(change: impl FnOnce(&mut AutoencoderConfig)) -> Autoencoder {
        let mut config = AutoencoderConfig {
            block_out_channels: vec![4, 4],
            norm_num_groups: 2,
            latent_channels: 2,
            ..AutoencoderConfig::default()
        };
        change(&mut config);
        Autoencoder::init(&config, 5, &Device::flex()).unwrap()
    }

    #[test]
    fn should_be_the_scaled_point_of_the_posterior_that_the_noise_chooses() {
        let network = tiny(|config| config.shift_factor = Some(0.25));
        let device = Device::flex();
        let pictures = emoji().pictures(&[3, 70]).unwrap();
        let images = Tensor::<4>::from_data(TensorData::new(pictures.planes(), [2, 3, 8, 8]), &device);
        let noise = Tensor::<4>::full([2, 2, 4, 4], 1.5, &device);
        let Moments { mean, std } = network.encode(images.clone() / 127.5 - 1.0);
        let wanted = (mean + std * 1.5 - 0.25) * 0.18215;
        let found = network.latents(images, Some(noise));
        assert!((found - wanted).abs().max().into_scalar::<f32>() < 1e-6);
    }

    #[test]
    fn should_show_a_network_latents_and_keep_the_pixels() {
        let (plain, network) = (emoji(), tiny(|_| {}));
        let encoded = network.encoding("vae", emoji(), &Device::flex()).unwrap();
        assert_eq!(encoded.shape(), [2, 4, 4]);
        assert_eq!(encoded.picture_side().unwrap(), 8);
        assert_eq!(encoded.codec(), Codec::Latents { scale: 0.18215 });
        assert_eq!(encoded.standardisation(), plain.standardisation());
        assert_eq!(encoded.fingerprint(), plain.fingerprint());
        assert_eq!(encoded.encoder_fingerprint(), Some(network.fingerprint().as_str()));
        // More than are encoded together.
        let ids: Vec<usize> = (0..70).collect();
        let together = encoded.gather(&ids).unwrap();
        assert_eq!(together.len(), 70 * 32);
        let alone = encoded.image(69).unwrap();
        assert!(
            together[69 * 32..]
                .iter()
                .zip(&alone)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
        assert_eq!(encoded.shown(&ids).unwrap(), plain.shown(&ids).unwrap());
        assert_eq!(
            encoded.pictures(&ids).unwrap().pixels,
            plain.to_pixels(&plain.gather(&ids).unwrap()).unwrap()
        );
    }

    #[test]
    fn should_refuse_other_channels_and_sides() {
        let refused = |network: Autoencoder, words: &[&str]| {
            let message = network
                .encoding("mine", emoji(), &Device::flex())
                .unwrap_err()
                .to_string();
            for word in ["data.vae: mine"].iter().chain(words) {
                assert!(message.contains(word), "{word} in {message}");
            }
        };
        let twice = tiny(|_| {}).encoding("vae", emoji(), &Device::flex()).unwrap();
        let message = tiny(|_| {})
            .encoding("vae", twice, &Device::flex())
            .unwrap_err()
            .to_string();
        assert!(message.contains("latents already"), "{message}");
        refused(tiny(|config| config.in_channels = 1), &["1 channels", "have 3"]);
        refused(tiny(|config| config.out_channels = 4), &["4 channels", "RGB"]);
        refused(
            tiny(|config| config.block_out_channels = vec![4; 5]),
            &["16 pixels", "have 8"],
        );
    }
}
