//! Every parameter has a gradient in every step.

use crate::outcome::gradients;
use crate::training_harness::TrainingHarness;
use crate::violation::{broken, discard};
use crate::{Case, Evidence, Invariant, PluginUnderTest, Violation};

/// See its sentence.
pub const UNUSED_PARAMETERS: Invariant = Invariant::new(
    "unused-parameters",
    "In every step of training each trainable parameter has a gradient; in one that uses none of them, since \
     every time lies outside the declared range, it is exactly 0, so that the optimiser's momentum decays and \
     does not stall.",
    examine,
)
.asked_where(applies)
.at_most(64);

fn applies(plugin: &PluginUnderTest) -> Result<(), Violation> {
    match plugin.plan().parameters.iter().any(|parameter| parameter.trainable) {
        true => Ok(()),
        false => discard("the source has no trainable parameter"),
    }
}

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let outside = plugin.plan().t_range.and_then(|[min, max]| {
        let ends = [(min as f32).next_down(), (max as f32).next_up()];
        ends.into_iter().find(|t| (0.0..=1.0).contains(t))
    });
    let used = [(case.clone(), false)];
    let unused = outside.map(|t| (case.at_time(t), true));
    for (case, zero) in used.into_iter().chain(unused) {
        let mut training_harness = TrainingHarness::new(plugin, &case, Some(plugin.config().clone()))?;
        let (given, model) = training_harness.gradients()?;
        for (path, gradient) in gradients(&model.sources, &given) {
            let name = path.split_once('.').map_or(&*path, |(_, name)| name);
            let Some(gradient) = gradient else {
                return broken(format!("parameter `{name}` has no gradient"));
            };
            if zero && gradient.iter().any(|value| *value != 0.0) {
                return broken(format!(
                    "parameter `{name}` has a gradient although every time lies outside the declared range"
                ));
            }
        }
    }
    Ok(())
}
