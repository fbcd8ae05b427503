//! Errors of a source, in words for the person who wrote the recipe.

use std::fmt;
use std::panic::Location;

/// A message: lower case, naming the setting, field or shape at fault and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An error of a line of the author's.
    pub(crate) fn at(at: &Location, message: &str) -> Self {
        Self(format!("{message} ({}:{})", at.file(), at.line()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

/// `"a", "b"`, or `none`: how messages list what there is.
pub(crate) fn listed<T: fmt::Debug>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("{name:?}")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
