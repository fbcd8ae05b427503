//! The same loss wherever it is computed.

use crate::outcome::close;
use crate::{Case, Evidence, Harness, Invariant, NotApplicable, PluginUnderTest, Violation};
use sextant_model::device;

/// Relative difference between two devices in float32, whose products may be computed in fewer bits (TF32).
const TOLERANCE: f64 = 1e-2;

/// See its sentence.
pub struct Devices;

impl Invariant for Devices {
    fn name(&self) -> &'static str {
        "devices"
    }

    fn sentence(&self) -> &'static str {
        "Every device that this program was built for gives the same loss, within the rounding of its products."
    }

    fn applies(&self, _: &PluginUnderTest) -> Result<(), NotApplicable> {
        match device::list().len() {
            0 | 1 => Err(NotApplicable::new(
                "this program was built for one device, or finds one only",
            )),
            _ => Ok(()),
        }
    }

    /// Devices that compile a kernel for each shape take seconds over a new one.
    fn most_cases(&self) -> u32 {
        8
    }

    fn examine(&self, plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
        let loss = Harness::new(plugin, case)?.guide()?.loss;
        for listed in device::list() {
            let other = device::open(&listed.name).map_err(|error| Violation::Discard(error.to_string()))?;
            let elsewhere = Harness::new(&plugin.on(other), case)?.guide()?.loss;
            close("the loss", &loss, &elsewhere, TOLERANCE, &format!("on {}", listed.name))?;
        }
        Ok(())
    }
}
