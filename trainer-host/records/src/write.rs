//! Files that appear whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::FileError;

/// Writes a file whole or not at all: to a sibling, synced, renamed. The sibling is this process's own, for two comparisons in a
/// folder write the same pages.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    let written =
        write_synced(&partial, bytes).and_then(|()| fs::rename(&partial, path).map_err(|e| FileError::new(path, e)));
    written.inspect_err(|_| {
        // The first error is the one to report; the leftover may not even exist.
        let _ = fs::remove_file(&partial);
    })
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
    use std::io::Write;
    let mut file = fs::File::create(path).map_err(|e| FileError::new(path, e))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| FileError::new(path, e))
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
