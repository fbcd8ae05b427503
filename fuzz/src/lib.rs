//! Files that the targets write, since the parsers read files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder of this process, in memory where the system has such a place.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => TempDir::new_in(memory),
        false => TempDir::new(),
    };
    made.expect("a folder")
}

/// Writes `bytes` to `name` in `folder`.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
    fs::write(&path, bytes).expect("a file can be written");
    path
}

/// A file made of another: `bytes` themselves where their first is even, or else the other one with some bytes changed, each by three
/// of these: its place and its value.
pub fn altered(original: &[u8], bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [] => Vec::new(),
        [first, rest @ ..] if first % 2 == 0 => rest.to_vec(),
        [_, rest @ ..] => {
            let mut altered = original.to_vec();
            for change in rest.chunks_exact(3).filter(|_| !original.is_empty()) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
                altered[place % original.len()] = change[2];
            }
            altered
        }
    }
}
