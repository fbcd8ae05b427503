//! Losses on given features that no shipped source can be given: what `guidance_losses` holds besides.
//!
//! The student's features arrive as the tap of depth 1, the others as batch fields.

use serde::Deserialize;
use sextant_plugin_api::parts::{Mask, TimeMask, feature_cfg, patchify, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, Tensor, export_guidance};

/// A loss of the fixture.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Squared error to the guided feature of `target` and `target_uncond`, masked.
    SelfTranscendence,
    /// Sum over a patchified latent weighted by `target`: shows the order of its elements.
    Patchify,
}

/// The settings of the fixture.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    part: Part,
    #[serde(default)]
    mask: Mask,
    t_min: f64,
    t_max: f64,
    scale: f64,
}

/// The source.
pub struct Parts(Config);

impl GuidanceSource for Parts {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        let plan = Plan::new().tap(1).field("target");
        Ok(match self.0.part {
            Part::SelfTranscendence => self.mask()?.declare(plan.field("target_uncond")),
            Part::Patchify => plan,
        })
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let (h, target) = (step.tap(1)?, step.field("target")?);
        let loss = match self.0.part {
            Part::SelfTranscendence => self.mask()?.masked(step, |rows| {
                let of = |t: Tensor| t.gather(0, rows);
                let guided = feature_cfg(of(target), of(step.field("target_uncond")?), self.0.scale);
                Ok(squared_error(of(h), guided))
            })?,
            Part::Patchify => {
                let patches = patchify(step.x(), step.geometry().patch)?;
                (patches * target).sum(&[1, 2]) + h.mean_per_sample() * 0.0
            }
        };
        Ok(Guidance::new(loss))
    }
}

impl Parts {
    fn mask(&self) -> Result<TimeMask, Error> {
        TimeMask::new(self.0.mask, self.0.t_min, self.0.t_max)
    }
}

export_guidance!(Parts, name = "test-parts");
