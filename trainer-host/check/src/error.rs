//! Causes that keep a check from being made.

use sextant_guidance::GuidanceError;
use sextant_model::device::DeviceError;
use sextant_recipe::RecipeError;
use sextant_records::FileError;

/// Why a library cannot be checked, or a template not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library, or its configuration.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// A recipe that is wrong.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A wish that cannot be fulfilled; the message says why.
    #[error("{0}")]
    Input(String),
}
