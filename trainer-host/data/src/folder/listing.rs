//! The samples of a folder, each with its class.

use std::fs;
use std::path::Path;

use super::document::{DOCUMENT, Document, Entry, LabelsFault, parse};
use super::files::{FoundFile, IMAGES, OTHER_IMAGES, files_below, has_ending};
use crate::error::DataError;

/// Samples in the order of their names.
#[derive(Debug)]
pub struct Listing {
    /// Its files.
    pub files: Vec<FoundFile>,
    /// A class a file.
    pub labels: Vec<i64>,
    /// Names of the classes, where they have any.
    pub class_names: Option<Vec<String>>,
}

impl Listing {
    /// Everything in `folder` that is meant as an image, whether or not it can be read, with the labels of its `dataset.json` or else a
    /// class a sub-folder.
    ///
    /// # Errors
    /// As [`Listing::labelled`] and [`Listing::by_folder`].
    pub fn of_pictures(folder: &Path) -> Result<Self, DataError> {
        match folder.join(DOCUMENT).is_file() {
            true => Self::labelled(folder, IMAGES),
            false => Self::by_folder(folder, &[IMAGES, OTHER_IMAGES].concat()),
        }
    }

    /// The same of files that lie in no folder but in `place`, such as an archive, with the labels of `document`, its `dataset.json`, or else
    /// a class a folder in it.
    ///
    /// # Errors
    /// As [`Listing::of_pictures`].
    pub fn of_members(place: &Path, mut files: Vec<FoundFile>, document: Option<&[u8]>) -> Result<Self, DataError> {
        let endings = match document {
            Some(_) => IMAGES.to_vec(),
            None => [IMAGES, OTHER_IMAGES].concat(),
        };
        files.retain(|file| has_ending(&file.name, &endings));
        files.sort_unstable();
        let files = at_least_one(place, files, &endings)?;
        match document {
            Some(document) => Self::with_labels(&place.join(DOCUMENT), document, files),
            None => Self::with_folders(place, files),
        }
    }

    /// The files of `folder` with the labels of its `dataset.json`.
    ///
    /// # Errors
    /// No such file, or one that is not of this folder; a folder without samples.
    pub fn labelled(folder: &Path, endings: &[&str]) -> Result<Self, DataError> {
        let path = folder.join(DOCUMENT);
        let bytes = fs::read(&path).map_err(|source| DataError::io(&path, source))?;
        Self::with_labels(&path, &bytes, some_files(folder, endings)?)
    }

    /// `files` with the labels of the `dataset.json` at `path`, which holds `bytes`.
    fn with_labels(path: &Path, bytes: &[u8], files: Vec<FoundFile>) -> Result<Self, DataError> {
        let fault = |fault| DataError::Labels {
            path: path.to_owned(),
            fault,
        };
        let Document { labels, class_names } = parse(bytes).map_err(fault)?;
        let Some(entries) = labels else {
            return Ok(Self::unlabelled(files));
        };
        let labels = matched(&files, &entries).map_err(fault)?;
        Ok(Self {
            files,
            labels,
            class_names: class_names.filter(|names| !names.is_empty()),
        })
    }

    /// The files of `folder`, a class a sub-folder; where there are none, they are of one class.
    ///
    /// # Errors
    /// Files both beside and in sub-folders; a folder without samples.
    pub fn by_folder(folder: &Path, endings: &[&str]) -> Result<Self, DataError> {
        Self::with_folders(folder, some_files(folder, endings)?)
    }

    /// `files` of `place` with a class a folder in it.
    fn with_folders(place: &Path, files: Vec<FoundFile>) -> Result<Self, DataError> {
        let of = |file: &FoundFile| file.name.split_once('/').map(|(class, _)| class.to_owned());
        let classes: Vec<Option<String>> = files.iter().map(of).collect();
        if classes.iter().all(Option::is_none) {
            return Ok(Self::unlabelled(files));
        }
        if let Some(beside) = classes.iter().position(Option::is_none) {
            return Err(DataError::file(
                place,
                format!(
                    "images lie both in sub-folders, which are classes, and beside them, such as \"{}\"; move these into a \
                     sub-folder, or give labels in {DOCUMENT}",
                    files[beside].name
                ),
            ));
        }
        // Equal classes need not be neighbours: "a/" sorts after "a-b/".
        let mut names: Vec<String> = classes.iter().flatten().cloned().collect();
        names.sort_unstable();
        names.dedup();
        let label = |class: &Option<String>| class.as_ref().and_then(|class| names.binary_search(class).ok());
        let labels = classes.iter().map(|class| label(class).unwrap_or(0) as i64);
        Ok(Self {
            labels: labels.collect(),
            files,
            class_names: Some(names),
        })
    }

    fn unlabelled(files: Vec<FoundFile>) -> Self {
        Self {
            labels: vec![0; files.len()],
            files,
            class_names: Some(vec!["all".into()]),
        }
    }
}

/// The files of `folder`, at least one.
///
/// # Errors
/// A folder without samples.
pub fn some_files(folder: &Path, endings: &[&str]) -> Result<Vec<FoundFile>, DataError> {
    at_least_one(folder, files_below(folder, endings)?, endings)
}

fn at_least_one(place: &Path, files: Vec<FoundFile>, endings: &[&str]) -> Result<Vec<FoundFile>, DataError> {
    match files.is_empty() {
        true => Err(DataError::file(
            place,
            format!("there is no sample in it: no file ends with .{}", endings.join(", .")),
        )),
        false => Ok(files),
    }
}

/// The label of each file. Both are sorted by name.
fn matched(files: &[FoundFile], entries: &[Entry]) -> Result<Vec<i64>, LabelsFault> {
    let mut entries = entries.iter().peekable();
    let mut labels = Vec::with_capacity(files.len());
    for file in files {
        match entries.peek() {
            Some(Entry(name, label)) if *name == file.name => {
                labels.push(*label);
                entries.next();
            }
            Some(Entry(name, _)) if name.as_ref() < file.name.as_str() => {
                return Err(LabelsFault::Missing(name.to_string()));
            }
            _ => return Err(LabelsFault::Unlabelled(file.name.clone())),
        }
    }
    match entries.next() {
        Some(Entry(name, _)) => Err(LabelsFault::Missing(name.to_string())),
        None => Ok(labels),
    }
}
