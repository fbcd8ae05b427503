//! An encoder's recipe (`configs/encoder.toml`, `configs/judge.toml`) and the `[encoder]` section of a training recipe.

use std::path::Path;

use super::file::table;
use super::schema::whole;
use super::{DataConfig, KeyError, RecipeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Everything that decides an encoder's weights. What has a default has it for files from before there was a choice:
/// `configs/encoder.toml` and `configs/judge.toml` spell out what they choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The images; only their training part is seen.
    pub data: DataConfig,
    /// Geometry.
    pub network: NetworkConfig,
    /// The making of views from an image.
    pub views: ViewConfig,
    /// The aim that views are trained towards.
    pub objective: ObjectiveConfig,
    /// Length and speed of the training.
    pub training: TrainingConfig,
}

/// Kind of layers that turn an image into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Residual convolutions with group norm (`ConvolutionNetwork`).
    #[default]
    Convolution,
    /// Patches that perceptrons mix, an MLP-Mixer (`PatchNetwork`).
    Patches,
}

/// The geometry of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Kind of its layers.
    #[serde(default)]
    pub family: Family,
    /// Pixels a side that the network works at; other images are resized to it (bilinear).
    pub input: usize,
    /// Pixels a side of a patch; of `patches` only, where it divides `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<usize>,
    /// Channels. Of `convolution` those of the first stage, a multiple of 8; each later stage has twice as many.
    pub width: usize,
    /// Residual blocks of each stage. Every stage of `convolution` halves the side, so its grid is `input / 2^stages`;
    /// `patches` has one stage.
    pub blocks: Vec<usize>,
    /// Channels of a token.
    pub output: usize,
}

impl NetworkConfig {
    /// Tokens a side.
    pub fn grid(&self) -> usize {
        self.input / self.patch()
    }

    /// Pixels a side that one token stands for.
    pub fn patch(&self) -> usize {
        self.patch.unwrap_or(1 << self.blocks.len())
    }

    /// Errors name the key at fault.
    pub fn validate(&self) -> Result<(), KeyError> {
        let fault = |message: String| Err(KeyError(message));
        match self.family {
            Family::Convolution => self.validate_convolution()?,
            Family::Patches => self.validate_patches()?,
        }
        if self.output == 0 {
            return fault("network.output = 0; a token needs channels".into());
        }
        // Network, views and batches fit in memory; a slip of the pen would not.
        let blocks = self.blocks.iter().max().copied().unwrap_or_default();
        for (key, value, most) in [
            ("input", self.input, 4096),
            ("width", self.width, 65_536),
            ("output", self.output, 65_536),
            ("blocks", blocks, 1000),
        ] {
            whole(&format!("network.{key}"), value as u64, 0, most)?;
        }
        Ok(())
    }

    fn validate_convolution(&self) -> Result<(), KeyError> {
        let fault = |message: String| Err(KeyError(message));
        if self.patch.is_some() {
            return fault("network.patch belongs to network.family = \"patches\"; convolutions halve the side".into());
        }
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
        Ok(())
    }

    fn validate_patches(&self) -> Result<(), KeyError> {
        let fault = |message: String| Err(KeyError(message));
        match self.patch {
            None => return fault("network.patch is missing; network.family = \"patches\" needs it".into()),
            Some(patch) if patch == 0 || self.input < patch || !self.input.is_multiple_of(patch) => {
                return fault(format!(
                    "network.patch = {patch} does not divide network.input = {}",
                    self.input
                ));
            }
            Some(_) => {}
        }
        if self.blocks.len() != 1 {
            return fault(format!(
                "network.blocks has {} stages; network.family = \"patches\" has one",
                self.blocks.len()
            ));
        }
        if self.width == 0 {
            return fault("network.width = 0; patches need channels".into());
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

/// The aim that the mean token of a view is trained towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// That of the image's other view, away from other images': self-supervised (SimCLR, arXiv 2002.05709).
    #[default]
    Contrast,
    /// The image's finer class: supervised, as the features are that published scores are measured in. For judges; an encoder
    /// that saw labels would not be compared with one that did not.
    Classes,
}

/// The loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Things that are told apart: images or classes.
    #[serde(default)]
    pub kind: Objective,
    /// Temperature of the contrast between images (SimCLR's tau), or between classes.
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
    /// Images a step; an encoder sees two views of each.
    pub batch_size: usize,
    /// AdamW's peak rate, reached after `warm_up` steps, then falling to 0 along a half cosine.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warm_up: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f32,
    /// Seeds weights, batches, and an encoder's views or an autoencoder's noise.
    #[serde(with = "super::seed")]
    pub seed: u64,
}

impl EncoderConfig {
    /// Reads a recipe. The relative paths in it stay as they are.
    ///
    /// # Errors
    /// A file that cannot be read, is empty or no recipe of an encoder; a key that is wrong.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        load(path, "data, network, views, objective, training", Self::validate)
    }

    /// Errors name the key at fault and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        images(&self.data)?;
        self.network.validate()?;
        let (views, objective, training) = (&self.views, &self.objective, &self.training);
        let rules = [
            (views.area > 0.0 && views.area <= 1.0, "views.area must be in (0, 1]"),
            (
                (0.0..=180.0).contains(&views.rotation),
                "views.rotation must be degrees, in [0, 180]",
            ),
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
                training.batch_size >= 2,
                "training.batch_size must be from 2, since images are contrasted, to 1000000",
            ),
        ];
        first_broken(&rules)?;
        training.validate()
    }
}

impl TrainingConfig {
    /// Errors name the key at fault and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        first_broken(&[
            (
                (1..=1_000_000).contains(&self.batch_size),
                "training.batch_size must be from 1 to 1000000",
            ),
            (
                self.learning_rate > 0.0 && self.learning_rate <= 1e3,
                "training.learning_rate must be above 0, and at most 1000",
            ),
            (
                (0.0..=1e3).contains(&self.weight_decay),
                "training.weight_decay must be in [0, 1000]",
            ),
            (
                (1..=1_000_000_000).contains(&self.steps),
                "training.steps must be from 1 to 1000000000",
            ),
        ])
    }
}

/// Reads the recipe of a network that is trained by itself, with these `sections`. The relative paths in it stay as they are.
///
/// # Errors
/// A file that cannot be read, is empty or no such recipe; a key that is wrong.
pub(super) fn load<C: DeserializeOwned>(
    path: &Path,
    sections: &str,
    validate: impl Fn(&C) -> Result<(), KeyError>,
) -> Result<C, RecipeError> {
    let wrong = |reason: String| RecipeError::File {
        path: path.into(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if table(path, &text)?.is_empty() {
        return Err(wrong(format!("is empty; it must have the sections {sections}")));
    }
    let config: C = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    validate(&config).map_err(|error| RecipeError::Key {
        path: path.into(),
        reason: error.0,
    })?;
    Ok(config)
}

/// The words of the first rule that does not hold.
pub(super) fn first_broken(rules: &[(bool, &str)]) -> Result<(), KeyError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(KeyError((*rule).into())),
        None => Ok(()),
    }
}

/// Refuses latents as the data of a network that is trained on images.
pub(super) fn images(data: &DataConfig) -> Result<(), KeyError> {
    data.validate()?;
    match data.vae() {
        Some(_) => Err(KeyError(
            "data.vae makes latents of the images, and this network is trained on the images themselves; leave it out"
                .into(),
        )),
        None => Ok(()),
    }
}

/// The `[encoder]` section of a recipe: whose features the batch field `features` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEncoder {
    /// `"embedded"`, `"untrained"` (the embedded one's architecture with its initial weights), the path of a file that
    /// `sextant encoder train` wrote, or a DINOv2: `hf:owner/name` of the Hugging Face hub, or the path of a folder in its layout.
    #[serde(default = "embedded")]
    pub weights: String,
    /// Blocks of a DINOv2, counted from 1, whose attention the batch field `attention` holds; if left out the last four.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<usize>>,
    /// The time at which it sees the images.
    #[serde(default)]
    pub when: EncodingTime,
}

/// The time at which an encoder sees the images of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingTime {
    /// All of them before the first step; what it sees stays in memory.
    #[default]
    Before,
    /// Those of a batch in its step, as published trainers do: nothing is kept.
    Step,
}

fn embedded() -> String {
    "embedded".into()
}

impl Default for TargetEncoder {
    fn default() -> Self {
        Self {
            weights: embedded(),
            attention: None,
            when: EncodingTime::default(),
        }
    }
}
