//! Finds the runs of folders.

use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::record::Record;
use crate::Error;
use sextant_records::FileError;
use sextant_records::RunFolder;

/// A folder that a report is asked of, with the runs in it.
#[derive(Debug)]
pub struct RunSet {
    /// The folder, as it was given.
    pub folder: PathBuf,
    /// The record of its comparison; none for a single run, or for runs that were put into a folder by hand.
    pub record: Option<Record>,
    /// Its runs: at least one. With a record those that it lists, in its order.
    pub entries: Vec<Entry>,
}

impl RunSet {
    /// Reads the runs of a comparison's folder (`VARIANT/`, `seed-N/VARIANT/`), or a single run.
    ///
    /// # Errors
    /// A folder that is not there or holds no run; a run that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        match fs::metadata(folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(FileError::new(folder, "there is no such folder").into());
            }
            Err(e) => return Err(FileError::new(folder, e).into()),
            Ok(found) if !found.is_dir() => return Err(FileError::new(folder, "is not a folder").into()),
            Ok(_) => {}
        }
        let record = Record::read(folder)?;
        let runs = match &record {
            Some(record) => record
                .runs
                .iter()
                .map(|run| folder.join(run))
                .filter(|run| is_run(run))
                .collect(),
            None => runs_below(folder)?,
        };
        if runs.is_empty() {
            let reason = "holds no run: give the folder of a comparison, which has VARIANT/ or seed-N/VARIANT/, or that of a run, \
                          which has recipe.toml";
            return Err(FileError::new(folder, reason).into());
        }
        let entries = runs
            .into_iter()
            .map(|run| Entry::read(&name(&run)?, RunFolder::new(run)));
        Ok(Self {
            folder: folder.to_owned(),
            record,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// The runs in the folder that its record does not list: those of seeds or variants that an earlier call of
    /// `sextant compare` was for.
    pub fn unlisted(&self) -> Vec<PathBuf> {
        let mut runs = runs_below(&self.folder).unwrap_or_default();
        runs.retain(|run| self.entries.iter().all(|entry| entry.folder.path() != run));
        runs
    }
}

/// The folder itself, if it is a run; else its runs, those of the lowest seed first, by name.
fn runs_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if is_run(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut runs = Vec::new();
    let mut seeds = Vec::new();
    for below in folders(folder)? {
        let seed = below
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("seed-")?.parse::<u64>().ok());
        match seed {
            _ if is_run(&below) => runs.push(below),
            Some(seed) => seeds.push((seed, below)),
            None => {}
        }
    }
    seeds.sort();
    for (_, of_seed) in seeds {
        runs.extend(folders(&of_seed)?.into_iter().filter(|run| is_run(run)));
    }
    Ok(runs)
}

fn is_run(folder: &Path) -> bool {
    RunFolder::new(folder).recipe_path().is_file()
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(|e| FileError::new(folder, e))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    Ok(folders)
}

/// The name of a run: that of its folder, even where that is given as `.`.
fn name(run: &Path) -> Result<String, Error> {
    let whole = fs::canonicalize(run).map_err(|e| FileError::new(run, e))?;
    Ok(whole.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, Written};

    #[test]
    fn runs_lie_below_variants_and_seeds() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["none", "seed-10/none", "seed-2/none", "seed-2/repa"] {
            Written::new(0, None).at(&folder.path().join(path));
        }
        fs::create_dir(folder.path().join("notes")).unwrap();
        let set = RunSet::read(folder.path()).unwrap();
        let found: Vec<_> = set
            .entries
            .iter()
            .map(|e| e.folder.path().strip_prefix(folder.path()).unwrap())
            .collect();
        let expected = ["none", "seed-2/none", "seed-2/repa", "seed-10/none"].map(Path::new);
        assert_eq!(found, expected);
        let single = RunSet::read(&folder.path().join("seed-2/repa")).unwrap();
        assert_eq!(single.entries[0].variant, "repa");
    }

    #[test]
    fn what_a_record_lists_is_the_comparison() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["seed-0/none", "seed-1/none"] {
            Written::new(0, None).at(&folder.path().join(path));
        }
        fixture::record(&["none"], &["seed-1/none", "seed-2/none"])
            .write(folder.path())
            .unwrap();
        let set = RunSet::read(folder.path()).unwrap();
        assert_eq!(set.entries.len(), 1, "one has not begun");
        assert_eq!(set.unlisted(), [folder.path().join("seed-0/none")]);
    }

    #[test]
    fn folders_without_runs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| RunSet::read(path).unwrap_err().to_string();
        assert!(error(folder.path()).contains("holds no run"));
        assert!(error(&folder.path().join("nowhere")).contains("no such folder"));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(error(&folder.path().join("file")).contains("not a folder"));
        fs::write(folder.path().join("comparison.json"), "{}").unwrap();
        assert!(error(folder.path()).contains("comparison.json"));
    }
}
