//! What a rank says of its own work, in a message of one size.

use std::fmt::Display;

use sextant_interrupt::{self as interrupt, Interrupted};

use crate::error::{Error, RankError, StepError};

/// Bytes of a word. What is longer is cut.
pub(super) const LENGTH: usize = 2048;

/// The word of a rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The state of its work.
    pub work: Work,
    /// Somebody asked this rank to stop.
    pub stop: bool,
    /// Somebody asked it to save.
    pub save: bool,
}

/// A rank's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Done.
    Good,
    /// Left, since somebody asked to.
    Left,
    /// Failed, for this reason.
    Failed(String),
    /// Under way: it needs what another rank has, in the words of who asks.
    Wants(String),
}

impl Work {
    pub fn of<T, E: Crossing>(own: &Result<T, E>) -> Self {
        match own {
            Ok(_) => Self::Good,
            Err(error) if error.is_stop() => Self::Left,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl Word {
    /// The word on a rank's own work, and what it was asked since the last.
    pub fn of<T, E: Crossing>(own: &Result<T, E>) -> Self {
        Self {
            work: Work::of(own),
            stop: interrupt::is_requested(),
            save: interrupt::take_save(),
        }
    }

    /// The word on nothing but work.
    pub fn on(work: Work) -> Self {
        Self {
            work,
            stop: false,
            save: false,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let (code, text) = match &self.work {
            Work::Good => (0, ""),
            Work::Left => (1, ""),
            Work::Failed(reason) => (2, &reason[..reason.floor_char_boundary(LENGTH - 3)]),
            Work::Wants(words) => (3, words.as_str()),
        };
        let mut bytes = vec![code, self.stop.into(), self.save.into()];
        bytes.extend(text.as_bytes());
        // No reason has a zero.
        bytes.resize(LENGTH, 0);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let text = bytes.get(3..).unwrap_or_default().split(|byte| *byte == 0).next();
        let text = || String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        let flag = |place: usize| bytes.get(place).is_some_and(|flag| *flag != 0);
        Self {
            work: match bytes.first() {
                Some(0) => Work::Good,
                Some(1) => Work::Left,
                Some(3) => Work::Wants(text()),
                _ => Work::Failed(text()),
            },
            stop: flag(1),
            save: flag(2),
        }
    }
}

/// An error that other ranks hear of, in words, and that theirs can become here.
pub trait Crossing: Display + From<Interrupted> + From<RankError> {
    /// True if it is none, but a request to stop.
    fn is_stop(&self) -> bool;
}

impl Crossing for StepError {
    fn is_stop(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }
}

impl Crossing for Error {
    fn is_stop(&self) -> bool {
        self.is_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_understood_whatever_its_length() {
        for reason in ["", "the disk is full: \u{e4}", &"\u{e4}".repeat(LENGTH)] {
            for work in [
                Work::Good,
                Work::Left,
                Work::Wants("that".into()),
                Work::Failed(reason.into()),
            ] {
                let word = Word {
                    work,
                    stop: true,
                    save: false,
                };
                let bytes = word.encode();
                assert_eq!(bytes.len(), LENGTH);
                match (Word::decode(&bytes).work, word.work) {
                    (Work::Failed(read), Work::Failed(said)) => {
                        assert!(said.starts_with(&read) && read.len() + 8 > said.len().min(LENGTH));
                    }
                    (read, said) => assert_eq!(read, said),
                }
            }
        }
    }
}
