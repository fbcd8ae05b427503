//! What an invariant is, and what is found of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::subject::Subject;
use crate::guidance::GuidanceError;

/// A law that holds for every guidance source that keeps the contract, or says why it does not concern one.
///
/// An author's own laws implement it too: [`hold`](super::hold) tries them on generated cases and shrinks what breaks them.
pub trait Invariant: Sync {
    /// Its name, in kebab case.
    fn name(&self) -> &'static str;

    /// The law in a sentence.
    fn sentence(&self) -> &'static str;

    /// Whether it concerns this source; the error says why not.
    ///
    /// # Errors
    /// Why it is not applicable.
    fn applies(&self, _: &Subject) -> Result<(), String> {
        Ok(())
    }

    /// The most cases that make sense: fewer for what is slow.
    fn most_cases(&self) -> u32 {
        u32::MAX
    }

    /// Tries one case.
    ///
    /// # Errors
    /// What broke, or why the case says nothing.
    fn examine(&self, subject: &Subject, case: &Case, evidence: &mut Evidence) -> Result<(), Break>;

    /// Judges what all cases showed together, after none of them broke it.
    ///
    /// # Errors
    /// What broke, or, as a discard, why the law is not applicable after all.
    fn conclude(&self, _: &Subject, _: &Evidence) -> Result<(), Break> {
        Ok(())
    }
}

/// Why a case does not count as one that held.
#[derive(Clone, Debug, PartialEq)]
pub enum Break {
    /// The invariant is broken, for this reason.
    Broken(String),
    /// The source failed, for this reason, so that no invariant holds.
    Failed(String),
    /// The case is not one for this source, such as a geometry that its plan refuses.
    Discard(String),
}

impl Break {
    /// The invariant is broken.
    pub fn broken(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }
}

impl From<GuidanceError> for Break {
    fn from(error: GuidanceError) -> Self {
        match error {
            GuidanceError::Plan { reason, .. } => Self::Discard(reason),
            GuidanceError::Guide { reason, .. } => Self::Failed(format!("`guide` fails: {reason}")),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// What was seen over the cases of one invariant, counted by a word.
#[derive(Clone, Debug, Default)]
pub struct Evidence(BTreeMap<String, u64>);

impl Evidence {
    /// Counts one sight.
    pub fn saw(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    /// How often it was seen.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// What was found of one invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the invariant.
    pub invariant: String,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Held, broken, of no concern, or not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It held in every case.
    Held {
        /// How many were tried.
        cases: u32,
    },
    /// It is broken.
    Broken {
        /// How.
        reason: String,
        /// Whether the source itself failed, and no law that it keeps otherwise: `guide` gave an error, the library crashed
        /// or hung, or the host panicked.
        #[serde(default)]
        failed: bool,
        /// The simplest case that breaks it; none where all cases together do.
        case: Option<Box<Case>>,
    },
    /// It does not concern the source.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// A failure that another invariant has shown already keeps it from being tried.
    NotJudged {
        /// Which.
        reason: String,
    },
}

impl Finding {
    /// Whether the invariant is broken.
    pub fn is_broken(&self) -> bool {
        matches!(self.verdict, Verdict::Broken { .. })
    }

    /// The earlier finding that shows the same failure of the source: one cause, met again.
    pub fn known_from<'f>(&self, earlier: &'f [Self]) -> Option<&'f Self> {
        let cause = self.cause()?;
        earlier.iter().find(|other| other.cause().as_ref() == Some(&cause))
    }

    /// The words of the source's failure, if it failed, but for numbers: the simplest case differs from invariant to
    /// invariant, and with it the shapes.
    fn cause(&self) -> Option<String> {
        match &self.verdict {
            Verdict::Broken {
                reason, failed: true, ..
            } => Some(reason.replace(|c: char| c.is_ascii_digit(), "")),
            _ => None,
        }
    }
}
