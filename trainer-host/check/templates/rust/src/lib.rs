//! `my-source`: holds the student's tokens at one length.
//!
//! The activations of a transformer grow while it trains. EDM2 (arXiv 2312.02696) keeps them at magnitude 1 by its design;
//! this source asks for it with a loss. With r the root mean square of a token after block `depth`, per sample
//!
//! ```text
//! loss = mean over tokens of (r - size)^2
//! ```

use serde::Deserialize;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{DType, Error, Geometry, Guidance, GuidanceSource, Plan, Step};

/// The source.
pub struct Source {
    config: Config,
}

/// The keys of the source's `config` table in a recipe.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block whose tokens are held; half of the network's blocks if left out.
    pub depth: Option<u32>,
    /// Root mean square at which they are held.
    pub size: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: None,
            size: 1.0,
        }
    }
}

impl Source {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let half = || geometry.student().depth_at(0.5);
        self.config.depth.unwrap_or_else(half)
    }
}

impl GuidanceSource for Source {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        if !(config.size.is_finite() && config.size > 0.0) {
            return Err(Error::new("`size` must be a finite number above 0"));
        }
        Ok(Self { config })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new().tap(self.depth(geometry)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let tokens = step.tap(self.depth(step.geometry()))?.cast(DType::F32);
        let r = (tokens.square().mean(&[2]) + 1e-12).sqrt();
        let loss = (r - self.config.size).square();
        Ok(Guidance::new(loss.mean_per_sample()))
    }
}

sextant_plugin_api::export_guidance!(Source);
