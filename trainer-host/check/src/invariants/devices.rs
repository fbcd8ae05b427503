//! The same loss wherever it is computed.

use crate::outcome::close;
use crate::violation::discard;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};
use sextant_model::device;

/// Relative difference between two devices in float32, whose products may be computed in fewer bits (TF32).
const TOLERANCE: f64 = 1e-2;

/// See its sentence. Few cases: devices that compile a kernel for each shape take seconds over a new one.
pub const DEVICES: Invariant = Invariant::new(
    "devices",
    "Every device that this program was built for gives the same loss, within the rounding of its products.",
    examine,
)
.asked_where(applies)
.at_most(8);

fn applies(_: &PluginUnderTest) -> Result<(), Violation> {
    match device::list().len() {
        0 | 1 => discard("this program was built for one device, or finds one only"),
        _ => Ok(()),
    }
}

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let loss = Harness::new(plugin, case)?.guide()?.loss;
    for listed in device::list() {
        let other = device::open(&listed.name).map_err(|error| Violation::Discard(error.to_string()))?;
        let elsewhere = Harness::new(&plugin.on(other), case)?.guide()?.loss;
        close("the loss", &loss, &elsewhere, TOLERANCE, &format!("on {}", listed.name))?;
    }
    Ok(())
}
