//! One finite number a sample, at every time and for every batch.

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};

/// See its sentence.
pub const SHAPE_AND_FINITE: Invariant = Invariant::new(
    "shape-and-finite",
    "The loss is one finite float32 number a sample, and the weight on the denoising loss too: at t = 0 and t = \
     1, at the ends of the declared range and just beside them, for features as small and as large as bfloat16 \
     training meets, for no sample and for one, and where every label was dropped.",
    examine,
);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let first = case.samples.iter().take(1).copied().collect();
    for case in [case.clone(), case.with_samples(first), case.with_samples(Vec::new())] {
        let outcome = Harness::new(plugin, &case)?.guide()?;
        let weight = outcome.denoising_weight.unwrap_or_default();
        for (what, values) in [("loss", &outcome.loss), ("weight on the denoising loss", &weight)] {
            if let Some(i) = values.iter().position(|value| !value.is_finite()) {
                return broken(format!(
                    "the {what} of sample {i} of {} (t = {}) is {}",
                    case.samples.len(),
                    case.samples[i].t,
                    values[i]
                ));
            }
        }
    }
    Ok(())
}
