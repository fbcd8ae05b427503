//! `comparison.json`: what a comparison is, so that its report can be made again from its runs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use sextant_recipe::Score;
use sextant_records::FileError;
use sextant_records::write_whole;

const FILE: &str = "comparison.json";

/// The request that `sextant compare` carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Title of the base recipe.
    pub title: String,
    /// File name of the recipe.
    pub recipe: String,
    /// The command that makes the comparison.
    pub command: String,
    /// The score that decides.
    pub primary: Score,
    /// The score that the recipe declared before the first run began, if it is another.
    #[serde(default)]
    pub declared: Option<Score>,
    /// The variants, in the recipe's order.
    pub variants: Vec<RecordedVariant>,
    /// The runs' folders below this one, with `/`, in their order; the last part is the variant's name.
    pub runs: Vec<String>,
    /// The resolved base recipe (TOML).
    pub base: String,
}

/// A variant of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedVariant {
    /// Its name.
    pub name: String,
    /// Its changes to the base recipe (TOML).
    pub overlay: String,
}

impl Record {
    /// Writes it into a comparison's folder, which must be there.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|e| FileError::new(&path, e))?;
        Ok(write_whole(&path, format!("{text}\n").as_bytes())?)
    }

    /// Reads it from a folder; none where there is none.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let wrong = |e| {
                    FileError::new(
                        &path,
                        format!("is not a comparison's record: {e}; delete it to go on without"),
                    )
                    .into()
                };
                serde_json::from_str(&text).map(Some).map_err(wrong)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FileError::new(&path, e).into()),
        }
    }
}
