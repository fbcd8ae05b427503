//! Randomness by key, not by call order.

use super::batch::{permuted, split};
use crate::outcome::same_bits;
use crate::violation::{broken, discard};
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Sample, Violation};

/// Cases after which draws that never depend on a key do not.
const ENOUGH: u64 = 8;

/// Gives a case another key.
type Change = fn(&mut Case);

/// See its sentence.
pub const DRAWS: Invariant = Invariant::new(
    "draws",
    "Random numbers come from the step's stream: asked again they are the same, they follow a sample through a \
     permuted or split batch, and they change with the seed, the step and the sample's identity.",
    examine,
)
.concluded(conclude);

fn examine(plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let outcome = harness.guide()?;
    let loss = &outcome.loss;
    let again = Harness::new(plugin, case)?.guide()?.loss;
    same_bits("the loss", loss, &again, "asked again").map_err(|broken| match broken {
        Violation::Broken(reason) => {
            Violation::Broken(format!("numbers come from outside the step's stream: {reason}"))
        }
        other => other,
    })?;
    if !outcome.trace.operations.contains("random") {
        return Ok(());
    }
    evidence.saw("a draw");
    if !harness.plan().batch_coupled {
        permuted(plugin, case, loss)?;
        split(plugin, case, loss)?;
    }
    if loss.iter().all(|loss| *loss == 0.0) {
        return Ok(());
    }
    evidence.saw("a loss");
    // Another seed or identity would draw other tensors too, so the harness stays and its keys change.
    let keys = [
        ("seed", (|case| case.seed += 1) as Change),
        ("step", |case| case.step += 1),
        ("sample's identity", |case| case.samples.iter_mut().for_each(shift)),
    ];
    for (key, change) in keys {
        let mut other = case.clone();
        change(&mut other);
        if harness.guide_as(&other)?.loss != *loss {
            evidence.saw(key);
        }
    }
    Ok(())
}

fn conclude(_: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
    if evidence.count("a draw") == 0 {
        return discard("the source draws nothing from the step's stream");
    }
    for key in ["seed", "step", "sample's identity"] {
        if evidence.count("a loss") >= ENOUGH && evidence.count(key) == 0 {
            return broken(format!("the draws never change with the {key}"));
        }
    }
    Ok(())
}

fn shift(sample: &mut Sample) {
    sample.id += 1_000_003;
}
