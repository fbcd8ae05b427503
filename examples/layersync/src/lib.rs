//! LayerSync (arXiv 2510.12581) as a third party would write it, who has a clone of Sextant beside their crate.

use serde::Deserialize;
use sextant_plugin_api::parts::cosine_alignment;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// The source.
pub struct LayerSync {
    config: Config,
}

/// Settings of the source: the keys of its `config` table in a recipe.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block whose tokens are guided.
    pub shallow: u32,
    /// Block whose tokens guide.
    pub deep: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { shallow: 2, deep: 4 }
    }
}

impl GuidanceSource for LayerSync {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        if config.shallow >= config.deep {
            return Err(Error::new("`shallow` must be below `deep`"));
        }
        Ok(Self { config })
    }

    fn plan(&self, _geometry: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new().tap(self.config.shallow).tap(self.config.deep))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let guided = step.tap(self.config.shallow)?;
        let guiding = step.tap(self.config.deep)?.detach();
        Ok(Guidance::new(cosine_alignment(guided, guiding)))
    }
}

export_guidance!(LayerSync);
