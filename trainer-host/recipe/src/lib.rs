//! Recipes: what a run does, in TOML.
//!
//! [`load`] reads a file, then `SEXTANT__…` environment variables, then `--set key=value`; [`Recipe`] is the
//! typed result with every default filled in. A comparison is a recipe with `[[variants]]`, each an overlay
//! on the rest ([`overlay`]). An unknown key is an error that suggests the nearest known one.
//!
//! This crate reads and checks values. Whether a recipe fits its data, its network and its plugins is asked by those who have them.

mod assign;
mod base;
mod change;
mod compute;
mod data;
mod diffusion;
mod encoder;
mod error;
mod evaluation;
mod file;
mod guidance;
mod import;
mod init;
mod overlay;
mod paths;
mod sampler;
mod schema;
mod seed;
mod time;
mod vae;
mod weights;

pub use change::{Change, changes, changes_training, measuring_refusals, refusals, value_changes};
pub use compute::{ComputeRecipe, Place, Precision, Recompute};
pub use data::{DataConfig, HeldOut, SD_SCALE};
pub use diffusion::{Path, PathCoefficients, Prediction};
pub use encoder::{
    EncoderConfig, EncodingTime, Family, NetworkConfig, Objective, ObjectiveConfig, TargetEncoder, TrainingConfig,
    ViewConfig,
};
pub use error::KeyError;
pub use evaluation::{QualityRecipe, RepresentationsRecipe};
pub use file::{RecipeError, RecipeFile, load, parse, parse_changed, parse_resolved};
pub use guidance::{SettingError, SourceConfig, USUAL_COEFFICIENT, check_name};
pub use import::{Convention, Import, Take};
pub use init::{Init, InitFile};
pub use overlay::{Variant, overlay};
pub use paths::{JUDGES, is_builtin, is_library_path};
pub use sampler::{SamplerConfig, SamplerMethod};
pub use schema::*;
pub use time::{TimeSampling, from_normal};
pub use vae::{Distance, VaeConfig, VaeNetwork, VaeObjective};
pub use weights::{UnknownWeights, Weights};
