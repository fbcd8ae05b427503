//! A folder that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::File;
use crate::Error;
use sextant_records::FileError;

/// Writes `files` into the new folder `folder`. They are written beside it first, so that a failure leaves nothing behind.
///
/// # Errors
/// If the folder exists and holds something, the folder around it does not exist, or the disk refuses.
pub fn write(files: &[File], folder: &Path) -> Result<(), Error> {
    let exists = refuse_what_exists(folder)?;
    let partial = partial(folder)?;
    remove_leftovers(&partial);
    fs::create_dir(&partial).map_err(|e| FileError::new(&partial, e))?;
    // Until it has its name: what nobody holds is a dead process's.
    let _held = hold(&partial);
    let written = fill(files, &partial).and_then(|()| {
        if exists {
            fs::remove_dir(folder).map_err(|e| FileError::new(folder, e))?;
        }
        fs::rename(&partial, folder).map_err(|e| FileError::new(folder, e).into())
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// True if the folder is there, empty.
fn refuse_what_exists(folder: &Path) -> Result<bool, Error> {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return match fs::symlink_metadata(folder) {
            Ok(_) => Err(FileError::new(folder, "exists already and is not a folder").into()),
            Err(_) => Ok(false),
        };
    };
    match entries.next() {
        None => Ok(true),
        Some(_) => Err(FileError::new(
            folder,
            "exists already and is not empty; choose another name, or another folder with --path",
        )
        .into()),
    }
}

/// The folder, held against other processes; none where another holds it, or where the system does not let folders be opened.
fn hold(folder: &Path) -> Option<fs::File> {
    let file = fs::File::open(folder).ok()?;
    file.try_lock().is_ok().then_some(file)
}

/// Takes away what killed processes left beside `partial`, of the same source. A folder that cannot be removed does no harm.
fn remove_leftovers(partial: &Path) {
    let stem = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let (stem, process) = name.rsplit_once('-')?;
        process.parse::<u32>().is_ok().then(|| stem.to_owned())
    };
    let around = partial.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(around).into_iter().flatten().flatten() {
        let path = entry.path();
        if stem(&path) == stem(partial) && hold(&path).is_some() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// A folder of this process beside `folder`.
fn partial(folder: &Path) -> Result<PathBuf, Error> {
    let around = match folder.parent() {
        Some(around) if !around.as_os_str().is_empty() => around,
        _ => Path::new("."),
    };
    if !around.is_dir() {
        return Err(FileError::new(around, "there is no such folder").into());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(around.join(format!(".{name}.partial-{}", std::process::id())))
}

fn fill(files: &[File], folder: &Path) -> Result<(), Error> {
    for file in files {
        let path = folder.join(&file.path);
        let around = path.parent().unwrap_or(folder);
        fs::create_dir_all(around).map_err(|e| FileError::new(around, e))?;
        fs::write(&path, &file.text).map_err(|e| FileError::new(&path, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<File> {
        [("a.txt", "a"), ("b/c.txt", "c")]
            .map(|(path, text)| File {
                path: path.into(),
                text: text.into(),
            })
            .to_vec()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn should_fill_a_new_or_an_empty_folder_and_leave_nothing_else() {
        let around = tempfile::tempdir().unwrap();
        fs::create_dir(around.path().join("empty")).unwrap();
        for name in ["new", "empty"] {
            let folder = around.path().join(name);
            write(&files(), &folder).unwrap();
            assert_eq!(fs::read_to_string(folder.join("b/c.txt")).unwrap(), "c");
        }
        assert_eq!(names(around.path()).len(), 2);
    }

    #[test]
    fn should_refuse_a_folder_that_holds_something_and_leave_it_alone() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("work"), "of a year").unwrap();
        let error = write(&files(), &folder).unwrap_err().to_string();
        assert!(error.contains("mine") && error.contains("not empty"), "{error}");
        assert_eq!(names(&folder), ["work"]);
        let error = write(&files(), &folder.join("work")).unwrap_err().to_string();
        assert!(error.contains("not a folder"), "{error}");
        let error = write(&files(), &around.path().join("no/where"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("there is no such folder"), "{error}");
        assert_eq!(names(around.path()), ["mine"]);
    }

    #[cfg(unix)]
    #[test]
    fn should_take_away_what_killed_processes_left_of_the_same_source() {
        let around = tempfile::tempdir().unwrap();
        let at = |name: &str| around.path().join(name);
        for name in [".new.partial-4711", ".new.partial-4712", ".newer.partial-4711"] {
            fs::create_dir_all(at(name).join("src")).unwrap();
        }
        // One of them is being written.
        let held = hold(&at(".new.partial-4712")).unwrap();
        write(&files(), &at("new")).unwrap();
        let mut found = names(around.path());
        found.sort();
        assert_eq!(found, [".new.partial-4712", ".newer.partial-4711", "new"]);
        drop(held);
        fs::remove_dir_all(at("new")).unwrap();
        write(&files(), &at("new")).unwrap();
        assert!(!at(".new.partial-4712").exists());
    }

    #[test]
    fn should_leave_nothing_behind_when_it_fails_half_way() {
        let around = tempfile::tempdir().unwrap();
        let mut files = files();
        // A file where the one before needs a folder.
        files.push(File {
            path: "a.txt/below".into(),
            text: String::new(),
        });
        assert!(write(&files, &around.path().join("new")).is_err());
        assert!(names(around.path()).is_empty());
    }
}
