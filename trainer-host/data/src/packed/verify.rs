//! All checksums of a packed set.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::index::{FileInfo, PackedIndex};
use crate::dataset::hex;
use crate::error::DataError;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Reads every file of a packed set and compares its SHA-256 with the index, several files at once. `progress` is told of each file
/// before it is read, and answers whether to go on.
///
/// # Errors
/// The first file that is not as it was written; a stop.
pub fn verify(folder: &Path, progress: impl Fn(&str) -> bool + Sync) -> Result<(), DataError> {
    let (index, _) = PackedIndex::read(folder)?;
    let files: Vec<&FileInfo> = index.columns.iter().chain(&index.shards).collect();
    let check = |FileInfo { file, sha256, .. }: &FileInfo| {
        if !progress(file) {
            return Err(DataError::Stopped);
        }
        let path = folder.join(file);
        match digest(&path).map_err(|source| DataError::io(&path, source))? == *sha256 {
            true => Ok(()),
            false => Err(DataError::file(&path, "damaged: its SHA-256 is not that of index.json")),
        }
    };
    let fault = files.into_par_iter().find_map_first(|file| check(file).err());
    fault.map_or(Ok(()), Err)
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
