//! The encoder's recipe (`configs/encoder.toml`) and the `[guide]` section of a training recipe.

use super::error::EncoderError;
use crate::data::DataConfig;
use serde::{Deserialize, Serialize};

/// Everything that decides the encoder's weights. There are no defaults: `configs/encoder.toml` spells all of it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The images; only their training part is seen.
    pub data: DataConfig,
    /// Geometry.
    pub network: NetworkConfig,
    /// How an image becomes a view.
    pub views: ViewConfig,
    /// What the views are trained towards.
    pub objective: ObjectiveConfig,
    /// How long and how fast.
    pub training: TrainingConfig,
}

/// The geometry of the convolutional network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Pixels a side that the network works at; other images are resized to it (bilinear).
    pub input: usize,
    /// Channels of the first stage; each later stage has twice as many. A multiple of 8.
    pub width: usize,
    /// Residual blocks of each stage. Every stage halves the side, so the grid is `input / 2^stages`.
    pub blocks: Vec<usize>,
    /// Channels of a token.
    pub output: usize,
}

impl NetworkConfig {
    /// Tokens a side.
    pub fn grid(&self) -> usize {
        self.input >> self.blocks.len()
    }

    /// Pixels a side that one token stands for.
    pub fn patch(&self) -> usize {
        1 << self.blocks.len()
    }

    /// Errors name the key at fault.
    pub fn validate(&self) -> Result<(), EncoderError> {
        let fault = |message: String| Err(EncoderError::Config(message));
        if self.blocks.is_empty() || self.blocks.len() > 6 {
            return fault(format!(
                "network.blocks has {} stages; 1 to 6 are possible",
                self.blocks.len()
            ));
        }
        if self.input == 0 || !self.input.is_multiple_of(self.patch()) {
            return fault(format!(
                "network.input = {} cannot be halved {} times; use a multiple of {}",
                self.input,
                self.blocks.len(),
                self.patch()
            ));
        }
        if self.width == 0 || !self.width.is_multiple_of(8) {
            return fault(format!("network.width = {}; use a multiple of 8", self.width));
        }
        if self.output == 0 {
            return fault("network.output = 0; a token needs channels".into());
        }
        Ok(())
    }
}

/// Random changes that the features shall not notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Smallest share of the area that a crop keeps, in (0, 1].
    pub area: f32,
    /// Largest rotation in degrees, either way.
    pub rotation: f32,
    /// Probability of mirroring left and right.
    pub mirror: f64,
    /// Probability of shuffling the colour channels.
    pub shuffle: f64,
    /// Probability of grey.
    pub grey: f64,
    /// Largest change of each channel's gain and offset.
    pub colour: f32,
    /// Standard deviation of the noise on the pixels (their own is 1).
    pub noise: f32,
}

/// The self-supervised loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Temperature of the contrast between images (SimCLR's tau).
    pub temperature: f32,
    /// Weight of reading the noise-free pixels of its patch back from each token: keeps tokens local.
    pub reconstruction: f32,
}

/// The optimisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Optimiser steps.
    pub steps: u64,
    /// Images a step; each gives two views.
    pub batch_size: usize,
    /// AdamW's peak rate, reached after `warm_up` steps, then falling to 0 along a half cosine.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warm_up: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f32,
    /// Seeds weights, batches and views.
    pub seed: u64,
}

impl EncoderConfig {
    /// Errors name the key at fault and what would be right.
    pub fn validate(&self) -> Result<(), EncoderError> {
        self.network.validate()?;
        let (views, objective, training) = (&self.views, &self.objective, &self.training);
        let rules = [
            (views.area > 0.0 && views.area <= 1.0, "views.area must be in (0, 1]"),
            (views.rotation.is_finite(), "views.rotation must be finite"),
            (
                views.colour >= 0.0 && views.colour < 1.0,
                "views.colour must be in [0, 1)",
            ),
            (
                views.noise >= 0.0 && views.noise.is_finite(),
                "views.noise must be finite and at least 0",
            ),
            (
                [views.mirror, views.shuffle, views.grey]
                    .iter()
                    .all(|p| (0.0..=1.0).contains(p)),
                "views.mirror, views.shuffle and views.grey are probabilities, in [0, 1]",
            ),
            (
                objective.temperature > 0.0 && objective.temperature.is_finite(),
                "objective.temperature must be above 0",
            ),
            (
                objective.reconstruction >= 0.0 && objective.reconstruction.is_finite(),
                "objective.reconstruction must be finite and at least 0",
            ),
            (
                training.batch_size > 1,
                "training.batch_size must be at least 2: images are contrasted",
            ),
            (
                training.learning_rate > 0.0 && training.learning_rate.is_finite(),
                "training.learning_rate must be above 0",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(EncoderError::Config((*rule).into())),
            None => Ok(()),
        }
    }
}

/// The `[guide]` section of a recipe: whose features the batch field `features` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuideConfig {
    /// `"embedded"`, `"untrained"` (the embedded one's architecture with its initial weights), or the path of a file that
    /// `sextant encoder train` wrote.
    #[serde(default = "embedded")]
    pub weights: String,
}

fn embedded() -> String {
    "embedded".into()
}

impl Default for GuideConfig {
    fn default() -> Self {
        Self { weights: embedded() }
    }
}
