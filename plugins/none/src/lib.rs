//! `none`: guidance 0. A run with it equals, bit for bit, a run without any source: the baseline of a comparison, and
//! the smallest plugin there is.

use serde::Deserialize;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// A source without effect.
#[derive(Debug)]
pub struct Nothing;

/// It has no settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl GuidanceSource for Nothing {
    type Config = Config;

    fn new(_: Config) -> Result<Self, Error> {
        Ok(Self)
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new())
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        Ok(Guidance::new(step.zeros_per_sample()))
    }
}

export_guidance!(Nothing);
