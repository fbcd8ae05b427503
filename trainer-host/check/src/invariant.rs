//! Invariants, and the findings of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::plugin::PluginUnderTest;
use super::violation::Violation;

/// Judges one case: a violation, or, as a discard, the reason why the case says nothing.
type Examine = fn(&PluginUnderTest, &Case, &mut Evidence) -> Result<(), Violation>;

/// A law that holds for every guidance source that keeps the contract, or says why it does not concern one.
///
/// An author's own laws are others of them: [`hold`](super::hold) tries them on generated cases and shrinks what breaks them.
#[derive(Clone, Copy)]
pub struct Invariant {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// The law in a sentence.
    pub sentence: &'static str,
    pub(super) applies: fn(&PluginUnderTest) -> Result<(), Violation>,
    pub(super) most_cases: u32,
    pub(super) examine: Examine,
    pub(super) conclude: fn(&PluginUnderTest, &Evidence) -> Result<(), Violation>,
}

impl Invariant {
    /// A law of a name, in a sentence, that is tried case by case.
    pub const fn new(name: &'static str, sentence: &'static str, examine: Examine) -> Self {
        Self {
            name,
            sentence,
            applies: |_| Ok(()),
            most_cases: u32::MAX,
            examine,
            conclude: |_, _| Ok(()),
        }
    }

    /// Does not concern a source that is discarded here, for the reason given.
    pub const fn asked_where(self, applies: fn(&PluginUnderTest) -> Result<(), Violation>) -> Self {
        Self { applies, ..self }
    }

    /// No more cases than make sense: fewer for what is slow.
    pub const fn at_most(self, most_cases: u32) -> Self {
        Self { most_cases, ..self }
    }

    /// Judges at the end what all cases showed together, after none of them broke it: a violation, or, as a discard, the reason
    /// why the law is not applicable after all.
    pub const fn concluded(self, conclude: fn(&PluginUnderTest, &Evidence) -> Result<(), Violation>) -> Self {
        Self { conclude, ..self }
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
