//! `sextant encoder train`: makes an encoder or a judge from a recipe.

use super::error::EncoderError;
use super::objective::Learner;
use super::views::view;
use super::{Encoder, Origin};
use crate::pretraining::{LoggedStep, Pretraining};
use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::{DataError, Dataset, Stream};
use sextant_recipe::{EncoderConfig, KeyError};
use std::path::Path;

/// Trains an encoder on the training part of `dataset`, by the recipe's objective.
///
/// `dataset` is what `config.data` names. Deterministic on the CPU: the same recipe gives the same bits. `report` hears of the terms
/// `objective` (contrast or classes) and `reconstruction`.
/// When it is asked to stop or to save it writes its state to the file `checkpoint`, from which it goes on, the next time, to the same
/// bits. The file stays; whoever keeps the encoder deletes it.
/// Errors: an invalid recipe, images that are not RGB of `network.input` pixels a side, a file that is another training's, an
/// interrupt.
pub fn train_encoder(
    config: &EncoderConfig,
    dataset: &Dataset,
    device: &Device,
    checkpoint: &Path,
    report: impl FnMut(&LoggedStep),
) -> Result<Encoder, EncoderError> {
    config.validate()?;
    let [channels, side, _] = dataset.shape();
    if channels != 3 {
        return Err(EncoderError::Channels(channels));
    }
    if side != config.network.input {
        return Err(EncoderError::Config(KeyError(format!(
            "network.input = {} but data.size = {side}; train at the size of the data",
            config.network.input
        ))));
    }
    let training = &config.training;
    let device = device.clone().autodiff();
    let mut rng = Stream::new(training.seed, "encoder/init").at(&[]);
    let learner = Learner::init(
        &config.network,
        config.objective.kind,
        dataset.subclass_names().len(),
        &mut rng,
        &device,
    );
    let mut order = dataset.order(training.seed, training.batch_size);
    let terms = |learner: &Learner, step: u64| {
        let ids: Vec<usize> = order
            .batch(step)
            .into_iter()
            .map(|place| dataset.train()[place])
            .collect();
        let (noisy, clean) = views(config, dataset, step, &ids, &device)?;
        let labels: Vec<i64> = ids.iter().map(|&id| dataset.sublabels()[id]).collect();
        Ok::<_, EncoderError>(learner.terms(noisy, clean, &labels, &config.objective))
    };
    let pretraining = Pretraining {
        network: "the encoder",
        config: training,
        origin: &Origin::of(config, dataset),
        checkpoint,
    };
    let (learner, _) = pretraining.run(learner, terms, report)?;
    Encoder::new(&learner.network, config, dataset, &device.inner())
}

/// Two views of each image, with and without noise: `[2B, 3, side, side]`, first views first.
fn views(
    config: &EncoderConfig,
    dataset: &Dataset,
    step: u64,
    ids: &[usize],
    device: &Device,
) -> Result<(Tensor<4>, Tensor<4>), DataError> {
    let [channels, side, _] = dataset.shape();
    let white = dataset.standardisation().ok_or(DataError::NeedsDecoder)?.apply(255);
    let stream = Stream::new(config.training.seed, "encoder/views");
    let (mut noisy, mut clean) = (Vec::new(), Vec::new());
    for which in 0..2 {
        for &id in ids {
            let mut rng = stream.at(&[step, id as u64, which]);
            let drawn = view(&dataset.image(id)?, side, white, &config.views, &mut rng);
            noisy.extend(drawn.noisy);
            clean.extend(drawn.clean);
        }
    }
    let upload = |values| Tensor::from_data(TensorData::new(values, [2 * ids.len(), channels, side, side]), device);
    Ok((upload(noisy), upload(clean)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_data::load;
    use sextant_recipe::{DataConfig, Family, Objective};

    /// A checkpoint that is not there.
    const NONE: &str = "/nowhere/checkpoint";

    fn tiny(steps: u64) -> (EncoderConfig, Dataset) {
        let recipe = include_str!("../../../../configs/encoder.toml");
        let mut config: EncoderConfig = toml::from_str(recipe).unwrap();
        config.data = DataConfig::emoji(8, 0);
        let (network, views, training) = (&mut config.network, &mut config.views, &mut config.training);
        (network.family, network.patch, network.input) = (Family::Convolution, None, 8);
        (network.width, network.blocks, network.output) = (8, vec![1], 8);
        (views.area, views.rotation, views.mirror, views.noise) = (0.5, 10.0, 0.5, 0.1);
        (views.shuffle, views.grey, views.colour) = (0.2, 0.2, 0.2);
        (training.steps, training.batch_size, training.seed) = (steps, 16, 1);
        (training.learning_rate, training.warm_up, training.weight_decay) = (0.005, 5, 0.0);
        config.objective.kind = Objective::Contrast;
        (config.objective.temperature, config.objective.reconstruction) = (0.2, 0.5);
        let dataset = load(&config.data).unwrap();
        (config, dataset)
    }

    /// The other family with the other objective.
    fn supervised(steps: u64) -> (EncoderConfig, Dataset) {
        let (mut config, dataset) = tiny(steps);
        config.network.family = Family::Patches;
        config.network.patch = Some(2);
        config.objective.kind = Objective::Classes;
        (config, dataset)
    }

    #[test]
    fn should_give_the_same_bits_twice() {
        for (config, dataset) in [tiny(4), supervised(4)] {
            let train = || {
                let encoder = train_encoder(&config, &dataset, &Device::flex(), Path::new(NONE), |_| {}).unwrap();
                encoder.network.tensors()
            };
            assert_eq!(train(), train());
        }
    }

    #[test]
    fn should_learn() {
        for (config, dataset) in [tiny(120), supervised(120)] {
            let mut seen = Vec::new();
            train_encoder(&config, &dataset, &Device::flex(), Path::new(NONE), |progress| {
                seen.push(progress.clone())
            })
            .unwrap();
            let (first, last) = (&seen[0], &seen[seen.len() - 1]);
            assert_eq!((last.step, seen.len()), (120, 6));
            for term in ["objective", "reconstruction"] {
                assert!(last.terms[term] < first.terms[term], "{first:?} {last:?}");
            }
        }
    }

    #[test]
    fn should_name_the_key_at_fault() {
        let (config, dataset) = tiny(1);
        let fault = |change: &dyn Fn(&mut EncoderConfig)| {
            let mut config = config.clone();
            change(&mut config);
            train_encoder(&config, &dataset, &Device::flex(), Path::new(NONE), |_| {})
                .unwrap_err()
                .to_string()
        };
        assert!(fault(&|c| c.network.width = 12).contains("network.width"));
        assert!(fault(&|c| c.network.input = 16).contains("data.size = 8"));
        assert!(fault(&|c| c.network.blocks = vec![1; 4]).contains("network.input"));
        assert!(fault(&|c| c.network.patch = Some(2)).contains("network.patch"));
        let patches =
            |patch| move |c: &mut EncoderConfig| (c.network.family, c.network.patch) = (Family::Patches, patch);
        assert!(fault(&patches(None)).contains("network.patch"));
        assert!(fault(&patches(Some(3))).contains("network.patch = 3"));
        assert!(fault(&|c| c.views.area = 0.0).contains("views.area"));
        assert!(fault(&|c| c.training.batch_size = 1).contains("training.batch_size"));
        assert!(fault(&|c| c.objective.temperature = f32::NAN).contains("objective.temperature"));
    }
}
