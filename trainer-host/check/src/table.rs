//! The invariants as a table for people.

use super::invariants::invariants;

/// A markdown table of every invariant: its name and its sentence. `docs/invariants.md` holds it.
pub fn table() -> String {
    let rows = invariants()
        .into_iter()
        .map(|invariant| format!("| `{}` | {} |\n", invariant.name(), invariant.sentence()));
    format!("| invariant | |\n|---|---|\n{}", rows.collect::<String>())
}
