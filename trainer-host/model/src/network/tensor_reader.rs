//! A safetensors file that is read tensor by tensor: its header when it is opened, values when they are asked for.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata as Header, TensorInfo};
use serde::Deserialize;

use super::tensor_file::{Metadata, TensorFileError};

/// Longest header that is read, as the safetensors crate has it.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open file.
#[derive(Debug)]
pub struct TensorReader {
    path: PathBuf,
    file: File,
    /// Place of the first value.
    start: u64,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: Metadata,
}

/// The header's JSON.
#[derive(Deserialize)]
struct Json {
    #[serde(rename = "__metadata__")]
    metadata: Option<HashMap<String, String>>,
    #[serde(flatten)]
    tensors: HashMap<String, TensorInfo>,
}

impl TensorReader {
    /// Opens a file, and reads its header.
    ///
    /// # Errors
    /// No safetensors file; one whose tensors overlap, leave gaps, or are not those that the file has room for.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TensorFileError> {
        let path = path.as_ref();
        let failed = |source| io_error(path, source);
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let (start, header) = header(&mut file, length).map_err(|source| match source {
            SafeTensorError::IoError(source) => failed(source),
            source => TensorFileError::Format {
                path: path.to_owned(),
                source,
            },
        })?;
        let tensors = header.tensors().into_iter();
        Ok(Self {
            path: path.to_owned(),
            file,
            start,
            tensors: tensors.map(|(name, info)| (name, info.clone())).collect(),
            metadata: header.metadata().clone().unwrap_or_default().into_iter().collect(),
        })
    }

    /// The file's words on itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Names and shapes of its tensors.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors
            .iter()
            .map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    }

    /// Reads one tensor; none where there is none of this name. Floats keep their type, as do i64, i32 and u8.
    ///
    /// # Errors
    /// A file that was cut short since it was opened; other types.
    pub fn tensor(&mut self, name: &str) -> Result<Option<TensorData>, TensorFileError> {
        let Some(info) = self.tensors.get(name) else {
            return Ok(None);
        };
        let dtype = dtype_of(info.dtype).map_err(|found| TensorFileError::Kind {
            path: self.path.clone(),
            name: name.to_owned(),
            found,
        })?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let read = self.file.seek(SeekFrom::Start(self.start + from as u64));
        let read = read.and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|source| io_error(&self.path, source))?;
        Ok(Some(TensorData::from_bytes_vec(bytes, info.shape.clone(), dtype)))
    }

    /// Reads all tensors, one after another.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn all(&mut self) -> Result<BTreeMap<String, TensorData>, TensorFileError> {
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        let mut found = BTreeMap::new();
        for name in names {
            let data = self.tensor(&name)?;
            found.extend(data.map(|data| (name, data)));
        }
        Ok(found)
    }
}

/// The header of a file of `length` bytes, and the place where it ends.
fn header(file: &mut impl Read, length: u64) -> Result<(u64, Header), SafeTensorError> {
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => SafeTensorError::HeaderTooSmall,
        _ => source.into(),
    })?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    let start = 8 + size;
    if start > length {
        return Err(SafeTensorError::InvalidHeaderLength);
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text)?;
    let text = std::str::from_utf8(&text).map_err(SafeTensorError::InvalidHeader)?;
    let Json { metadata, tensors } =
        serde_json::from_str(text).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    let mut tensors: Vec<(String, TensorInfo)> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let header = Header::new(metadata, tensors)?;
    // What the header says is believed from here on: it fits the file, so that nothing larger is set aside.
    match start.checked_add(header.data_len() as u64) == Some(length) {
        true => Ok((start, header)),
        false => Err(SafeTensorError::MetadataIncompleteBuffer),
    }
}

/// The type of burn's for one of the crate's, which is the error where there is none.
pub(super) fn dtype_of(found: Dtype) -> Result<DType, Dtype> {
    match found {
        Dtype::F64 => Ok(DType::F64),
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        Dtype::I64 => Ok(DType::I64),
        Dtype::I32 => Ok(DType::I32),
        Dtype::U8 => Ok(DType::U8),
        other => Err(other),
    }
}

fn io_error(path: &Path, source: io::Error) -> TensorFileError {
    let path = path.to_owned();
    TensorFileError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tensor_file::{parse_safetensors, write_safetensors};
    use super::*;

    /// Bytes of a file of two tensors.
    fn file() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.safetensors");
        let tensors = BTreeMap::from([
            ("a".to_owned(), TensorData::new(vec![1.0f32, -2.0], [2])),
            ("b".to_owned(), TensorData::new(vec![7i64], [1])),
        ]);
        write_safetensors(&path, &tensors, &Metadata::from([("json".into(), "{}".into())])).unwrap();
        std::fs::read(path).unwrap()
    }

    /// The words of the reader and of the crate on bytes.
    fn both(bytes: &[u8]) -> [Option<BTreeMap<String, TensorData>>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        std::fs::write(&path, bytes).unwrap();
        let read = TensorReader::open(&path).and_then(|mut file| file.all());
        [
            read.ok(),
            parse_safetensors(bytes, &path).ok().map(|(tensors, _)| tensors),
        ]
    }

    #[test]
    fn one_tensor_is_read_without_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.safetensors");
        std::fs::write(&path, file()).unwrap();
        let mut reader = TensorReader::open(&path).unwrap();
        assert_eq!(reader.shapes().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(reader.metadata()["json"], "{}");
        assert_eq!(reader.tensor("b").unwrap(), Some(TensorData::new(vec![7i64], [1])));
        assert_eq!(reader.tensor("c").unwrap(), None);
        // Cut short meanwhile.
        let bytes = file();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let message = reader.all().unwrap_err().to_string();
        assert!(message.contains("two.safetensors"), "{message}");
    }

    #[test]
    fn a_header_that_promises_much_sets_nothing_aside() {
        let header = r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#;
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        assert_eq!(both(&bytes), [None, None]);
        assert_eq!(both(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat()), [None, None]);
        assert_eq!(both(b"short"), [None, None]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_says_what_the_crate_says(flips in prop::collection::vec((any::<u16>(), any::<u8>()), 0..3), cut in 0usize..40) {
            let mut bytes = file();
            for (place, value) in flips {
                let place = usize::from(place) % bytes.len();
                bytes[place] = value;
            }
            bytes.truncate(bytes.len() - cut.saturating_sub(20));
            let [read, parsed] = both(&bytes);
            let same = match (&read, &parsed) {
                (Some(read), Some(parsed)) => {
                    let bits = |of: &BTreeMap<String, TensorData>| {
                        of.iter().map(|(name, data)| (name.clone(), data.as_bytes().to_vec())).collect::<Vec<_>>()
                    };
                    bits(read) == bits(parsed)
                }
                (None, None) => true,
                _ => false,
            };
            prop_assert!(same, "{:?}", bytes);
        }
    }
}
