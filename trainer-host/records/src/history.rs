//! A run's past, as `run.json` keeps it: files that it began with, changes of its recipe, the run that it was forked from.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sextant_recipe::{Change, JUDGES, Recipe};
use sha2::{Digest, Sha256};

use super::FileError;

/// A place in a run: one of its phases, and the optimiser steps of it that are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the phase.
    pub phase: String,
    /// Its steps that are done.
    pub step: u64,
}

impl Place {
    /// Index of its phase in a recipe; 0 for one that the recipe has not.
    pub fn index(&self, recipe: &Recipe) -> usize {
        let mut phases = recipe.phases.iter();
        phases.position(|phase| phase.name == self.phase).unwrap_or(0)
    }

    /// The earlier of this place and that after `step` steps of `phase`, in the order of a recipe's phases.
    pub(super) fn earlier(&self, phase: &str, step: u64, recipe: &Recipe) -> Self {
        let other = Self {
            phase: phase.to_owned(),
            step,
        };
        let order = |place: &Self| (place.index(recipe), place.step);
        if order(&other) < order(self) {
            other
        } else {
            self.clone()
        }
    }
}

/// The weights of a network that a recipe names, as they were when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFile {
    /// The recipe's key.
    pub key: String,
    /// As the recipe names it: a file, a folder in the layout of the Hugging Face hub, or `hf:owner/name`.
    pub path: String,
    /// SHA-256 of the file of weights.
    pub sha256: String,
    /// The commit, of what came from the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

impl NetworkFile {
    /// All that a recipe names, as they are now. `weights` knows the file of weights behind a key's name, and its
    /// commit.
    ///
    /// # Errors
    /// A network that cannot be found, a file that cannot be read.
    pub fn all<E: Display>(
        recipe: &Recipe,
        weights: impl Fn(&str, &str) -> Result<(PathBuf, Option<String>), E>,
    ) -> Result<Vec<Self>, FileError> {
        let of = |(key, path): (String, String)| {
            let fault = |reason: &dyn Display| FileError::new(&path, format!("{reason} ({key} of the recipe)"));
            let (file, revision) = weights(&key, &path).map_err(|e| fault(&e))?;
            let sha256 = digest(&file).map_err(|e| fault(&e))?;
            Ok(Self {
                key,
                path,
                sha256,
                revision,
            })
        };
        recipe.network_files().into_iter().map(of).collect()
    }

    /// The file in this one's place among those that a run began with: the same file, whatever it is called now, or else of several
    /// judges that of the same name.
    pub fn among<'a>(&self, begun_with: &'a [Self]) -> Option<&'a Self> {
        let name = |file: &Self| Path::new(&file.path).file_name().map(ToOwned::to_owned);
        let same_key = || begun_with.iter().filter(|file| file.key == self.key);
        let same = same_key().find(|file| file.sha256 == self.sha256);
        same.or_else(|| same_key().find(|file| file.key != JUDGES || name(file) == name(self)))
    }
}

/// A file wherever it lies: what it is called, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its name, without folders.
    pub name: String,
    /// SHA-256 (hex) of it.
    pub sha256: String,
}

impl FileIdentity {
    /// The file as it is now; all of it is read.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let sha256 = digest(path).map_err(|e| FileError::new(path, e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, sha256 })
    }
}

/// SHA-256 of a file in hexadecimal digits, read piece by piece: a checkpoint may be larger than the memory.
fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A key of a run's recipe that was changed while it was interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipeChange {
    /// The key, with dots.
    pub key: String,
    /// Its value before; null where it had none.
    pub from: Value,
    /// Its value from then on.
    pub to: Value,
    /// The phase that went on with it.
    pub phase: String,
    /// Optimiser steps of that phase that were done before.
    pub step: u64,
    /// The time, in words.
    pub at: String,
}

impl RecipeChange {
    /// A change that is made now, at `place`.
    pub fn now(change: Change, place: &Place) -> Self {
        Self {
            key: change.key,
            from: change.from,
            to: change.to,
            phase: place.phase.clone(),
            step: place.step,
            at: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }
}

/// The run that another one was forked from, and the place up to which they are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// Its folder.
    pub run: PathBuf,
    /// The phase that goes on in the fork.
    pub phase: String,
    /// Optimiser steps of that phase that they share.
    pub step: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(key: &str, path: &str) -> NetworkFile {
        NetworkFile {
            key: key.into(),
            path: path.into(),
            sha256: path.into(),
            revision: None,
        }
    }

    #[test]
    fn a_file_is_known_again_wherever_it_was_moved() {
        let judges = "evaluation.quality.judges";
        let begun_with = [
            file("encoder.weights", "/a/encoder"),
            file(judges, "/a/one"),
            file(judges, "/a/two"),
        ];
        for (key, path, known) in [
            ("encoder.weights", "/b/encoder", Some(0)),
            ("encoder.weights", "/b/other", Some(0)),
            (judges, "/b/two", Some(2)),
            (judges, "/a/three", None),
        ] {
            assert_eq!(
                file(key, path).among(&begun_with),
                known.map(|i| &begun_with[i]),
                "{path}"
            );
        }
        // Its content tells before its name does.
        let renamed = NetworkFile {
            sha256: begun_with[1].sha256.clone(),
            ..file(judges, "/b/two")
        };
        assert_eq!(renamed.among(&begun_with), Some(&begun_with[1]));
    }
}
