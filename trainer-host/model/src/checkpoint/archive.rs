//! The container of a PyTorch checkpoint: a ZIP archive of a pickle and of storages, as `torch.save` writes it since PyTorch 1.6.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use super::pickle::{Pickle, PickleError, StoredTensor};

/// Largest pickle that is read. It holds names, shapes and settings; those of the largest published checkpoint need 1 MB.
const LARGEST_PICKLE: u64 = 16 << 20;

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
        /// Name in the archive.
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

    /// The values of a tensor, in the order of its shape.
    pub fn read(&mut self, tensor: &StoredTensor) -> Result<TensorData, ArchiveError> {
        let StoredTensor {
            storage,
            offset,
            shape,
            strides,
        } = tensor;
        let entry = format!("data/{}", storage.key);
        let bytes = self.entry(&entry, u64::MAX)?;
        let width = storage.dtype.size();
        if Some(bytes.len()) != storage.count.checked_mul(width) {
            return Err(ArchiveError::Entry {
                entry: self.name(&entry),
                reason: format!(
                    "has {} bytes, and {} values of {width} are wanted",
                    bytes.len(),
                    storage.count
                ),
            });
        }
        let count = shape.iter().product::<usize>();
        let mut values = match count == storage.count && is_contiguous(shape, strides) {
            true => bytes,
            false => gathered(&bytes, *offset, shape, strides, width),
        };
        let dtype = match storage.dtype {
            // As numbers, and only 0 and 1.
            DType::Bool(_) => {
                values.iter_mut().for_each(|value| *value = u8::from(*value != 0));
                DType::U8
            }
            dtype => dtype,
        };
        Ok(TensorData::from_bytes_vec(values, shape.clone(), dtype))
    }
}

/// True if the values of a shape follow one another.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut wanted = 1;
    let mut sides = shape.iter().zip(strides).rev();
    sides.all(|(side, stride)| {
        let fits = *side == 1 || *stride == wanted;
        wanted *= side;
        fits
    })
}

/// The values of a view, one after another; they lie within `bytes`.
fn gathered(bytes: &[u8], offset: usize, shape: &[usize], strides: &[usize], width: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut values = Vec::with_capacity(count * width);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let place: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        let at = (offset + place) * width;
        values.extend_from_slice(&bytes[at..at + width]);
        for (i, side) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_gathered_in_the_order_of_its_shape() {
        let bytes: Vec<u8> = (0..12).collect();
        assert!(is_contiguous(&[3, 4], &[4, 1]) && is_contiguous(&[1, 12], &[99, 1]) && is_contiguous(&[], &[]));
        assert!(!is_contiguous(&[4, 3], &[1, 4]));
        assert_eq!(
            gathered(&bytes, 0, &[4, 3], &[1, 4], 1),
            [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
        );
        assert_eq!(gathered(&bytes, 1, &[2, 2], &[3, 1], 2), [2, 3, 4, 5, 8, 9, 10, 11]);
        assert_eq!(gathered(&bytes, 5, &[], &[], 1), [5]);
        assert!(gathered(&bytes, 0, &[0, 3], &[3, 1], 1).is_empty());
    }
}
