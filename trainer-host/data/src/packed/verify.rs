//! All checksums of a packed set.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::index::{FileInfo, PackedIndex};
use crate::dataset::hex;
use crate::error::DataError;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Reads every file of a packed set and compares its SHA-256 with the index. `progress` is told of each file before it is read, and
/// answers whether to go on.
///
/// # Errors
/// The first file that is not as it was written; a stop.
pub fn verify(folder: &Path, mut progress: impl FnMut(&str) -> bool) -> Result<(), DataError> {
    let (index, _) = PackedIndex::read(folder)?;
    for FileInfo { file, sha256, .. } in index.columns.iter().chain(&index.shards) {
        if !progress(file) {
            return Err(DataError::Stopped);
        }
        let path = folder.join(file);
        if digest(&path).map_err(|source| DataError::io(&path, source))? != *sha256 {
            return Err(DataError::file(&path, "damaged: its SHA-256 is not that of index.json"));
        }
    }
    Ok(())
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&chunk[..read]),
        }
    }
}
