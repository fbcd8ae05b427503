//! A source's state is in the host, and nowhere else.

use crate::outcome::{same_bits, same_tensors};
use crate::training_harness::TrainingHarness;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};

/// See its sentence.
pub const RESUME: Invariant = Invariant::new(
    "resume",
    "Saving, loading into a new instance and going on changes nothing, to the last bit of student, moving \
     average, parameters and buffers; and a step changes nothing that it was lent: a buffer's new value is what \
     it returns.",
    examine,
)
.at_most(64);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let before = harness.lent()?;
    harness.guide()?;
    for (name, value) in harness.lent()? {
        same_bits(&name, &before[&name], &value, "after the step")?;
    }
    if case.samples.is_empty() {
        return Ok(());
    }
    let mut through = TrainingHarness::new(plugin, case, Some(plugin.config().clone()))?;
    let stop = 1 + case.numbers % 2;
    let mut resumed = None;
    for step in 0..3 {
        if step == stop {
            resumed = Some(through.resumed()?);
        }
        through.step(step)?;
        if let Some(resumed) = &mut resumed {
            resumed.step(step)?;
        }
    }
    let resumed = resumed.map(|resumed| resumed.state()).transpose()?;
    same_tensors(&through.state()?, &resumed.unwrap_or_default(), "after a stop")
}
