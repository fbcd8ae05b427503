//! `layersync`: a network whose deeper blocks guide its shallow ones (LayerSync, arXiv 2510.12581).
//!
//! The student's tokens h at one depth are turned towards its own tokens at a deeper one, which is taken as it is: no
//! gradient reaches it. It needs no other network, no parameters and no forward pass. Per sample
//!
//! ```text
//! loss = -1/T * sum over tokens of cos(h, stop_gradient(h_deeper))
//! ```
//!
//! Published: depths 8 and 16 of 28; coefficient 0.2.

use serde::Deserialize;
use sextant_plugin_api::parts::cosine_alignment;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// The source.
#[derive(Debug)]
pub struct LayerSync {
    config: Config,
}

/// Settings of the source.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student whose tokens are guided; two sevenths of its depth if left out.
    pub depth: Option<u32>,
    /// Deeper block of the student whose tokens guide; four sevenths of its depth if left out.
    pub target_depth: Option<u32>,
}

impl LayerSync {
    fn depths(&self, geometry: &Geometry) -> [u32; 2] {
        let student = geometry.student();
        [
            student.depth_or_published(self.config.depth, &[(28, 8)]),
            student.depth_or_published(self.config.target_depth, &[(28, 16)]),
        ]
    }
}

impl GuidanceSource for LayerSync {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.2)
    }

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { config })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let [shallow, deep] = self.depths(geometry);
        if shallow >= deep {
            return Err(Error::new(format!(
                "`depth` ({shallow}) must be below `target_depth` ({deep}): the student has {} blocks",
                geometry.student().depth
            )));
        }
        Ok(Plan::new().tap(shallow).tap(deep))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let [shallow, deep] = self.depths(step.geometry());
        let target = step.tap(deep)?.detach();
        Ok(Guidance::new(cosine_alignment(step.tap(shallow)?, target)))
    }
}

export_guidance!(LayerSync);
