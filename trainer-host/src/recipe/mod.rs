//! Recipes: what a run does, in TOML.
//!
//! [`load`] reads a file, then `SEXTANT__…` environment variables, then `--set key=value`; [`Recipe`] is the
//! typed result with every default filled in. A comparison is a recipe with `[[variants]]`, each an overlay
//! on the rest ([`overlay`]). An unknown key is an error that suggests the nearest known one.

mod overlay;
mod schema;
mod source;

pub use overlay::{Variant, overlay};
pub use schema::*;
pub use source::{RecipeError, RecipeFile, load, parse, parse_resolved};
