//! The places that gradients reach.

use sextant_guidance::plan::{Network, TapKind};

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Input, Invariant, PluginUnderTest, Violation};
use sextant_guidance::SourcePlan;

/// Cases with a loss after which a tap or parameter without a gradient never gets one.
const ENOUGH: u64 = 8;

/// See its sentence.
pub struct OnlyWhereDeclared;

impl Invariant for OnlyWhereDeclared {
    fn name(&self) -> &'static str {
        "gradients-only-where-declared"
    }

    fn sentence(&self) -> &'static str {
        "Gradients reach declared taps and trainable parameters and nothing else: not x, the noise, x_t, t, the velocity, \
         a batch field, an undeclared depth, the teacher or the moving average. Every one is finite, some declared tap \
         gets one, and so does each trainable parameter."
    }

    fn examine(&self, plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
        let mut harness = Harness::new(plugin, case)?;
        harness.train_networks()?;
        let outcome = harness.differentiate()?;
        let declared = inputs(harness.plan());
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

    fn conclude(&self, plugin: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
        // A source without a loss, such as `none`, has no gradients either.
        if evidence.count("a loss") < ENOUGH {
            return Ok(());
        }
        let declared = inputs(plugin.plan());
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
}

/// Inputs that a gradient may reach.
pub fn inputs(plan: &SourcePlan) -> Vec<Input> {
    let taps = plan.taps.iter().filter(|tap| tap.network == Network::Student);
    let taps = taps.map(|tap| match tap.kind {
        TapKind::Block => Input::Tap(tap.depth),
        TapKind::Attention => Input::Attention(tap.depth),
        TapKind::Output => Input::Output,
    });
    let parameters = plan.parameters.iter().filter(|parameter| parameter.trainable);
    taps.chain(parameters.map(|parameter| Input::Parameter(parameter.name.clone())))
        .collect()
}
