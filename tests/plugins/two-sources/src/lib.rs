//! Two sources that are exported from one library, which the contract has no place for.

use std::collections::BTreeMap;

use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// A source without effect.
#[derive(Debug)]
pub struct First;

/// Another.
#[derive(Debug)]
pub struct Second;

macro_rules! nothing {
    ($source:ident, $name:literal) => {
        impl GuidanceSource for $source {
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

        export_guidance!($source, name = $name);
    };
}
nothing!(First, "first");
nothing!(Second, "second");
