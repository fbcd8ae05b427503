//! A source is a pure function of its step.

use crate::check::{Break, Case, Evidence, Invariant, Scene, Subject};
use crate::error::panic_text;

/// See its sentence.
pub struct SameBits;

impl Invariant for SameBits {
    fn name(&self) -> &'static str {
        "same-bits"
    }

    fn sentence(&self) -> &'static str {
        "The same step gives the same bits: a second time, after other steps, from another instance, and on another \
         thread while this one guides too; and the same geometry gives the same plan."
    }

    fn examine(&self, subject: &Subject, case: &Case, _: &mut Evidence) -> Result<(), Break> {
        let mut scene = Scene::new(subject, case)?;
        let first = scene.guide()?;
        first.same_bits(&scene.guide()?, "a second time")?;

        let other = Case {
            step: case.step + 1,
            seed: case.seed + 1,
            numbers: case.numbers + 1,
            ..case.reversed()
        };
        let mut elsewhere = Scene::new(subject, &other)?;
        elsewhere.guide()?;
        scene.advance(case.step + 7)?;
        let mut again = Scene::new(subject, case)?;
        if again.plan() != scene.plan() {
            return Err(Break::broken(
                "another instance gives another plan for the same geometry",
            ));
        }
        first.same_bits(&again.guide()?, "from another instance, after other steps,")?;
        // What may remember is the buffers alone.
        scene.rewind();
        first.same_bits(&scene.guide()?, "after other steps")?;

        let beside = std::thread::scope(|threads| {
            let thread = threads.spawn(|| Scene::new(subject, case)?.guide());
            let here = elsewhere.guide();
            let beside = thread.join().map_err(|panic| Break::Broken(panic_text(&*panic)))?;
            here.and(beside)
        })?;
        first.same_bits(&beside, "on another thread")
    }
}
