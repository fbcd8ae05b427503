//! `dispersive`: samples of a batch are pushed apart in feature space (Dispersive Loss, arXiv 2506.09027).
//!
//! A contrastive loss without positives: no target, no parameters, no other network. With the student's tokens at one
//! depth flattened to h `[B, T*D]`,
//!
//! ```text
//! d_ij = |h_i - h_j|^2 / (T*D)
//! loss = log(mean over all i, j of exp(-d_ij / tau))
//! ```
//!
//! where i = j counts: the loss is 0 when all samples are one, and at least -log(B). It is a property of the batch, the
//! same number for every sample, and depends on how a batch is split over devices and micro-batches.
//!
//! Published: a quarter of the depth, tau 0.5, coefficient 0.5, 16 samples a device (the paper); the last block, tau 1,
//! coefficient 0.25, 32 samples a device (the PyTorch release).

use serde::Deserialize;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{DType, Error, Geometry, Guidance, GuidanceSource, Plan, Step, Tensor, export_guidance};

/// The source.
#[derive(Debug)]
pub struct Dispersive {
    config: Config,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student whose tokens are spread; a quarter of its depth if left out.
    pub depth: Option<u32>,
    /// Temperature: distances much greater than it count no more.
    pub tau: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { depth: None, tau: 0.5 }
    }
}

impl Dispersive {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let default = || geometry.student().depth_at(1.0 / 4.0);
        self.config.depth.unwrap_or_else(default)
    }
}

/// d of all pairs of rows of h `[B, N]`: `[B, B]`.
///
/// `|a|^2 + |b|^2 - 2 a.b` needs no tensor of all differences, which would have B times the elements of h. What it loses
/// in digits is kept small by taking off the mean of the batch, which changes no distance.
fn distances(h: &Tensor) -> Tensor {
    let width = h.shape().get(1).copied().unwrap_or(1) as f64;
    let h = h - h.clone().mean_keep(&[0]);
    let squares = h.clone().square().sum_keep(&[1]);
    let products = h.clone().matmul(h.transpose(0, 1));
    let squares = squares.clone() + squares.transpose(0, 1);
    ((squares - products * 2.0) / width).clamp(0.0, f64::INFINITY)
}

/// The loss of distances `[B, B]`, without dimensions. The diagonal, which is 0, keeps the mean at 1/B or more: no exponent and no
/// logarithm overflows.
fn dispersion(distances: Tensor, tau: f64) -> Tensor {
    (-distances / tau).exp().mean(&[0, 1]).log()
}

impl GuidanceSource for Dispersive {
    type Config = Config;

    /// The paper's; the release's 0.25 goes with its other settings.
    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.5)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if !(config.tau as f32).is_normal() || config.tau <= 0.0 {
            return Err(Error::new(format!(
                "`tau` must be finite and above 0, not {}",
                config.tau
            )));
        }
        Ok(Self { config })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new().tap(self.depth(geometry)).batch_coupled())
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let h = step.tap(self.depth(step.geometry()))?.cast(DType::F32);
        let [batch, tokens, width] = h.dims()?;
        if batch == 0 {
            return Ok(Guidance::new(step.zeros_per_sample()));
        }
        // A row's distance from itself, which rounding may leave above 0 for large features, is 0.
        let others: Vec<f32> = (0..batch * batch)
            .map(|at| f32::from(at / batch != at % batch))
            .collect();
        let distances = distances(&h.reshape([batch, tokens * width])) * step.upload(&others, [batch, batch]);
        let loss = dispersion(distances, self.config.tau);
        Ok(Guidance::new(loss.reshape([1]).expand([batch])))
    }
}

export_guidance!(Dispersive);
