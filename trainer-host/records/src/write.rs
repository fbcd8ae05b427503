//! Files that appear whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::FileError;

/// Writes a file whole or not at all: to a sibling, synced, renamed. The sibling is this process's own, for two comparisons in a
/// folder write the same pages.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    remove_leftovers(path);
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = replace(path, &partial, bytes);
    // Taken away by whoever looked at it before it was locked.
    let written = written.or_else(|error| match partial.exists() {
        true => Err(error),
        false => replace(path, &partial, bytes),
    });
    written.inspect_err(|_| {
        // The first error is the one to report; the leftover may not even exist.
        let _ = fs::remove_file(&partial);
    })
}

fn replace(path: &Path, partial: &Path, bytes: &[u8]) -> Result<(), FileError> {
    // Errors name the file that is wanted.
    let mut file = fs::File::create(partial).map_err(|e| FileError::new(path, e))?;
    // Until it has its name: what nobody holds is a dead process's. Where the system has no locks, leftovers stay.
    let _ = file.lock();
    write_and_sync(&mut file, path, bytes)?;
    fs::rename(partial, path).map_err(|e| FileError::new(path, e))
}

/// Takes away what killed processes were writing to `path`. A file that cannot be removed does no harm.
pub fn remove_leftovers(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten();
    let leftovers = entries
        .map(|entry| entry.path())
        .filter(|path| leftover_of(path).as_deref() == Some(name));
    for leftover in leftovers {
        if fs::File::open(&leftover).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(&leftover);
        }
    }
}

/// The name of the file that a killed process was writing to `path`; none where that is no leftover of [`write_whole`].
pub(crate) fn leftover_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".partial")?;
    let (whole, process) = name.rsplit_once('.')?;
    process.parse::<u32>().is_ok().then(|| whole.to_owned())
}

/// Makes a folder and those that it lies in, where they are not there.
///
/// # Errors
/// Names the folder that cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(|e| FileError::new(folder, e).after("cannot be made"))
}

/// Writes a file and waits until it is on disk; half of it may be there after a crash.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = fs::File::create(path).map_err(|e| FileError::new(path, e))?;
    write_and_sync(&mut file, path, bytes)
}

fn write_and_sync(file: &mut fs::File, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|e| FileError::new(path, e))
}

/// Waits until the entries of a folder are on disk.
///
/// # Errors
/// Names the folder.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    // Only Unix lets a folder be opened to sync its entries.
    if cfg!(unix) {
        fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| FileError::new(folder, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"one").unwrap();
        // A folder cannot be replaced by a file.
        let taken = folder.path().join("taken");
        make_folder(&taken.join("full")).unwrap();
        assert!(write_whole(&taken, b"two").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["page.md.4711.partial", "page.md.4712.partial", "other.md.4711.partial"] {
            fs::write(at(name), "half").unwrap();
        }
        // One of them is being written.
        let other = fs::File::open(at("page.md.4712.partial")).unwrap();
        other.lock().unwrap();
        write_whole(&at("page.md"), b"whole").unwrap();
        assert!(!at("page.md.4711.partial").exists());
        assert!(at("page.md.4712.partial").exists() && at("other.md.4711.partial").exists());
        drop(other);
        write_whole(&at("page.md"), b"whole").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_leftover_names_its_file() {
        let of = |name: &str| leftover_of(Path::new(name));
        assert_eq!(of("run/recipe.toml.4711.partial").as_deref(), Some("recipe.toml"));
        for other in [
            "recipe.toml",
            "recipe.toml.partial",
            "recipe.toml.x.partial",
            ".partial",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
