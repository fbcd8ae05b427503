//! The container of a PyTorch checkpoint: a ZIP archive of a pickle and of storages, as `torch.save` writes it since PyTorch 1.6.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use super::pickle::{Pickle, PickleError, Storage};

/// Largest pickle that is read. It holds names, shapes and settings; those of the largest published checkpoint need 1 MB.
pub(super) const LARGEST_PICKLE: u64 = 16 << 20;

/// Fault of an archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused, or an entry's checksum is not that of its bytes.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No ZIP archive, or a damaged one.
    #[error("not a whole checkpoint of PyTorch: {0}")]
    Zip(#[from] ZipError),
    /// An archive of something else.
    #[error("a ZIP archive without data.pkl, which is no checkpoint of PyTorch")]
    NoPickle,
    /// Written on a machine of the other byte order.
    #[error("its numbers are stored as {0:?}-endian; little-endian ones are read")]
    ByteOrder(String),
    /// An entry that is compressed, or another length than the pickle says.
    #[error("its entry {entry} {reason}")]
    Entry {
        /// Name in the archive, or number of the storage where there is none.
        entry: String,
        /// The fault.
        reason: String,
    },
    /// A pickle that is not read here.
    #[error(transparent)]
    Pickle(#[from] PickleError),
}

/// An open archive; its storages are read one by one.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Folder within the archive, with its slash.
    root: String,
    length: u64,
}

impl Archive {
    /// Opens a file and reads its pickle.
    pub fn open(path: &Path) -> Result<(Self, Pickle), ArchiveError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let zip = ZipArchive::new(BufReader::new(file))?;
        let names = zip.file_names().collect::<Result<Vec<_>, _>>()?;
        let mut roots = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
        let root = roots.find(|root| root.is_empty() || root.ends_with('/'));
        let root = root.ok_or(ArchiveError::NoPickle)?.to_owned();
        drop(names);
        let mut archive = Self { zip, root, length };
        if archive.zip.index_for_name(&archive.name("byteorder")).is_some() {
            let order = archive.entry("byteorder", 16)?;
            if order != b"little" {
                return Err(ArchiveError::ByteOrder(String::from_utf8_lossy(&order).into_owned()));
            }
        }
        let pickle = Pickle::parse(&archive.entry("data.pkl", LARGEST_PICKLE)?)?;
        Ok((archive, pickle))
    }

    fn name(&self, entry: &str) -> String {
        format!("{}{entry}", self.root)
    }

    /// All bytes of an entry. No more are set aside than the file has.
    fn entry(&mut self, entry: &str, most: u64) -> Result<Vec<u8>, ArchiveError> {
        let name = self.name(entry);
        let index = self.zip.index_for_name(&name);
        let fault = |reason: String| ArchiveError::Entry {
            entry: name.clone(),
            reason,
        };
        let index = index.ok_or_else(|| fault("is missing".into()))?;
        // A checksum of 0 was not computed: torch.serialization.set_crc32_options(False).
        let unchecked = self.zip.by_index_raw(index)?.crc32() == 0;
        let options = ZipReadOptions::new().ignore_crc32(unchecked);
        let mut found = self.zip.by_index_with_options(index, options)?;
        let size = found.size();
        if found.compression() != CompressionMethod::Stored {
            return Err(fault("is compressed, which torch.save does not do".into()));
        }
        if size > self.length || size > most {
            return Err(fault(format!("has {size} bytes, more than there can be")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        found
            .read_to_end(&mut bytes)
            .map_err(|error| match error.raw_os_error() {
                Some(_) => ArchiveError::Io(error),
                None => fault(format!("is damaged: {error}")),
            })?;
        Ok(bytes)
    }

    /// The bytes of a storage.
    pub fn bytes(&mut self, storage: &Storage) -> Result<Vec<u8>, ArchiveError> {
        self.entry(&format!("data/{}", storage.key), u64::MAX)
    }
}
