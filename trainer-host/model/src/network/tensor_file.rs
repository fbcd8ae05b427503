//! Named tensors on disk, as safetensors, which PyTorch reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use thiserror::Error;

use super::tensor_reader::{TensorReader, dtype_of};
use super::weights::not_finite;

/// A file's words on itself, as free strings. Fixtures and our own files put all of it, as JSON, under the key `json`.
pub type Metadata = BTreeMap<String, String>;

/// Why a file of tensors could not be read or written. Every message names the file.
#[derive(Debug, Error)]
pub enum TensorFileError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("{}: not a valid safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        source: SafeTensorError,
    },
    /// An element type that is not read here.
    #[error("{}: tensor `{name}` holds {found}; floats (f64, f32, f16, bf16) and i64, i32, u8 are read", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        found: Dtype,
    },
    /// A weight that is not a finite number.
    #[error(
        "{}: tensor `{name}` holds {value}, and no network computes with that; the training that wrote it had gone wrong before: \
         take another file or an earlier checkpoint", path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its first value that is not finite.
        value: f64,
    },
}

/// Reads every tensor of a safetensors file. Floats keep their type, as do i64, i32 and u8; others are errors.
pub fn read_safetensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, TensorData>, TensorFileError> {
    Ok(read_with_metadata(path)?.0)
}

/// [`read_safetensors`] of weights, which are numbers: NaN and infinity are errors.
pub fn read_weights(path: impl AsRef<Path>) -> Result<BTreeMap<String, TensorData>, TensorFileError> {
    let path = path.as_ref();
    numbers(read_safetensors(path)?, path)
}

/// Tensors of the file `path` as they are, which must be numbers: NaN and infinity are errors.
pub fn numbers(
    tensors: BTreeMap<String, TensorData>,
    path: &Path,
) -> Result<BTreeMap<String, TensorData>, TensorFileError> {
    match not_finite(&tensors) {
        None => Ok(tensors),
        Some((name, value)) => Err(TensorFileError::NotFinite {
            path: path.to_owned(),
            name: name.to_owned(),
            value,
        }),
    }
}

/// [`read_safetensors`], with the file's metadata.
pub fn read_with_metadata(path: impl AsRef<Path>) -> Result<(BTreeMap<String, TensorData>, Metadata), TensorFileError> {
    let mut reader = TensorReader::open(path)?;
    let tensors = reader.all()?;
    Ok((tensors, reader.metadata().clone()))
}

/// Tensors and metadata of a file's bytes; `path` names them in errors.
pub fn parse_safetensors(
    bytes: &[u8],
    path: &Path,
) -> Result<(BTreeMap<String, TensorData>, Metadata), TensorFileError> {
    let path = || path.to_owned();
    let format = |source| TensorFileError::Format { path: path(), source };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
    let mut found = BTreeMap::new();
    for (name, view) in tensors.iter() {
        let name = name.to_owned();
        let dtype = dtype_of(view.dtype()).map_err(|found| TensorFileError::Kind {
            path: path(),
            name: name.clone(),
            found,
        })?;
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape(), dtype);
        found.insert(name, data);
    }
    Ok((found, metadata.into_iter().collect()))
}

/// Writes float tensors in f32 and integer tensors (i64, i32, u8) as they are, with `metadata` as strings.
///
/// Equal arguments give equal bytes. The file appears whole or not at all: it is written beside its place, flushed to disk,
/// then renamed.
pub fn write_safetensors(
    path: impl AsRef<Path>,
    tensors: &BTreeMap<String, TensorData>,
    metadata: &Metadata,
) -> Result<(), TensorFileError> {
    let path = path.as_ref();
    let bytes = serialise(tensors, metadata).map_err(|source| TensorFileError::Format {
        path: path.to_owned(),
        source,
    })?;
    replace(path, &bytes).map_err(|source| io_error(path, source))
}

fn serialise(tensors: &BTreeMap<String, TensorData>, metadata: &Metadata) -> Result<Vec<u8>, SafeTensorError> {
    let converted = tensors.iter().map(|(name, data)| {
        let (dtype, data) = match data.dtype() {
            DType::F32 => (Dtype::F32, Cow::Borrowed(data)),
            DType::I64 => (Dtype::I64, Cow::Borrowed(data)),
            DType::I32 => (Dtype::I32, Cow::Borrowed(data)),
            DType::U8 => (Dtype::U8, Cow::Borrowed(data)),
            _ => (Dtype::F32, Cow::Owned(data.clone().convert_dtype(DType::F32))),
        };
        (name.as_str(), dtype, data)
    });
    let converted: Vec<(&str, Dtype, Cow<'_, TensorData>)> = converted.collect();
    let mut views = Vec::with_capacity(converted.len());
    for (name, dtype, data) in &converted {
        let view = TensorView::new(*dtype, data.shape().to_vec(), data.as_bytes())?;
        views.push((*name, view));
    }
    with_metadata(safetensors::serialize(views, None)?, metadata)
}

/// Puts `metadata` at the head of the header of a file's `bytes`. The crate takes it as a hash map, and so writes the same
/// entries in another order in every process.
fn with_metadata(bytes: Vec<u8>, metadata: &Metadata) -> Result<Vec<u8>, SafeTensorError> {
    if metadata.is_empty() {
        return Ok(bytes);
    }
    let (length, _) = SafeTensors::read_metadata(&bytes)?;
    let (header, data) = bytes[8..].split_at(length);
    let rest = header[1..].trim_ascii_end();
    let comma = if rest == b"}" { "" } else { "," };
    let entries = serde_json::to_string(metadata)?;
    let mut header = format!("{{\"__metadata__\":{entries}{comma}").into_bytes();
    header.extend_from_slice(rest);
    // Padded, as the crate does, so that the tensors stay aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend_from_slice(&header);
    whole.extend_from_slice(data);
    Ok(whole)
}

fn io_error(path: &Path, source: io::Error) -> TensorFileError {
    TensorFileError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Writes `bytes` to a sibling of `path`, makes them durable, and renames.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut sibling = path.as_os_str().to_owned();
    sibling.push(format!(".{}.partial", std::process::id()));
    let sibling = PathBuf::from(sibling);
    let write = || {
        let mut file = File::create(&sibling)?;
        // Until it has its name: one that nobody holds is a dead process's.
        let _ = file.lock();
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&sibling, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report; the leftover may not even exist.
        let _ = fs::remove_file(&sibling);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{bf16, f16};
    use proptest::prelude::*;

    fn round_trip(
        tensors: &BTreeMap<String, TensorData>,
        metadata: &Metadata,
    ) -> (BTreeMap<String, TensorData>, BTreeMap<String, String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors.safetensors");
        write_safetensors(&path, tensors, metadata).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a sibling was left");
        read_with_metadata(&path).unwrap()
    }

    #[test]
    fn should_write_every_float_as_f32_and_keep_integers() {
        let tensors = BTreeMap::from([
            ("a".into(), TensorData::new(vec![0.5f64, -2.0], [2])),
            ("b".into(), TensorData::new(vec![f16::from_f32(0.25)], [1, 1])),
            ("c".into(), TensorData::new(vec![bf16::from_f32(8.0)], [1])),
            ("d".into(), TensorData::new(vec![3i64, -4], [2])),
        ]);
        let (found, _) = round_trip(&tensors, &BTreeMap::new());
        assert_eq!(found["a"], TensorData::new(vec![0.5f32, -2.0], [2]));
        assert_eq!(found["b"], TensorData::new(vec![0.25f32], [1, 1]));
        assert_eq!(found["c"], TensorData::new(vec![8.0f32], [1]));
        assert_eq!(found["d"], tensors["d"]);
    }

    #[test]
    fn should_read_half_precision_as_it_is() {
        let halves = [f16::from_f32(1.5), f16::from_f32(-3.0)];
        let bytes: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F16, vec![2], &bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        fs::write(&path, safetensors::serialize([("h", view)], None).unwrap()).unwrap();
        let found = &read_safetensors(&path).unwrap()["h"];
        assert_eq!(found.dtype(), DType::F16);
        assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), [1.5, -3.0]);
    }

    #[test]
    fn should_read_no_weights_that_are_not_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let write = |value: f32| {
            let tensors = BTreeMap::from([
                ("a".to_owned(), TensorData::new(vec![0.5f32], [1])),
                ("b.bias".to_owned(), TensorData::new(vec![1.0f32, value], [2])),
                ("count".to_owned(), TensorData::new(vec![i64::MAX], [1])),
            ]);
            write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
        };
        write(f32::MAX);
        assert_eq!(read_weights(&path).unwrap(), read_safetensors(&path).unwrap());
        for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            write(value);
            let message = read_weights(&path).unwrap_err().to_string();
            assert!(message.contains("weights.safetensors"), "{message}");
            assert!(message.contains(&format!("tensor `b.bias` holds {word},")), "{message}");
            read_safetensors(&path).unwrap();
        }
    }

    #[test]
    fn should_name_the_file_at_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.safetensors");
        let missing = read_safetensors(&path).unwrap_err();
        assert!(matches!(missing, TensorFileError::Io { .. }));
        fs::write(&path, b"not a file of tensors").unwrap();
        let broken = read_safetensors(&path).unwrap_err();
        assert!(matches!(broken, TensorFileError::Format { .. }));
        for error in [missing, broken] {
            assert!(error.to_string().contains("broken.safetensors"), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn should_come_back_with_its_metadata(
            tensors in prop::collection::btree_map("[a-z.0-9]{1,12}", prop::collection::vec(-1e3f32..1e3, 0..20), 0..5),
            metadata in prop::collection::btree_map("[a-z]{1,6}", "\\PC{0,12}", 0..4),
        ) {
            let data = |values: Vec<f32>| TensorData::from(values.as_slice());
            let tensors: BTreeMap<_, _> = tensors.into_iter().map(|(name, values)| (name, data(values))).collect();
            let found = round_trip(&tensors, &metadata);
            prop_assert_eq!(found, (tensors, metadata));
        }
    }
}
