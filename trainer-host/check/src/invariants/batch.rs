//! What the loss of a sample has to do with the others.

use crate::outcome::close;
use crate::{Break, Case, Evidence, Invariant, Scene, Subject};

/// Relative difference up to which float32 may not tell two losses apart.
const TOLERANCE: f64 = 1e-3;

/// See its sentence.
pub struct Permutation;

impl Invariant for Permutation {
    fn name(&self) -> &'static str {
        "permutation"
    }

    fn sentence(&self) -> &'static str {
        "Permuting the batch permutes the loss. Not asked of a loss that is declared batch-coupled, which may look at \
         its neighbours."
    }

    fn applies(&self, subject: &Subject) -> Result<(), String> {
        match subject.plan().batch_coupled {
            true => Err("the plan declares the loss batch-coupled".into()),
            false => Ok(()),
        }
    }

    fn examine(&self, subject: &Subject, case: &Case, _: &mut Evidence) -> Result<(), Break> {
        let loss = Scene::new(subject, case)?.guide()?.loss;
        let mut reversed = Scene::new(subject, &case.reversed())?.guide()?.loss;
        reversed.reverse();
        close("the loss", &loss, &reversed, TOLERANCE, "with the batch in reverse")
    }
}

/// See its sentence.
pub struct Splitting;

impl Invariant for Splitting {
    fn name(&self) -> &'static str {
        "splitting"
    }

    fn sentence(&self) -> &'static str {
        "Splitting the batch and joining the losses gives the losses of the whole batch. Where the plan declares the loss \
         batch-coupled, it must differ in some case: or the declaration is wrong."
    }

    fn examine(&self, subject: &Subject, case: &Case, evidence: &mut Evidence) -> Result<(), Break> {
        let mut scene = Scene::new(subject, case)?;
        let loss = scene.guide()?.loss;
        let mut parts = Vec::with_capacity(loss.len());
        for half in case.halves() {
            parts.extend(Scene::new(subject, &half)?.guide()?.loss);
        }
        let same = close("the loss", &loss, &parts, TOLERANCE, "with the batch split in two");
        match (same, scene.plan().batch_coupled) {
            (Err(_), true) => evidence.saw("coupled"),
            (same, false) => same?,
            (Ok(()), true) => {}
        }
        Ok(())
    }

    fn conclude(&self, subject: &Subject, evidence: &Evidence) -> Result<(), Break> {
        match subject.plan().batch_coupled && evidence.count("coupled") == 0 {
            true => Err(Break::broken(
                "the plan declares the loss batch-coupled, but splitting the batch never changed it",
            )),
            false => Ok(()),
        }
    }
}
