//! Randomness by key, not by call order.

use crate::check::outcome::{close, same_bits};
use crate::check::{Break, Case, Evidence, Invariant, Sample, Scene, Subject};

/// Cases after which draws that never depend on a key do not.
const ENOUGH: u64 = 8;

/// Gives a case another key.
type Change = fn(&mut Case);

/// See its sentence.
pub struct Draws;

impl Invariant for Draws {
    fn name(&self) -> &'static str {
        "draws"
    }

    fn sentence(&self) -> &'static str {
        "Random numbers come from the step's stream: asked again they are the same, they follow a sample through a \
         permuted or split batch, and they change with the seed, the step and the sample's identity."
    }

    fn examine(&self, subject: &Subject, case: &Case, evidence: &mut Evidence) -> Result<(), Break> {
        let mut scene = Scene::new(subject, case)?;
        let outcome = scene.guide()?;
        let loss = &outcome.loss;
        let again = Scene::new(subject, case)?.guide()?.loss;
        same_bits("the loss", loss, &again, "asked again").map_err(|broken| match broken {
            Break::Broken(reason) => Break::Broken(format!("numbers come from outside the step's stream: {reason}")),
            other => other,
        })?;
        if !outcome.trace.operations.contains("random") {
            return Ok(());
        }
        evidence.saw("a draw");
        if !scene.plan().batch_coupled {
            let mut reversed = Scene::new(subject, &case.reversed())?.guide()?.loss;
            reversed.reverse();
            close("the loss", loss, &reversed, 1e-3, "with the batch in reverse")?;
            let mut parts = Vec::new();
            for half in case.halves() {
                parts.extend(Scene::new(subject, &half)?.guide()?.loss);
            }
            close("the loss", loss, &parts, 1e-3, "with the batch split in two")?;
        }
        if loss.iter().all(|loss| *loss == 0.0) {
            return Ok(());
        }
        evidence.saw("a loss");
        // Another seed or identity would draw other tensors too, so the scene stays and its keys change.
        let keys = [
            ("seed", (|case| case.seed += 1) as Change),
            ("step", |case| case.step += 1),
            ("sample's identity", |case| case.samples.iter_mut().for_each(shift)),
        ];
        for (key, change) in keys {
            let mut other = case.clone();
            change(&mut other);
            if scene.guide_as(&other)?.loss != *loss {
                evidence.saw(key);
            }
        }
        Ok(())
    }

    fn conclude(&self, _: &Subject, evidence: &Evidence) -> Result<(), Break> {
        if evidence.count("a draw") == 0 {
            return Err(Break::Discard("the source draws nothing from the step's stream".into()));
        }
        for key in ["seed", "step", "sample's identity"] {
            if evidence.count("a loss") >= ENOUGH && evidence.count(key) == 0 {
                return Err(Break::broken(format!("the draws never change with the {key}")));
            }
        }
        Ok(())
    }
}

fn shift(sample: &mut Sample) {
    sample.id += 1_000_003;
}
