//! `irepa`: alignment with the spatial structure of an encoder's features (iREPA, arXiv 2512.10794).
//!
//! REPA with two changes, each meant to pass on where things are rather than what the image is as a whole: the projector
//! is a convolution over the grid of tokens, and the features z lose most of what all tokens share. Per sample
//!
//! ```text
//! z'   = z - alpha * mean over tokens of z
//! z''  = z' / (standard deviation over tokens of z' + 1e-6)
//! loss = -1/T * sum over tokens of cos(convolution(h), z'')
//! ```
//!
//! with means and (unbiased) deviations for each channel. The convolution begins as PyTorch's do, uniform within
//! ±1/sqrt(fan in), bias too. Published: depth 8 of 24 or 28, 4 of 12; alpha 0.6 and coefficient 1.0 in the recipe for
//! latent diffusion, 0.8 and 0.5 in that for pixels; a 3x3 kernel in the paper and the recipe for pixels, while the
//! released recipe for latents sets none and so trains the 1x1 of its trainer's default.

use serde::Deserialize;
use sextant_plugin_api::parts::{cosine_alignment, feature_width};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Convolution, DType, Error, Geometry, Guidance, GuidanceSource, Init, Plan, Step, Tensor, export_guidance,
};

/// The source.
#[derive(Debug)]
pub struct IRepa {
    config: Config,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student whose tokens are aligned. If left out 8 of 28 and of 24, 4 of 12, and in proportion.
    pub depth: Option<u32>,
    /// Batch field with the encoder's features, `[T, E]` a sample.
    pub field: String,
    /// Share of the features' mean over tokens that is taken off, 0 (nothing) to 1 (all of it).
    pub alpha: f64,
    /// Side of the convolution's kernel, odd.
    pub kernel: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: None,
            field: "features".to_owned(),
            alpha: 0.6,
            kernel: 3,
        }
    }
}

impl IRepa {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let student = geometry.student();
        student.depth_or_published(self.config.depth, &[(12, 4), (24, 8), (28, 8)])
    }

    /// The projector: tokens `[B, T, D]` as an image `[B, D, rows, columns]`, convolved, and back to `[B, T, E]`.
    fn project(&self, step: &Step, h: Tensor) -> Result<Tensor, Error> {
        let [batch, tokens, width] = h.dims()?;
        let [rows, columns] = step.geometry().student().grid;
        let (weight, bias) = (step.parameter("weight")?, step.parameter("bias")?);
        let features = weight.shape()[0];
        let image = h.transpose(1, 2).reshape([batch, width, rows, columns]);
        let padded = Convolution {
            padding: [self.config.kernel / 2; 2],
            ..Convolution::default()
        };
        let projected = image.conv2d(weight, Some(bias), padded);
        Ok(projected.reshape([batch, features, tokens]).transpose(1, 2))
    }
}

/// z'' of features z `[B, T, E]`, in f32.
fn spatially_normalised(z: Tensor, alpha: f64) -> Result<Tensor, Error> {
    let [_, tokens, _] = z.dims()?;
    let z = z.cast(DType::F32);
    let mean = z.clone().mean_keep(&[1]);
    let variance = (&z - &mean).square().sum_keep(&[1]) / (tokens as f64 - 1.0);
    Ok((z - mean * alpha) / (variance.sqrt() + 1e-6))
}

impl GuidanceSource for IRepa {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(1.0)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&config.alpha) {
            return Err(Error::new(format!(
                "`alpha` must be between 0 and 1, not {}",
                config.alpha
            )));
        }
        if config.kernel.is_multiple_of(2) {
            return Err(Error::new(format!("`kernel` must be odd, not {}", config.kernel)));
        }
        Ok(Self { config })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let student = geometry.student();
        let features = feature_width(geometry, &self.config.field)?;
        if student.prefix_tokens > 0 {
            return Err(Error::new(format!(
                "the student has {} tokens before its grid: this source convolves a grid alone",
                student.prefix_tokens
            )));
        }
        if student.tokens() < 2 {
            return Err(Error::new("one token has no spatial structure: use smaller patches"));
        }
        let side = self.config.kernel;
        let fan_in = student.width * side * side;
        let begin = Init::Uniform(1.0 / (fan_in as f64).sqrt());
        Ok(Plan::new()
            .tap(self.depth(geometry))
            .field(&self.config.field)
            .parameter("weight", [features, student.width, side, side], begin.clone())
            .parameter("bias", [features], begin))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let h = step.tap(self.depth(step.geometry()))?;
        let z = spatially_normalised(step.field(&self.config.field)?, self.config.alpha)?;
        Ok(Guidance::new(cosine_alignment(self.project(step, h)?, z)))
    }
}

export_guidance!(IRepa);
