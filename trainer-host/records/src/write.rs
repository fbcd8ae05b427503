//! Files that appear whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::FileError;

/// Writes a file whole or not at all: to a sibling, synced, renamed.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    write_synced(&partial, bytes)?;
    fs::rename(&partial, path).map_err(|e| FileError::new(path, e))
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
