//! `sextant vae train`: makes a small autoencoder from a recipe.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use sextant_data::{DataError, Dataset, Stream};
use sextant_recipe::{KeyError, VaeConfig};

use super::encode::{normalised, uploaded};
use super::objective::terms;
use super::{Autoencoder, AutoencoderConfig, AutoencoderError};
use crate::pretraining::{LoggedStep, Pretraining};

/// The recipe and the data behind an autoencoder's weights; an entry of their file's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The recipe, whole.
    pub recipe: VaeConfig,
    /// [`Dataset::fingerprint`] of the data it was trained on.
    pub data: String,
    /// [`Dataset::split_fingerprint`] of that data.
    pub split: String,
}

/// An autoencoder after its training.
#[derive(Debug)]
pub struct TrainedAutoencoder {
    /// The network, with the scaling factor of its latents of the training part.
    pub network: Autoencoder,
    /// The terms of the loss over the training.
    pub log: Vec<LoggedStep>,
}

/// The configuration of the autoencoder that `config` describes, for images of `dataset`.
///
/// # Errors
/// A key of the recipe with an impossible value; data that are no RGB images, or of a side that cannot be halved as often.
pub fn check(config: &VaeConfig, dataset: &Dataset) -> Result<AutoencoderConfig, AutoencoderError> {
    config.validate()?;
    let [channels, side, _] = dataset.shape();
    let key = |message: String| AutoencoderError::Config(KeyError(message));
    if channels != 3 || dataset.standardisation().is_none() {
        return Err(key(format!(
            "data.kind: an autoencoder is trained on RGB images, and these are {channels} channels of latents"
        )));
    }
    let network = &config.network;
    let network = AutoencoderConfig {
        block_out_channels: network.block_out_channels.clone(),
        latent_channels: network.latent_channels,
        layers_per_block: network.layers_per_block,
        mid_block_add_attention: network.mid_block_add_attention,
        norm_num_groups: network.norm_num_groups,
        sample_size: side,
        ..AutoencoderConfig::default()
    };
    network.validate().map_err(|reason| key(format!("network.{reason}")))?;
    let factor = network.factor();
    match side.is_multiple_of(factor) {
        true => Ok(network),
        false => Err(key(format!(
            "network.block_out_channels has {} levels, which halve the side to 1/{factor}; data.size = {side} must be a multiple of \
             {factor}",
            network.block_out_channels.len()
        ))),
    }
}

/// Trains an autoencoder on the training part of `dataset`, which is what `config.data` names.
///
/// Deterministic on the CPU: the same recipe gives the same bits. `report` hears of the terms `reconstruction` and `divergence`.
/// When it is asked to stop or to save it writes its state to the file `checkpoint`, from which it goes on, the next time, to the same
/// bits. The file stays; whoever keeps the autoencoder deletes it.
///
/// # Errors
/// Those of [`check`]; an image that cannot be read; a file that is another training's; an interrupt.
pub fn train_autoencoder(
    config: &VaeConfig,
    dataset: &Dataset,
    device: &Device,
    checkpoint: &Path,
    report: impl FnMut(&LoggedStep),
) -> Result<TrainedAutoencoder, AutoencoderError> {
    let geometry = check(config, dataset)?;
    let training = &config.training;
    let trained_on = device.clone().autodiff();
    let network = Autoencoder::init(&geometry, training.seed, &trained_on).map_err(KeyError)?;
    let mut order = dataset.order(training.seed, training.batch_size);
    let posterior = Stream::new(training.seed, "autoencoder/posterior");
    let side = geometry.sample_size / geometry.factor();
    let latents = [geometry.latent_channels, side, side];
    let loss = |network: &Autoencoder, step: u64| {
        let batch = dataset.collect(training.seed, step, &order.batch(step), true)?;
        let noise = batch.ids.iter().flat_map(|&id| {
            let normals = posterior.at(&[step, id]).sample_iter::<f32, _>(StandardNormal);
            normals.take(latents.iter().product())
        });
        let noise = TensorData::new(noise.collect::<Vec<f32>>(), [&[batch.ids.len()][..], &latents].concat());
        let pictures = batch
            .pictures
            .ok_or_else(|| DataError::NoPictures("a batch has none".into()))?;
        let images = normalised(uploaded(&pictures, &trained_on));
        let noise = Tensor::from_data(noise, &trained_on);
        Ok::<_, AutoencoderError>(terms(network, images, noise, &config.objective))
    };
    let origin = Origin {
        recipe: config.clone(),
        data: dataset.fingerprint().into(),
        split: dataset.split_fingerprint(),
    };
    let pretraining = Pretraining {
        network: "the autoencoder",
        config: training,
        origin: &origin,
        checkpoint,
    };
    let (network, log) = pretraining.run(network, loss, report)?;
    let network = network.valid().no_grad();
    let scaling_factor = network.unit_scale(dataset, dataset.train(), device)?;
    Ok(TrainedAutoencoder {
        network: network.trained(origin, scaling_factor),
        log,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoencoder::{Moments, psnr};
    use crate::network::collect;
    use sextant_data::{Pictures, load};
    use sextant_recipe::DataConfig;

    /// Decibels that the shipped network has on held-out images, and a little below.
    const SHIPPED_PSNR: f64 = 29.0;

    const RECIPE: &str = include_str!("../../../../configs/vae.toml");

    /// A checkpoint that is not there.
    const NONE: &str = "/nowhere/checkpoint";

    fn recipe() -> VaeConfig {
        toml::from_str(RECIPE).unwrap()
    }

    fn tiny(steps: u64) -> (VaeConfig, Dataset) {
        let mut config = recipe();
        config.data = DataConfig::emoji(8, 0);
        let (network, training) = (&mut config.network, &mut config.training);
        (network.block_out_channels, network.norm_num_groups) = (vec![4, 8], 2);
        (network.latent_channels, network.layers_per_block) = (2, 1);
        (training.steps, training.batch_size, training.seed) = (steps, 8, 1);
        (training.learning_rate, training.warm_up) = (0.005, 5);
        let dataset = load(&config.data).unwrap();
        (config, dataset)
    }

    fn trained(config: &VaeConfig, dataset: &Dataset) -> TrainedAutoencoder {
        train_autoencoder(config, dataset, &Device::flex(), Path::new(NONE), |_| {}).unwrap()
    }

    #[test]
    fn should_learn_to_latents_of_unit_variance_and_give_the_same_bits_twice() {
        let (config, dataset) = tiny(80);
        let made = trained(&config, &dataset);
        let (first, last) = (&made.log[0], &made.log[made.log.len() - 1]);
        assert_eq!((made.log.len(), last.step), (4, 80));
        assert!(
            last.terms["reconstruction"] < 0.8 * first.terms["reconstruction"],
            "{first:?} {last:?}"
        );

        let network = &made.network;
        let pictures = dataset.pictures(dataset.train()).unwrap();
        let Moments { mean, std } = network.encode(normalised(uploaded(&pictures, &Device::flex())));
        let square = (mean.clone().square() + std.square()).mean().into_scalar::<f64>();
        let variance = square - mean.mean().into_scalar::<f64>().powi(2);
        assert!((variance.sqrt() * network.config().scaling_factor - 1.0).abs() < 1e-3);

        let again = trained(&config, &dataset);
        assert_eq!(collect(&again.network), collect(network));
        assert_eq!(again.network.config(), network.config());
    }

    #[test]
    fn should_keep_its_origin_in_its_folder() {
        let (config, dataset) = tiny(1);
        let network = trained(&config, &dataset).network;
        let folder = tempfile::tempdir().unwrap();
        network.save(folder.path()).unwrap();
        let read = Autoencoder::load(folder.path(), &Device::flex()).unwrap();
        let origin = read.origin().unwrap();
        assert_eq!((read.config(), Some(origin)), (network.config(), network.origin()));
        assert_eq!(
            (&origin.recipe, origin.split.clone()),
            (&config, dataset.split_fingerprint())
        );
    }

    #[test]
    fn should_name_the_key_at_fault() {
        let (config, dataset) = tiny(1);
        let fault = |change: &dyn Fn(&mut VaeConfig)| {
            let mut config = config.clone();
            change(&mut config);
            check(&config, &dataset).unwrap_err().to_string()
        };
        assert!(fault(&|c| c.network.norm_num_groups = 3).contains("network.block_out_channels has 4"));
        assert!(fault(&|c| c.network.block_out_channels = vec![4; 5]).contains("data.size = 8"));
        assert!(fault(&|c| c.network.latent_channels = 0).contains("network.latent_channels"));
        assert!(fault(&|c| c.objective.kl_weight = -1.0).contains("objective.kl_weight"));
        assert!(fault(&|c| c.training.batch_size = 0).contains("training.batch_size"));
        let latent = |c: &mut VaeConfig| {
            c.data = DataConfig::Emoji {
                size: 8,
                split_seed: 0,
                vae: Some("embedded".into()),
            }
        };
        assert!(fault(&latent).contains("data.vae"));
    }

    #[test]
    fn should_ship_a_network_of_this_recipe_that_keeps_what_is_held_out() {
        let (config, device) = (recipe(), Device::flex());
        let dataset = load(&config.data).unwrap();
        let network = Autoencoder::named("embedded", &device).unwrap();
        let origin = network.origin().unwrap();
        assert_eq!((&origin.recipe, origin.data.as_str()), (&config, dataset.fingerprint()));
        let bytes: usize = super::super::base::EMBEDDED.iter().map(|file| file.len()).sum();
        assert!(bytes <= 2_000_000, "{bytes}");
        let held_out = dataset.held_out();
        let made = network.reconstructions(&dataset, held_out, &device).unwrap();
        let found = psnr(&dataset.pictures(held_out).unwrap(), &made);
        assert!(found > SHIPPED_PSNR, "{found} dB");
    }

    #[test]
    fn should_make_latents_of_unit_variance_that_decode_to_the_images() {
        let (device, images) = (Device::flex(), load(&DataConfig::emoji(32, 0)).unwrap());
        let network = Autoencoder::named("embedded", &device).unwrap();
        let encoded = network.encoding("embedded", images.clone(), &device).unwrap();
        let encoded = encoded.with_moments().unwrap();
        let values = encoded.gather(encoded.train()).unwrap();
        let mean_of = |of: &dyn Fn(f64) -> f64| {
            let values = values.iter().map(|&value| of(value.into()));
            values.sum::<f64>() / (encoded.train().len() * encoded.sample_len()) as f64
        };
        let std = (mean_of(&|value| value * value) - mean_of(&|value| value).powi(2)).sqrt();
        assert!((0.9..1.01).contains(&std), "{std}");
        assert_eq!(encoded.picture_side().unwrap(), 32);
        let shown = &encoded.held_out()[..50];
        let pixels = encoded.to_pixels(&encoded.gather(shown).unwrap()).unwrap();
        let found = psnr(&images.pictures(shown).unwrap(), &Pictures { side: 32, pixels });
        assert!(found > SHIPPED_PSNR - 2.0, "{found} dB");

        let other = load(&DataConfig::emoji(32, 1)).unwrap();
        let refused = network.encoding("embedded", other, &device).unwrap_err().to_string();
        assert!(refused.contains("data.split_seed"), "{refused}");
    }
}
