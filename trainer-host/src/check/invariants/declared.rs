//! What a source did not declare is not handed over.

use sextant_plugin_api::abi::Network;

use crate::check::{Break, Case, Evidence, Invariant, Scene, Subject};
use crate::guidance::{SourcePlan, Trace};

/// See its sentence.
pub struct NothingUndeclared;

impl Invariant for NothingUndeclared {
    fn name(&self) -> &'static str {
        "nothing-undeclared"
    }

    fn sentence(&self) -> &'static str {
        "Nothing undeclared is read: with NaN in every tap, batch field and block of teacher and moving average that the \
         plan leaves out, the loss keeps its bits; and those networks are asked for declared depths only."
    }

    fn examine(&self, subject: &Subject, case: &Case, _: &mut Evidence) -> Result<(), Break> {
        let mut scene = Scene::new(subject, case)?;
        let sound = scene.guide()?;
        asked(scene.plan(), &sound.trace)?;
        scene.poison_undeclared();
        let poisoned = scene.guide()?;
        asked(scene.plan(), &poisoned.trace)?;
        sound.same_bits(&poisoned, "with NaN in all that the plan does not declare")
    }
}

fn asked(plan: &SourcePlan, trace: &Trace) -> Result<(), Break> {
    for forward in &trace.forwards {
        let declared = plan.depths(forward.network);
        let what = match forward.network {
            Network::Teacher => "the teacher",
            _ => "the moving average",
        };
        if let Some(depth) = forward.depths.iter().find(|depth| !declared.contains(depth)) {
            return Err(Break::broken(format!(
                "{what} is asked for depth {depth}, but the plan declares {declared:?}"
            )));
        }
        if forward.output && !plan.needs_output(forward.network) {
            return Err(Break::broken(format!(
                "{what} is asked for its output, which the plan does not declare"
            )));
        }
    }
    Ok(())
}
