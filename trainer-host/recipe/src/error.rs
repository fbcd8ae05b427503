//! The error of a value.

/// A key whose value nothing can be done with: the message names the key, and says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

impl KeyError {
    /// The same below `section`.
    pub(crate) fn within(self, section: &str) -> Self {
        Self(format!("{section}.{}", self.0))
    }
}
