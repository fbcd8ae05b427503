//! A source that is not active is not there.

use crate::outcome::same_tensors;
use crate::training_harness::TrainingHarness;
use crate::{Case, Evidence, Invariant, PluginUnderTest, Violation};
use sextant_recipe::SourceConfig;

/// Optimiser steps that are compared: the second sees what the first left in the optimiser.
const STEPS: std::ops::Range<u64> = 4..6;

/// See its sentence.
pub const INACTIVE: Invariant = Invariant::new(
    "inactive",
    "With coefficient 0, before `start_step` and from `stop_step` on, optimiser steps are bit for bit those \
     without the source: student and moving average, and the source's own parameters stay as they are.",
    examine,
)
.at_most(64);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let config = plugin.config().clone();
    let (config, when) = match case.numbers % 3 {
        0 => (
            SourceConfig {
                coefficient: Some(0.0),
                ..config
            },
            "with coefficient 0",
        ),
        1 => (
            SourceConfig {
                start_step: STEPS.end,
                ..config
            },
            "before start_step",
        ),
        _ => (
            SourceConfig {
                stop_step: Some(STEPS.start),
                ..config
            },
            "from stop_step on",
        ),
    };
    let mut without = TrainingHarness::new(plugin, case, None)?;
    let mut with = TrainingHarness::new(plugin, case, Some(config))?;
    let before = with.state()?;
    for step in STEPS {
        without.step(step)?;
        with.step(step)?;
    }
    let (without, after) = (without.state()?, with.state()?);
    same_tensors(&after, &without, &format!("without the source, which is there {when},"))?;
    // What is the source's own has no counterpart, and stays.
    let own = before.into_iter().filter(|(name, _)| !without.contains_key(name));
    same_tensors(
        &after,
        &own.collect(),
        &format!("before the steps, the source being there {when},"),
    )
}
