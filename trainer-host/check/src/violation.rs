//! The reason why an invariant did not hold in a case.

use sextant_guidance::GuidanceError;

/// The reason why a case does not count as one that held.
#[derive(Clone, Debug, PartialEq)]
pub enum Violation {
    /// The invariant is broken, for this reason.
    Broken(String),
    /// The source failed, for this reason, so that no invariant holds.
    Failed(String),
    /// The case is not one for this source, such as a geometry that its plan refuses.
    Discard(String),
}

impl Violation {
    /// The invariant is broken.
    pub fn broken(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }
}

/// An error: the invariant is broken.
pub(super) fn broken<T>(reason: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::broken(reason))
}

/// An error: the case, or the invariant, is not one for this source.
pub(super) fn discard<T>(reason: impl Into<String>) -> Result<T, Violation> {
    Err(Violation::Discard(reason.into()))
}

impl From<GuidanceError> for Violation {
    fn from(error: GuidanceError) -> Self {
        match error {
            GuidanceError::Plan { reason, .. } => Self::Discard(reason),
            GuidanceError::Guide { reason, .. } => Self::Failed(format!("`guide` fails: {reason}")),
            other => Self::Broken(other.to_string()),
        }
    }
}
