//! Invariants, and the findings of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::plugin::PluginUnderTest;
use super::violation::Violation;

/// A law that holds for every guidance source that keeps the contract, or says why it does not concern one.
///
/// An author's own laws implement it too: [`hold`](super::hold) tries them on generated cases and shrinks what breaks them.
pub trait Invariant: Sync {
    /// Its name, in kebab case.
    fn name(&self) -> &'static str;

    /// The law in a sentence.
    fn sentence(&self) -> &'static str;

    /// Refuses a source that it does not concern.
    ///
    /// # Errors
    /// The reason why it is not applicable.
    fn applies(&self, _: &PluginUnderTest) -> Result<(), NotApplicable> {
        Ok(())
    }

    /// The most cases that make sense: fewer for what is slow.
    fn most_cases(&self) -> u32 {
        u32::MAX
    }

    /// Tries one case.
    ///
    /// # Errors
    /// A violation, or the reason why the case says nothing.
    fn examine(&self, plugin: &PluginUnderTest, case: &Case, evidence: &mut Evidence) -> Result<(), Violation>;

    /// Judges what all cases showed together, after none of them broke it.
    ///
    /// # Errors
    /// A violation, or, as a discard, the reason why the law is not applicable after all.
    fn conclude(&self, _: &PluginUnderTest, _: &Evidence) -> Result<(), Violation> {
        Ok(())
    }
}

/// The reason why an invariant does not concern a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotApplicable {
    reason: String,
}

impl NotApplicable {
    /// A reason in words for people.
    pub fn new(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { reason }
    }
}

/// Sights over the cases of one invariant, counted by a word.
#[derive(Clone, Debug, Default)]
pub struct Evidence(BTreeMap<String, u64>);

impl Evidence {
    /// Counts one sight.
    pub fn saw(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    /// The number of times that it was seen.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// The finding of one invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the invariant.
    pub invariant: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Held, broken, of no concern, or not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It held in every case.
    Held {
        /// Number of cases.
        cases: u32,
    },
    /// It is broken.
    Broken {
        /// The words for people.
        reason: String,
        /// Set where the source itself failed, and no law that it keeps otherwise: `guide` gave an error, the library crashed
        /// or hung, or the host panicked.
        #[serde(default)]
        failed: bool,
        /// The simplest case that breaks it; none where all cases together do.
        case: Option<Box<Case>>,
    },
    /// It does not concern the source.
    NotApplicable {
        /// The words for people.
        reason: String,
    },
    /// A failure that another invariant has shown already keeps it from being tried.
    NotJudged {
        /// The words for people, which name the other.
        reason: String,
    },
}

impl Finding {
    /// Tells whether the invariant is broken.
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
