//! The loop: steps of AdamW on a network's own loss, from its checkpoint to its last step.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::Tensor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sextant_interrupt as interrupt;
use sextant_recipe::TrainingConfig;

use super::checkpoint::{Checkpoint, State};
use super::error::PretrainingError;

/// Steps between two reports of progress: reading a loss waits for the device.
const REPORT_EVERY: u64 = 20;

/// A step that was reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedStep {
    /// Steps done.
    pub step: u64,
    /// The terms of the loss in the latest of them, by name.
    pub terms: BTreeMap<String, f64>,
}

/// The loss of a step, a scalar, and what is reported of it.
pub(crate) struct Terms {
    /// Minimised.
    pub loss: Tensor<1>,
    /// Scalars with their names.
    pub named: [(&'static str, Tensor<1>); 2],
}

/// A training by `config` whose state, where someone asks to stop or to save, is written to the file `checkpoint`. It goes on from
/// that the next time, if it is of the same `origin`; the file stays, and whoever keeps the network deletes it.
pub(crate) struct Pretraining<'a, O> {
    /// The network in words, such as `the encoder`.
    pub network: &'static str,
    pub config: &'a TrainingConfig,
    /// Everything that decides the weights.
    pub origin: &'a O,
    pub checkpoint: &'a Path,
}

impl<O: Clone + PartialEq + Serialize + DeserializeOwned> Pretraining<'_, O> {
    /// Trains `learner`, whose parameters must have ids that a restarted process gives them again, on the loss that `terms` says of a
    /// step. Answers it with its log.
    ///
    /// # Errors
    /// Those of `terms`; a checkpoint of another training; an interrupt.
    pub fn run<M: Module, E: From<PretrainingError>>(
        &self,
        learner: M,
        mut terms: impl FnMut(&M, u64) -> Result<Terms, E>,
        mut report: impl FnMut(&LoggedStep),
    ) -> Result<(M, Vec<LoggedStep>), E> {
        let config = self.config;
        let optimiser = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(config.weight_decay)
            .init();
        let checkpoint = Checkpoint {
            path: self.checkpoint,
            origin: self.origin,
        };
        let begun = State {
            step: 0,
            learner,
            optimiser,
            log: Vec::new(),
        };
        let mut state = checkpoint.read(begun).map_err(PretrainingError::from)?;
        let _hold = interrupt::hold();
        while state.step < config.steps {
            let (step, stop) = (state.step, interrupt::is_requested());
            if stop || interrupt::take_save() {
                checkpoint.write(&state).map_err(PretrainingError::from)?;
            }
            if stop {
                let network = self.network;
                return Err(PretrainingError::Interrupted { network, step }.into());
            }
            let Terms { loss, named } = terms(&state.learner, step)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &state.learner);
            state.learner = state.optimiser.step(rate(config, step), state.learner, gradients);
            state.step += 1;
            if state.step.is_multiple_of(REPORT_EVERY) || state.step == config.steps {
                let terms = named.map(|(name, value)| (name.to_owned(), value.into_scalar::<f32>().into()));
                let logged = LoggedStep {
                    step: state.step,
                    terms: terms.into(),
                };
                report(&logged);
                state.log.push(logged);
            }
        }
        Ok((state.learner, state.log))
    }
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
    use crate::network::linear::Linear;
    use crate::network::naming::name_parameters;
    use crate::network::{collect, unfilled};
    use burn::tensor::{Device, Distribution};

    fn config(steps: u64) -> TrainingConfig {
        TrainingConfig {
            steps,
            batch_size: 2,
            learning_rate: 0.005,
            warm_up: 5,
            weight_decay: 0.01,
            seed: 0,
        }
    }

    #[test]
    fn should_warm_up_and_end_near_zero() {
        let training = config(100);
        assert!(rate(&training, 0) < rate(&training, 4));
        assert!((rate(&training, 4) - training.learning_rate).abs() < 1e-12);
        assert!(rate(&training, 99) < training.learning_rate * 1e-3);
    }

    #[test]
    fn should_go_on_from_a_checkpoint_to_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let device = Device::flex().autodiff();
        let linear = || name_parameters(unfilled::linear(3, 2, &device), "linear");
        let weights = Tensor::<2>::random([4, 3], Distribution::Uniform(-1.0, 1.0), &device);
        let terms = |learner: &Linear, step: u64| {
            let loss = (learner.forward(weights.clone()) - step as f32).square().mean();
            let terms = Terms {
                loss: loss.clone(),
                named: [("loss", loss.clone()), ("twice", loss * 2.0)],
            };
            Ok::<_, PretrainingError>(terms)
        };
        let config = config(30);
        let training = |checkpoint, origin| Pretraining {
            network: "the line",
            config: &config,
            origin,
            checkpoint,
        };
        let (mine, other) = ("mine".to_owned(), "another".to_owned());
        let nowhere = Path::new("/nowhere/checkpoint");
        let (wanted, log) = training(nowhere, &mine).run(linear(), terms, |_| {}).unwrap();
        assert_eq!(log.iter().map(|line| line.step).collect::<Vec<_>>(), [20, 30]);
        assert_eq!(log[1].terms["twice"], 2.0 * log[1].terms["loss"]);

        // What 24 steps of the same schedule leave.
        let checkpoint = Checkpoint {
            path: &path,
            origin: &mine,
        };
        let optimiser = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
        let mut state = State {
            step: 0,
            learner: linear(),
            optimiser,
            log: vec![log[0].clone()],
        };
        while state.step < 24 {
            let loss = terms(&state.learner, state.step).unwrap().loss;
            let gradients = GradientsParams::from_grads(loss.backward(), &state.learner);
            let rate = rate(&config, state.step);
            state.learner = state.optimiser.step(rate, state.learner, gradients);
            state.step += 1;
        }
        checkpoint.write(&state).unwrap();
        let mut seen = Vec::new();
        let report = |line: &LoggedStep| seen.push(line.step);
        let (found, again) = training(&path, &mine).run(linear(), terms, report).unwrap();
        assert_eq!(collect(&found), collect(&wanted));
        assert_eq!((again, seen), (log, vec![30]));

        let refused = |origin| {
            let error = training(&path, origin).run(linear(), terms, |_| {}).unwrap_err();
            assert!(!error.is_interrupt());
            error.to_string()
        };
        let message = refused(&other);
        assert!(
            message.contains("another recipe") && message.contains("checkpoint"),
            "{message}"
        );
        std::fs::write(&path, "no tensors").unwrap();
        let message = refused(&mine);
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("delete it"), "{message}");
    }
}
