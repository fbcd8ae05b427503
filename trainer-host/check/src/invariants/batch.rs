//! Independence of a sample's loss from its neighbours.

use crate::outcome::close;
use crate::violation::{broken, discard};
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};

/// Relative difference up to which float32 may not tell two losses apart.
const TOLERANCE: f64 = 1e-3;

/// See its sentence.
pub const PERMUTATION: Invariant = Invariant::new(
    "permutation",
    "Permuting the batch permutes the loss. Not asked of a loss that is declared batch-coupled, which may look at \
     its neighbours.",
    permutation_examine,
)
.asked_where(permutation_applies);

fn permutation_applies(plugin: &PluginUnderTest) -> Result<(), Violation> {
    match plugin.plan().batch_coupled {
        true => discard("the plan declares the loss batch-coupled"),
        false => Ok(()),
    }
}

fn permutation_examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let loss = Harness::new(plugin, case)?.guide()?.loss;
    permuted(plugin, case, &loss)
}

/// Compares a case's losses with those of the reversed batch.
pub fn permuted(plugin: &PluginUnderTest, case: &Case, loss: &[f32]) -> Result<(), Violation> {
    let mut reversed = Harness::new(plugin, &case.reversed())?.guide()?.loss;
    reversed.reverse();
    close("the loss", loss, &reversed, TOLERANCE, "with the batch in reverse")
}

/// Compares a case's losses with those of its halves.
pub fn split(plugin: &PluginUnderTest, case: &Case, loss: &[f32]) -> Result<(), Violation> {
    let mut parts = Vec::with_capacity(loss.len());
    for half in case.halves() {
        parts.extend(Harness::new(plugin, &half)?.guide()?.loss);
    }
    close("the loss", loss, &parts, TOLERANCE, "with the batch split in two")
}

/// See its sentence.
pub const SPLITTING: Invariant = Invariant::new(
    "splitting",
    "Splitting the batch and joining the losses gives the losses of the whole batch. Where the plan declares the \
     loss batch-coupled, it must differ in some case: or the declaration is wrong.",
    splitting_examine,
)
.concluded(splitting_conclude);

fn splitting_examine(plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let loss = harness.guide()?.loss;
    match split(plugin, case, &loss) {
        Err(Violation::Broken(_)) if harness.plan().batch_coupled => evidence.saw("coupled"),
        same => same?,
    }
    Ok(())
}

fn splitting_conclude(plugin: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
    match plugin.plan().batch_coupled && evidence.count("coupled") == 0 {
        true => broken("the plan declares the loss batch-coupled, but splitting the batch never changed it"),
        false => Ok(()),
    }
}
