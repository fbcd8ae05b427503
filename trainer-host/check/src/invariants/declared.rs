//! Nothing is handed over that a source did not declare.

use sextant_guidance::plan::Network;

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};
use sextant_guidance::{SourcePlan, Trace};

/// See its sentence.
pub const NOTHING_UNDECLARED: Invariant = Invariant::new(
    "nothing-undeclared",
    "Nothing undeclared is read: with NaN in every tap, batch field and block of teacher and moving average that \
     the plan leaves out, the loss keeps its bits; and those networks are asked for declared depths only.",
    examine,
);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let sound = harness.guide()?;
    asked(harness.plan(), &sound.trace)?;
    harness.poison_undeclared();
    let poisoned = harness.guide()?;
    asked(harness.plan(), &poisoned.trace)?;
    sound.same_bits(&poisoned, "with NaN in all that the plan does not declare")
}

fn asked(plan: &SourcePlan, trace: &Trace) -> Result<(), Violation> {
    for forward in &trace.forwards {
        let declared = plan.depths(forward.network);
        let what = match forward.network {
            Network::Teacher => "the teacher",
            _ => "the moving average",
        };
        if let Some(depth) = forward.depths.iter().find(|depth| !declared.contains(depth)) {
            return broken(format!(
                "{what} is asked for depth {depth}, but the plan declares {declared:?}"
            ));
        }
        if forward.output && !plan.needs_output(forward.network) {
            return broken(format!(
                "{what} is asked for its output, which the plan does not declare"
            ));
        }
    }
    Ok(())
}
