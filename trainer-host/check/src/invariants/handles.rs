//! Handles live as long as their step.

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};
use sextant_guidance::stray_calls;

/// Steps guided by one instance.
const STEPS: u64 = 1000;

/// Steps after which the table of tensors has its size: sources may do a little more in one step than in another.
const WARM: u64 = 100;

/// See its sentence.
pub const HANDLES: Invariant = Invariant::new(
    "handles",
    "Over 1,000 steps of one instance the table of tensors does not grow, no handle is used after its step, and \
     none is given back late.",
    examine,
)
.at_most(1);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    // What leaks, leaks in a small step too; in an empty batch there would be nothing to leak.
    let case = Case {
        depth: case.depth,
        teacher_depth: case.teacher_depth,
        path: case.path,
        numbers: case.numbers,
        ..Case::plain()
    };
    let stray = stray_calls();
    let mut harness = Harness::new(plugin, &case)?;
    let mut warm = 0;
    for step in 0..STEPS {
        harness.advance(step)?;
        if step + 1 == WARM {
            warm = harness.handle_slots();
        }
    }
    let slots = harness.handle_slots();
    drop(harness);
    if slots > warm {
        return broken(format!(
            "{warm} tensors were alive at once in the first {WARM} steps, {slots} in {STEPS}: they grow in number"
        ));
    }
    match stray_calls() - stray {
        0 => Ok(()),
        calls => broken(format!(
            "{calls} calls came outside a step: a handle was kept beyond it"
        )),
    }
}
