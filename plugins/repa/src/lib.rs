//! `repa`: representation alignment (Yu et al., arXiv 2410.06940).
//!
//! A projection of the student's tokens h at one depth is turned towards the features z of a frozen encoder, which
//! come with the batch. Per sample
//!
//! ```text
//! loss = -1/T * sum over tokens of cos(projector(h), z)
//! ```
//!
//! with a projector Linear(D, P) SiLU Linear(P, P) SiLU Linear(P, E) that is trained along and dropped afterwards.
//! Published: depth 8 of 24 or 28, 4 of 12; coefficient 0.5.

use serde::Deserialize;
use sextant_plugin_api::parts::{Mlp, cosine_alignment, feature_width};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// The source.
#[derive(Debug)]
pub struct Repa {
    config: Config,
    projector: Mlp,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student whose tokens are aligned. If left out 8 of 28 and of 24, 4 of 12, and in proportion.
    pub depth: Option<u32>,
    /// Batch field with the encoder's features, `[T, E]` a sample.
    pub field: String,
    /// Width P of the projector.
    pub projector_width: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: None,
            field: "features".to_owned(),
            projector_width: 2048,
        }
    }
}

impl Repa {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let student = geometry.student();
        student.depth_or_published(self.config.depth, &[(12, 4), (24, 8), (28, 8)])
    }
}

impl GuidanceSource for Repa {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.5)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if config.projector_width == 0 {
            return Err(Error::new("`projector_width` must be at least 1, not 0"));
        }
        let projector = Mlp::projector("");
        Ok(Self { config, projector })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let Config {
            field, projector_width, ..
        } = &self.config;
        let features = feature_width(geometry, field)?;
        let plan = Plan::new().tap(self.depth(geometry)).field(field);
        let widths = [geometry.student().width, *projector_width, *projector_width, features];
        self.projector.declare(plan, &widths)
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let h = step.tap(self.depth(step.geometry()))?;
        let z = step.field(&self.config.field)?;
        let projected = self.projector.forward(step, h)?;
        Ok(Guidance::new(cosine_alignment(projected, z)))
    }
}

export_guidance!(Repa);
