//! The format in which `torch.save` wrote before PyTorch 1.6, as the published Inception network is stored: five pickles one after
//! another (a mark, a version, facts of the machine, the object, the keys of its storages), then the storages in the order of these
//! keys, each a count in 64 bits and its numbers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use burn::tensor::DType;

use super::archive::{ArchiveError, LARGEST_PICKLE};
use super::pickle::{Pickle, Storage, Value};

/// The first pickle, and the second's only version.
pub(super) const MARK: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";

/// An open file.
pub(super) struct Legacy {
    file: File,
    /// Place and length of each storage's numbers, by its key.
    places: HashMap<String, (u64, usize)>,
}

impl Legacy {
    /// Opens a file that begins with [`MARK`], reads its pickles, and finds its storages.
    pub fn open(path: &Path) -> Result<(Self, Pickle), ArchiveError> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = Vec::new();
        (&mut file).take(LARGEST_PICKLE).read_to_end(&mut head)?;
        let mut at = MARK.len();
        let mut next = || {
            let (pickle, length) = Pickle::parse_first(head.get(at..).unwrap_or_default())?;
            at += length;
            Ok::<_, ArchiveError>(pickle)
        };
        let (machine, object, keys) = (next()?, next()?, next()?);
        let little = machine.entry(machine.root(), "little_endian");
        if little.is_none_or(|little| *machine.get(little) != Value::Bool(true)) {
            return Err(ArchiveError::ByteOrder("big".into()));
        }
        let dtypes: HashMap<&str, DType> = object
            .storages()
            .map(|storage| (storage.key.as_str(), storage.dtype))
            .collect();
        let (mut at, mut places) = (at as u64, HashMap::new());
        for key in keys.texts(keys.root()) {
            let fault = |reason: &str| ArchiveError::Entry {
                entry: key.into(),
                reason: reason.into(),
            };
            let dtype = dtypes.get(key).ok_or_else(|| fault("is of no tensor"))?;
            let mut count = [0; 8];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut count).map_err(|_| fault("is cut off"))?;
            let count = usize::try_from(u64::from_le_bytes(count)).ok();
            let size = count.and_then(|count| count.checked_mul(dtype.size()));
            let end = size.and_then(|size| (at + 8).checked_add(size as u64));
            let (Some(size), Some(end)) = (size, end.filter(|end| *end <= length)) else {
                return Err(fault("is cut off"));
            };
            places.insert(key.to_owned(), (at + 8, size));
            at = end;
        }
        Ok((Self { file, places }, object))
    }

    /// The bytes of a storage.
    pub fn bytes(&mut self, storage: &Storage) -> Result<Vec<u8>, ArchiveError> {
        let fault = |reason: &str| ArchiveError::Entry {
            entry: storage.key.clone(),
            reason: reason.into(),
        };
        let (at, size) = *self.places.get(&storage.key).ok_or_else(|| fault("is missing"))?;
        let mut bytes = vec![0; size];
        self.file.seek(SeekFrom::Start(at))?;
        self.file.read_exact(&mut bytes).map_err(|_| fault("is cut off"))?;
        Ok(bytes)
    }
}
