//! `sextant encoder train`: makes an encoder or a judge from a recipe.

use super::checkpoint::Checkpoint;
use super::error::EncoderError;
use super::objective::Learner;
use super::views::view;
use super::{Encoder, Origin};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::{DataError, Dataset, Stream};
use sextant_interrupt as interrupt;
use sextant_recipe::{EncoderConfig, KeyError, TrainingConfig};
use std::path::Path;

/// Steps between two reports of progress: reading a loss waits for the device.
const REPORT_EVERY: u64 = 20;

/// Progress of the training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderProgress {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Loss of the objective, contrast or classes, in the latest step.
    pub objective: f32,
    /// Reconstruction loss of the latest step.
    pub reconstruction: f32,
}

/// Trains an encoder on the training part of `dataset`, by the recipe's objective.
///
/// `dataset` is what `config.data` names. Deterministic on the CPU: the same recipe gives the same bits.
/// When it is asked to stop or to save it writes its state to the file `checkpoint`, from which it goes on, the next time, to the same
/// bits. The file stays; whoever keeps the encoder deletes it.
/// Errors: an invalid recipe, images that are not RGB of `network.input` pixels a side, a file that is another training's, an
/// interrupt.
pub fn train_encoder(
    config: &EncoderConfig,
    dataset: &Dataset,
    device: &Device,
    checkpoint: &Path,
    mut progress: impl FnMut(EncoderProgress),
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
    let optimiser = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(training.weight_decay)
        .init();
    let mut order = dataset.order(training.seed, training.batch_size);
    let origin = Origin::of(config, dataset);
    let checkpoint = Checkpoint {
        path: checkpoint,
        origin: &origin,
    };
    let (first, mut learner, mut optimiser) = checkpoint.read(learner, optimiser)?;
    let _hold = interrupt::hold();
    for step in first..training.steps {
        let stop = interrupt::is_requested();
        if stop || interrupt::take_save() {
            checkpoint.write(step, &learner, &optimiser)?;
        }
        if stop {
            return Err(EncoderError::Interrupted(step));
        }
        let ids: Vec<usize> = order
            .batch(step)
            .into_iter()
            .map(|place| dataset.train()[place])
            .collect();
        let (noisy, clean) = views(config, dataset, step, &ids, &device)?;
        let labels: Vec<i64> = ids.iter().map(|&id| dataset.sublabels()[id]).collect();
        let terms = learner.terms(noisy, clean, &labels, &config.objective);
        let loss = terms.objective.clone() + terms.reconstruction.clone().mul_scalar(config.objective.reconstruction);
        let gradients = GradientsParams::from_grads(loss.backward(), &learner);
        learner = optimiser.step(rate(training, step), learner, gradients);
        if (step + 1) % REPORT_EVERY == 0 || step + 1 == training.steps {
            progress(EncoderProgress {
                step: step + 1,
                steps: training.steps,
                objective: terms.objective.into_scalar(),
                reconstruction: terms.reconstruction.into_scalar(),
            });
        }
    }
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

/// Linear warm-up, then a half cosine down to 0.
fn rate(training: &TrainingConfig, step: u64) -> f64 {
    let warm = (step + 1) as f64 / training.warm_up.max(1) as f64;
    let done = step.saturating_sub(training.warm_up) as f64;
    let rest = training.steps.saturating_sub(training.warm_up).max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done / rest).cos());
    training.learning_rate * warm.min(1.0) * cosine
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::ModuleOptimizer;
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
    fn should_go_on_from_a_checkpoint_to_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let device = Device::flex();
        for (config, dataset) in [tiny(6), supervised(6)] {
            let path = folder.path().join("checkpoint");
            let learner = || {
                let mut rng = Stream::new(1, "encoder/init").at(&[]);
                let classes = dataset.subclass_names().len();
                let device = device.clone().autodiff();
                Learner::init(&config.network, config.objective.kind, classes, &mut rng, &device)
            };
            let optimiser = || AdamWConfig::new().with_epsilon(1e-8).init();
            let origin = Origin::of(&config, &dataset);
            let checkpoint = Checkpoint {
                path: &path,
                origin: &origin,
            };
            let step = |at: u64, learner: Learner, mut optimiser: ModuleOptimizer| {
                let ids: Vec<usize> = dataset.train()[..16].to_vec();
                let (noisy, clean) = views(&config, &dataset, at, &ids, &device.clone().autodiff()).unwrap();
                let labels: Vec<i64> = ids.iter().map(|&id| dataset.sublabels()[id]).collect();
                let terms = learner.terms(noisy, clean, &labels, &config.objective);
                let loss = terms.objective + terms.reconstruction;
                let gradients = GradientsParams::from_grads(loss.backward(), &learner);
                let learner = optimiser.step(1e-3, learner, gradients);
                (learner, optimiser)
            };
            let (begun, moments) = step(0, learner(), optimiser());
            checkpoint.write(1, &begun, &moments).unwrap();
            let (wanted, _) = step(1, begun, moments);
            let (done, read, moments) = checkpoint.read(learner(), optimiser()).unwrap();
            assert_eq!(done, 1);
            let (found, _) = step(1, read, moments);
            assert_eq!(crate::network::collect(&found), crate::network::collect(&wanted));

            let mut other = config.clone();
            other.training.learning_rate *= 2.0;
            let message = train_encoder(&other, &dataset, &device, &path, |_| {})
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("another recipe") && message.contains("checkpoint"),
                "{message}"
            );
            std::fs::write(&path, "no tensors").unwrap();
            let message = train_encoder(&config, &dataset, &device, &path, |_| {})
                .unwrap_err()
                .to_string();
            let path_of = path.display().to_string();
            assert!(message.contains(&path_of) && message.contains("delete it"), "{message}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn should_learn() {
        for (config, dataset) in [tiny(120), supervised(120)] {
            let mut seen = Vec::new();
            train_encoder(&config, &dataset, &Device::flex(), Path::new(NONE), |progress| {
                seen.push(progress)
            })
            .unwrap();
            let (first, last) = (seen[0], seen[seen.len() - 1]);
            assert_eq!((last.step, seen.len()), (120, 6));
            assert!(last.reconstruction < first.reconstruction, "{first:?} {last:?}");
            assert!(last.objective < first.objective, "{first:?} {last:?}");
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

    #[test]
    fn should_warm_up_and_end_near_zero() {
        let training = tiny(100).0.training;
        assert!(rate(&training, 0) < rate(&training, 4));
        assert!((rate(&training, 4) - training.learning_rate).abs() < 1e-12);
        assert!(rate(&training, 99) < training.learning_rate * 1e-3);
    }
}
