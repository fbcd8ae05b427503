//! From a packed folder to its data set.

use std::path::Path;
use std::sync::Arc;

use sextant_recipe::HeldOut;
use sha2::{Digest, Sha256};

use super::columns;
use super::index::PackedIndex;
use crate::dataset::{Dataset, hex};
use crate::error::DataError;
use crate::held_out::held_out_by;
use crate::store::PackedStore;

/// Opens a packed set with these `fields`. How long that takes does not depend on the number of samples, unless another held-out
/// part is asked for than it was packed with.
///
/// # Errors
/// Files that are not there or not of one set, fields that it does not have.
pub fn packed(
    path: &Path,
    fields: &[String],
    held_out: Option<&HeldOut>,
    split_seed: u64,
) -> Result<Dataset, DataError> {
    // Columns are mapped as they are.
    if cfg!(target_endian = "big") || size_of::<usize>() != size_of::<u64>() {
        let reason = "the packed layout needs a little-endian machine of 64 bits";
        return Err(DataError::file(path, reason));
    }
    let (packed, bytes) = PackedIndex::read(path)?;
    let set = packed.set().unwrap_or_default();
    let mut index = columns::read(path, &packed, set)?;
    if let Some(held_out) = held_out {
        if let HeldOut::Path(path) = held_out
            && path.is_dir()
        {
            return Err(DataError::file(
                path,
                "data.held_out: packed data has its held-out part within it; give a folder when it is packed, or a share or a list now",
            ));
        }
        index.check()?;
        let groups = index.groups.as_deref();
        index.split = held_out_by(held_out, &index.names, index.len(), groups, split_seed)?;
    }
    // The checksums of all files are part of the index.
    let mut hash = Sha256::new();
    hash.update(b"sextant/data/1 packed\n");
    hash.update(&bytes);
    if held_out.is_some() {
        index.hash_split(&mut hash);
    }
    let codec = packed.codec();
    let store = PackedStore::open(path, &packed, set, fields)?;
    Ok(Dataset::new(index, Arc::new(store), codec, hex(&hash.finalize())))
}
