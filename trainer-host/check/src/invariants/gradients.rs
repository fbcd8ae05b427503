//! The places that gradients reach.

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Input, Invariant, PluginUnderTest, Violation};

/// Cases with a loss after which a tap or parameter without a gradient never gets one.
const ENOUGH: u64 = 8;

/// See its sentence.
pub const ONLY_WHERE_DECLARED: Invariant = Invariant::new(
    "gradients-only-where-declared",
    "Gradients reach declared taps and trainable parameters and nothing else: not x, the noise, x_t, t, the \
     velocity, a batch field, an undeclared depth, the teacher or the moving average. Every one is finite, some \
     declared tap gets one, and so does each trainable parameter.",
    examine,
)
.concluded(conclude);

fn examine(plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    harness.train_networks()?;
    let outcome = harness.differentiate()?;
    let declared = Input::declared(harness.plan());
    for (input, gradient) in &outcome.gradients {
        if !declared.contains(input) {
            return broken(format!(
                "a gradient reaches {input}, which the plan does not declare as a tap or trainable parameter"
            ));
        }
        if let Some(i) = gradient.iter().position(|value| !value.is_finite()) {
            return broken(format!(
                "the gradient with respect to {input} is {} at element {i}",
                gradient[i]
            ));
        }
        if gradient.iter().any(|value| *value != 0.0) {
            evidence.saw(input.to_string());
            if !matches!(input, Input::Parameter(_)) {
                evidence.saw("a tap");
            }
        }
    }
    if outcome.loss.iter().any(|loss| *loss != 0.0) {
        evidence.saw("a loss");
    }
    Ok(())
}

fn conclude(plugin: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
    // A source without a loss, such as `none`, has no gradients either.
    if evidence.count("a loss") < ENOUGH {
        return Ok(());
    }
    let declared = Input::declared(plugin.plan());
    if declared.iter().any(|input| !matches!(input, Input::Parameter(_))) && evidence.count("a tap") == 0 {
        return broken("no declared tap ever gets a gradient: the student learns nothing");
    }
    let parameters = declared.iter().filter(|input| matches!(input, Input::Parameter(_)));
    for parameter in parameters {
        if evidence.count(&parameter.to_string()) == 0 {
            return broken(format!("{parameter} is declared trainable, but never gets a gradient"));
        }
    }
    Ok(())
}
