//! Causes that keep a report from being made.

use std::path::PathBuf;

use sextant_recipe::RecipeError;
use sextant_records::{FileError, RecordError};
use sextant_stats::statistics::StatisticsError;

/// Why runs cannot be put on one page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recipe that cannot be read.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Scores that no statistics can be made of.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// Runs that were made or measured in different ways; with what differs, and the values of both.
    #[error("{what} differs: {difference}; such runs cannot be compared")]
    Incomparable {
        /// The part of the protocol that differs.
        what: &'static str,
        /// The key, both values, both folders.
        difference: String,
    },
    /// Two runs of one variant and seed that are not the same run.
    #[error(
        "{} and {} are both runs of variant \"{variant}\" with seed {seed}, and not the same{difference}; leave one out, or give it \
         another folder name",
        first.display(), second.display()
    )]
    TwoRuns {
        /// The folder of one.
        first: PathBuf,
        /// The folder of the other.
        second: PathBuf,
        /// The variant of both.
        variant: String,
        /// The seed of both.
        seed: u64,
        /// The key that differs, after a colon; empty where it is their end alone.
        difference: String,
    },
    /// Seeds of one variant that differ in more than their seed.
    #[error(
        "the runs of variant \"{variant}\" were trained by different recipes: {difference}; give one of the folders another name"
    )]
    OtherRecipes {
        /// The variant.
        variant: String,
        /// The key, both values, both folders.
        difference: String,
    },
    /// A baseline that is asked for and is not there.
    #[error("--baseline {asked}: there is no such variant; there are: {}", there.join(", "))]
    NoSuchBaseline {
        /// The name that was asked for.
        asked: String,
        /// The names that there are.
        there: Vec<String>,
    },
    /// A primary score that takes judges, where none has judged.
    #[error("--primary {score}: no judge has scored samples of these runs")]
    NotJudged {
        /// The score that was asked for.
        score: &'static str,
    },
    /// Recipes that declare different primary scores.
    #[error(
        "evaluation.primary is \"{}\" in {} and \"{}\" in {}; say which with --primary",
        first.0, first.1.display(), second.0, second.1.display()
    )]
    OtherScores {
        /// A score, and the folder that declares it.
        first: (&'static str, PathBuf),
        /// Another score, and its folder.
        second: (&'static str, PathBuf),
    },
    /// Folders of which nothing is left to be reported.
    #[error("there is no run to report")]
    NoRun,
}
