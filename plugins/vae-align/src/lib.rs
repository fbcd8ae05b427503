//! `vae-align`: the first stage of Self-Transcendence (arXiv 2601.07773), which needs no other network.
//!
//! The student's tokens h at a shallow depth must already tell the latents of the VAE. Per sample, for times in
//! `[t_min, t_max]` (see [`Mask`]),
//!
//! ```text
//! loss = mean((linear(layer_norm(mlp(h))) - patches of the target)^2)
//! ```
//!
//! The target is the velocity (the released trainer) or the clean latents (the paper's text). The network is then
//! frozen as the second stage's teacher. Published: depth 2 of 12, 8 of 28; coefficient 0.5; times 0.4 to 0.7.

use serde::{Deserialize, Serialize};
use sextant_plugin_api::parts::{Mask, Mlp, TimeMask, patchify, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Init, Plan, Step, Tensor, export_guidance};

/// The source.
#[derive(Debug)]
pub struct VaeAlign {
    config: Config,
    mask: TimeMask,
    projector: Mlp,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student that is aligned. If left out 8 of 28, 2 of 12, and in proportion.
    pub depth: Option<u32>,
    /// Latents that it is aligned with.
    pub target: Target,
    /// Width P of the projector.
    pub projector_width: usize,
    /// Least time that is guided, inclusive.
    pub t_min: f64,
    /// Greatest time that is guided, inclusive.
    pub t_max: f64,
    /// Meaning of the times for the loss.
    pub mask: Mask,
}

/// Targets that the tokens must tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The path's velocity, as the released trainer has it.
    Velocity,
    /// The clean latents, as the paper has it.
    Clean,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: None,
            target: Target::Velocity,
            projector_width: 2048,
            t_min: 0.4,
            t_max: 0.7,
            mask: Mask::Sample,
        }
    }
}

impl VaeAlign {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let student = geometry.student();
        student.depth_or_published(self.config.depth, &[(12, 2), (28, 8)])
    }

    /// The head: from tokens `[R, T, D]` to patches `[R, T, p*p*C]`.
    fn patches(&self, step: &Step, h: Tensor) -> Result<Tensor, Error> {
        let features = self.projector.forward(step, h)?.layer_norm(1e-6);
        let (weight, bias) = (step.parameter("linear.weight")?, step.parameter("linear.bias")?);
        Ok(features.linear(weight, Some(bias)))
    }
}

impl GuidanceSource for VaeAlign {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.5)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if config.projector_width == 0 {
            return Err(Error::new("`projector_width` must be at least 1, not 0"));
        }
        Ok(Self {
            mask: TimeMask::new(config.mask, config.t_min, config.t_max)?,
            projector: Mlp::projector("mlp."),
            config,
        })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let (width, hidden) = (geometry.student().width, self.config.projector_width);
        let patch = geometry.patch * geometry.patch * geometry.channels;
        let plan = self.mask.declare(Plan::new().tap(self.depth(geometry)));
        let plan = self.projector.declare(plan, &[width, hidden, hidden, width])?;
        Ok(plan
            .parameter("linear.weight", [patch, width], Init::XavierUniform)
            .parameter("linear.bias", [patch], Init::ZEROS))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let geometry = step.geometry();
        let loss = self.mask.masked(step, |rows| {
            let h = step.tap(self.depth(geometry))?.gather(0, rows);
            let target = match self.config.target {
                Target::Velocity => step.velocity(),
                Target::Clean => step.x(),
            };
            let target = patchify(target.gather(0, rows), geometry.patch)?;
            Ok(squared_error(self.patches(step, h)?, target))
        })?;
        Ok(Guidance::new(loss))
    }
}

export_guidance!(VaeAlign);
