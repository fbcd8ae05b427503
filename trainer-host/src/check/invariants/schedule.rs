//! A source that is not active is not there.

use crate::check::outcome::same_bits;
use crate::check::rehearsal::Rehearsal;
use crate::check::{Break, Case, Evidence, Invariant, Subject};
use crate::guidance::SourceConfig;

/// Optimiser steps that are compared: the second sees what the first left in the optimiser.
const STEPS: std::ops::Range<u64> = 4..6;

/// See its sentence.
pub struct Inactive;

impl Invariant for Inactive {
    fn name(&self) -> &'static str {
        "inactive"
    }

    fn sentence(&self) -> &'static str {
        "With coefficient 0, before `start_step` and from `stop_step` on, optimiser steps are bit for bit those without the \
         source: student and moving average, and the source's own parameters stay as they are."
    }

    fn most_cases(&self) -> u32 {
        64
    }

    fn examine(&self, subject: &Subject, case: &Case, _: &mut Evidence) -> Result<(), Break> {
        if case.samples.is_empty() {
            return Err(Break::Discard("no step has a batch without samples".into()));
        }
        let config = subject.config().clone();
        let (config, when) = match case.numbers % 3 {
            0 => (SourceConfig { coefficient: 0.0, ..config }, "with coefficient 0"),
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
        let mut without = Rehearsal::new(subject, case, None)?;
        let mut with = Rehearsal::new(subject, case, Some(config))?;
        let before = with.state()?;
        for step in STEPS {
            without.step(step)?;
            with.step(step)?;
        }
        let (without, with) = (without.state()?, with.state()?);
        for (name, value) in &with {
            // What is the source's own has no counterpart, and stays.
            let (wanted, how) = match without.get(name) {
                Some(value) => (value, "without the source"),
                None => (&before[name], "before the steps"),
            };
            let values = |data: &burn::tensor::TensorData| data.iter::<f32>().collect::<Vec<_>>();
            same_bits(&format!("{when}, {name}"), &values(value), &values(wanted), how)?;
        }
        Ok(())
    }
}
