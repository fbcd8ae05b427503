//! The factor in front of a source's loss.

use std::collections::BTreeMap;

use crate::training_harness::TrainingHarness;
use crate::violation::{broken, discard};
use crate::{Case, Evidence, Invariant, PluginUnderTest, Violation};
use sextant_recipe::SourceConfig;
use sextant_train::Terms;

type Gradient = BTreeMap<String, Vec<f32>>;

/// Rounding, relative to the largest element of the gradients that are combined.
const TOLERANCE: f64 = 1e-3;

/// See its sentence.
pub const LINEAR_COEFFICIENT: Invariant = Invariant::new(
    "linear-coefficient",
    "The coefficient is linear: the gradient of a training step is that of denoising plus the coefficient times \
     that of guidance, for the student and for the source's parameters. (Where the source weighs the denoising \
     loss: it is linear in the coefficient.)",
    examine,
)
.at_most(64)
.concluded(conclude);

fn examine(plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation> {
    let at = |coefficient| {
        let config = SourceConfig {
            coefficient: Some(coefficient),
            ..plugin.config().clone()
        };
        TrainingHarness::new(plugin, case, Some(config))
    };
    let (mut one, mut three) = (at(1.0)?, at(3.0)?);
    let guidance = one.gradient(Terms::Source(0))?.unwrap_or_default();
    let all = one.gradient(Terms::All)?.unwrap_or_default();
    let thrice = three.gradient(Terms::All)?.unwrap_or_default();
    linear("with coefficient 3", &thrice, &[(1.0, &all), (2.0, &guidance)])?;
    if !one.weighs_denoising()? {
        let denoising = one.gradient(Terms::Denoising)?.unwrap_or_default();
        linear("with coefficient 1", &all, &[(1.0, &denoising), (1.0, &guidance)])?;
    }
    if !guidance.is_empty() {
        evidence.saw("a gradient");
    }
    Ok(())
}

fn conclude(_: &PluginUnderTest, evidence: &Evidence) -> Result<(), Violation> {
    match evidence.count("a gradient") {
        0 => discard("the loss has no gradient in any case"),
        _ => Ok(()),
    }
}

/// Compares a gradient with the sum of the parts, each times its factor.
fn linear(when: &str, whole: &Gradient, parts: &[(f64, &Gradient)]) -> Result<(), Violation> {
    for (name, found) in whole {
        let parts: Vec<_> = parts
            .iter()
            .filter_map(|(factor, part)| Some((*factor, part.get(name)?)))
            .collect();
        let wanted = |i: usize| {
            parts
                .iter()
                .map(|(factor, part)| factor * f64::from(part[i]))
                .sum::<f64>()
        };
        let size = |values: &[f32]| values.iter().fold(0f64, |most, v| most.max(f64::from(v.abs())));
        let largest = parts
            .iter()
            .fold(size(found), |most, (factor, part)| most.max(factor * size(part)));
        for (i, value) in found.iter().enumerate() {
            let near = (f64::from(*value) - wanted(i)).abs() <= TOLERANCE * largest + 1e-9;
            if !near {
                return broken(format!(
                    "{when}, the gradient of `{name}` is {value} at element {i}, but {} is the sum of its parts",
                    wanted(i)
                ));
            }
        }
    }
    Ok(())
}
