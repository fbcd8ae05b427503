//! The invariants, one file a concern.

mod batch;
mod coefficient;
mod declared;
mod determinism;
mod devices;
mod differences;
mod draws;
mod finite;
mod gradients;
mod handles;
mod parameters;
mod range;
mod resume;
mod schedule;

use super::invariant::Invariant;

/// Every invariant, in the order in which `sextant plugin check` tries them.
pub fn invariants() -> Vec<&'static dyn Invariant> {
    vec![
        &finite::ShapeAndFinite,
        &determinism::SameBits,
        &batch::Permutation,
        &batch::Splitting,
        &gradients::OnlyWhereDeclared,
        &differences::FiniteDifferences,
        &declared::NothingUndeclared,
        &range::TRange,
        &schedule::Inactive,
        &coefficient::LinearCoefficient,
        &resume::Resume,
        &handles::Handles,
        &draws::Draws,
        &parameters::UnusedParameters,
        &devices::Devices,
    ]
}

/// A name that no invariant has.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no invariant {name:?}; there are {}", known.join(", "))]
pub struct UnknownInvariant {
    name: String,
    known: Vec<&'static str>,
}

/// The invariant of this name.
///
/// # Errors
/// Lists the names that there are.
pub fn invariant(name: &str) -> Result<&'static dyn Invariant, UnknownInvariant> {
    let all = invariants();
    let unknown = || UnknownInvariant {
        name: name.to_owned(),
        known: all.iter().map(|invariant| invariant.name()).collect(),
    };
    all.iter()
        .copied()
        .find(|invariant| invariant.name() == name)
        .ok_or_else(unknown)
}
