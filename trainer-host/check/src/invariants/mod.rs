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
pub fn invariants() -> [Invariant; 15] {
    [
        finite::SHAPE_AND_FINITE,
        determinism::SAME_BITS,
        batch::PERMUTATION,
        batch::SPLITTING,
        gradients::ONLY_WHERE_DECLARED,
        differences::FINITE_DIFFERENCES,
        declared::NOTHING_UNDECLARED,
        range::T_RANGE,
        schedule::INACTIVE,
        coefficient::LINEAR_COEFFICIENT,
        resume::RESUME,
        handles::HANDLES,
        draws::DRAWS,
        parameters::UNUSED_PARAMETERS,
        devices::DEVICES,
    ]
}

/// A name that no invariant has.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no invariant {name:?}; there are {}", invariants().map(|known| known.name).join(", "))]
pub struct UnknownInvariant {
    name: String,
}

/// The invariant of this name.
///
/// # Errors
/// Lists the names that there are.
pub fn invariant(name: &str) -> Result<Invariant, UnknownInvariant> {
    let found = invariants().into_iter().find(|invariant| invariant.name == name);
    found.ok_or_else(|| UnknownInvariant { name: name.to_owned() })
}

/// A markdown table of every invariant: its name and its sentence. `docs/invariants.md` holds it.
pub fn table() -> String {
    let rows = invariants().map(|invariant| format!("| `{}` | {} |\n", invariant.name, invariant.sentence));
    format!("| invariant | |\n|---|---|\n{}", rows.concat())
}
