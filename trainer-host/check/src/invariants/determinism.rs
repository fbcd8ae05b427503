//! A source is a pure function of its step.

use crate::violation::broken;
use crate::{Case, Evidence, Harness, Invariant, PluginUnderTest, Violation};
use sextant_model::device::panic_text;

/// See its sentence.
pub const SAME_BITS: Invariant = Invariant::new(
    "same-bits",
    "The same step gives the same bits: a second time, after other steps, from another instance, and on another \
     thread while this one guides too; and the same geometry gives the same plan.",
    examine,
);

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let first = harness.guide()?;
    first.same_bits(&harness.guide()?, "a second time")?;

    let other = Case {
        step: case.step + 1,
        seed: case.seed + 1,
        numbers: case.numbers + 1,
        ..case.reversed()
    };
    let mut elsewhere = Harness::new(plugin, &other)?;
    elsewhere.guide()?;
    harness.advance(case.step + 7)?;
    let mut again = Harness::new(plugin, case)?;
    if again.plan() != harness.plan() {
        return broken("another instance gives another plan for the same geometry");
    }
    first.same_bits(&again.guide()?, "from another instance, after other steps,")?;
    // What may remember is the buffers alone.
    harness.rewind();
    first.same_bits(&harness.guide()?, "after other steps")?;

    let beside = std::thread::scope(|threads| {
        let thread = threads.spawn(|| Harness::new(plugin, case)?.guide());
        let here = elsewhere.guide();
        let beside = thread.join().map_err(|panic| Violation::Failed(panic_text(&*panic)))?;
        here.and(beside)
    })?;
    first.same_bits(&beside, "on another thread")
}
