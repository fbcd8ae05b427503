//! A source whose author forgot `export_guidance!`.

use std::collections::BTreeMap;

use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step};

/// A source without effect.
#[derive(Debug)]
pub struct Forgotten;

impl GuidanceSource for Forgotten {
    type Config = BTreeMap<String, f64>;

    fn new(_: Self::Config) -> Result<Self, Error> {
        Ok(Self)
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new())
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        Ok(Guidance::new(step.zeros_per_sample()))
    }
}
