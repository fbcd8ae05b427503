//! Packing any data set.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use half::f16;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::columns;
use super::header::{Header, Kind};
use super::index::{FileInfo, INDEX, PackedCodec, PackedIndex, Part, PartInfo, PartType};
use crate::codec::Codec;
use crate::dataset::{Dataset, hex};
use crate::error::DataError;
use crate::store::Sample;

/// Samples that are read before they are written.
const AHEAD: usize = 64;

/// Bytes of a shard beyond which another begins.
const SHARD: usize = 4 << 30;

/// Settings of packing.
#[derive(Debug, Clone, Copy)]
pub struct PackOptions {
    /// Moments and fields in half precision. Pixels are bytes in any case.
    pub half: bool,
    /// Bytes of a shard beyond which another begins.
    pub shard: usize,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            half: false,
            shard: SHARD,
        }
    }
}

/// Result of packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Number of samples.
    pub samples: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Writes `dataset`, with its fields, split and mirrored forms, to the new folder `out`: whole or not at all. What is in memory
/// does not grow with the set.
///
/// `progress` is told how many samples are written, and answers whether to go on.
///
/// # Errors
/// A folder that is there already, a sample that cannot be read, a file that cannot be written, a stop.
pub fn pack(
    dataset: &Dataset,
    out: &Path,
    options: PackOptions,
    mut progress: impl FnMut(usize) -> bool,
) -> Result<Packed, DataError> {
    if out.exists() {
        return Err(DataError::file(
            out,
            "it is there already; give the name of a new folder",
        ));
    }
    let partial = partial(out)?;
    drop(hold(&partial, out)?);
    // What a killed process left has the same name, and is no use to anyone.
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).map_err(|source| write_error(&partial, source))?;
    let _held = hold(&partial, out)?;
    let packed = write(dataset, &partial, options, &mut progress).and_then(|packed| {
        sync(&partial)?;
        fs::rename(&partial, out).map_err(|source| write_error(out, source))?;
        Ok(packed)
    });
    packed.inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
    })
}

/// Holds the folder that is filled against other processes, where the system lets folders be opened and locked.
fn hold(partial: &Path, out: &Path) -> Result<Option<File>, DataError> {
    let Ok(file) = File::open(partial) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(DataError::file(
            out,
            "another sextant is packing into it; wait until it is done, or stop it first",
        )),
    }
}

/// The folder that is filled before it has its name.
fn partial(out: &Path) -> Result<PathBuf, DataError> {
    let name = out.file_name();
    let name = name.ok_or_else(|| DataError::file(out, "it is no name of a folder"))?;
    Ok(out.with_file_name(format!(".partial-{}", name.to_string_lossy())))
}

fn write(
    dataset: &Dataset,
    folder: &Path,
    options: PackOptions,
    progress: &mut impl FnMut(usize) -> bool,
) -> Result<Packed, DataError> {
    let mut index = plan(dataset, options);
    let set = index.set().unwrap_or_default();
    let (parts, stride) = index.parts();
    let per_shard = (options.shard / stride).max(1);
    index.shard = per_shard as u64;
    let mut writer = Writer {
        folder,
        set,
        bytes: 0,
        columns: Vec::new(),
    };
    let count = dataset.len();
    for (i, first) in (0..count).step_by(per_shard).enumerate() {
        let end = count.min(first + per_shard);
        let header = Header {
            kind: Kind::Shard,
            set,
            first: first as u64,
            count: (end - first) as u64,
            stride: stride as u64,
            crc: 0,
        };
        let chunks = (first..end).step_by(AHEAD).map(|start| {
            if !progress(start) {
                return Err(DataError::Stopped);
            }
            let ids = start..end.min(start + AHEAD);
            let records = ids
                .into_par_iter()
                .map(|id| record(dataset, &index, &parts, stride, id));
            Ok(records.collect::<Result<Vec<_>, _>>()?.concat())
        });
        index
            .shards
            .push(writer.file(&format!("shard-{i:05}.bin"), header, chunks)?);
    }
    columns::write(dataset.index(), &mut writer)?;
    index.columns = std::mem::take(&mut writer.columns);
    let text =
        serde_json::to_vec_pretty(&index.sealed()).map_err(|e| DataError::file(&folder.join(INDEX), e.to_string()))?;
    writer.write(INDEX, |file| file.write_all(&text))?;
    progress(count);
    Ok(Packed {
        samples: count,
        bytes: writer.bytes + text.len() as u64,
    })
}

/// The index of what will be written, without its files.
fn plan(dataset: &Dataset, options: PackOptions) -> PackedIndex {
    let [channels, height, width] = dataset.shape();
    let floats = if options.half { PartType::F16 } else { PartType::F32 };
    let (codec, sample) = match dataset.codec() {
        Codec::Pixels(standardisation) => {
            let shape = vec![height, width, channels];
            (
                PackedCodec::Pixels(standardisation),
                PartInfo {
                    shape,
                    dtype: PartType::U8,
                },
            )
        }
        Codec::Latents { scale } => {
            let shape = vec![2 * channels, height, width];
            (PackedCodec::Latents { scale }, PartInfo { shape, dtype: floats })
        }
    };
    let fields: Vec<_> = dataset
        .fields()
        .map(|(name, shape)| {
            let shape = shape.to_vec();
            (name.to_owned(), PartInfo { shape, dtype: floats })
        })
        .collect();
    // Two sets are the same where these are.
    let identity = format!("{} {fields:?} {sample:?} {}", dataset.fingerprint(), options.shard);
    let (format, version) = PackedIndex::format();
    let names = |own: &[String]| own.to_vec();
    PackedIndex {
        format,
        version,
        set: hex(&Sha256::digest(identity)[..16]),
        count: dataset.len() as u64,
        shard: 0,
        codec,
        flipped: sample.dtype != PartType::U8 && dataset.store().flipped().is_ok(),
        sample,
        fields,
        class_names: names(dataset.class_names()),
        subclass_names: match dataset.subclass_names() == dataset.class_names() {
            true => Vec::new(),
            false => names(dataset.subclass_names()),
        },
        shards: Vec::new(),
        columns: Vec::new(),
        sha256: String::new(),
    }
}

/// The bytes of a sample and its fields.
fn record(
    dataset: &Dataset,
    index: &PackedIndex,
    parts: &[Part],
    stride: usize,
    id: usize,
) -> Result<Vec<u8>, DataError> {
    let forms: &[bool] = if index.flipped { &[false, true] } else { &[false] };
    let mut record = vec![0; stride];
    let mut parts = parts.iter();
    let mut put = |values: Vec<u8>| {
        if let Some(part) = parts.next() {
            let start = part.offset + Part::CHECKSUM;
            record[part.offset..start].copy_from_slice(&Part::checksum(&values));
            record[start..start + part.bytes].copy_from_slice(&values);
        }
    };
    for &flipped in forms {
        put(match dataset.store().sample(id, flipped)? {
            Sample::Pixels(pixels) => pixels,
            Sample::Moments(moments) => bytes(&moments, index.sample.dtype)?,
        });
    }
    for (name, info) in &index.fields {
        for &flipped in forms {
            put(bytes(&dataset.field(name, id, flipped)?, info.dtype)?);
        }
    }
    Ok(record)
}

fn bytes(values: &[f32], dtype: PartType) -> Result<Vec<u8>, DataError> {
    if dtype == PartType::F32 {
        return Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect());
    }
    let halves = values.iter().map(|&value| match f16::from_f32(value) {
        half if half.is_finite() => Ok(half.to_le_bytes()),
        _ => Err(DataError::Unusable(format!(
            "the value {value:?} is beyond half precision; pack with --dtype f32"
        ))),
    });
    Ok(halves.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Writes the files of a set.
pub struct Writer<'a> {
    folder: &'a Path,
    /// The identity that they share.
    pub set: [u8; 16],
    bytes: u64,
    /// The columns so far.
    pub columns: Vec<FileInfo>,
}

impl Writer<'_> {
    /// A file of a header and what follows it, synced.
    pub fn file<B: AsRef<[u8]>>(
        &mut self,
        name: &str,
        header: Header,
        chunks: impl IntoIterator<Item = Result<B, DataError>>,
    ) -> Result<FileInfo, DataError> {
        let path = self.folder.join(name);
        let mut hash = Sha256::new();
        let mut failed = None;
        self.write(name, |file| {
            let mut put = |bytes: &[u8]| {
                hash.update(bytes);
                file.write_all(bytes)
            };
            put(&header.to_bytes())?;
            for chunk in chunks {
                match chunk {
                    Ok(bytes) => put(bytes.as_ref())?,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.bytes += header
            .file_bytes()
            .ok_or_else(|| DataError::file(&path, "it would be too large"))?;
        Ok(FileInfo {
            file: name.into(),
            count: header.count,
            sha256: hex(&hash.finalize()),
        })
    }

    fn write(
        &self,
        name: &str,
        fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), DataError> {
        let path = self.folder.join(name);
        let written = File::create(&path).and_then(|file| {
            let mut file = BufWriter::with_capacity(1 << 20, file);
            fill(&mut file)?;
            file.into_inner()?.sync_all()
        });
        written.map_err(|source| write_error(&path, source))
    }
}

fn write_error(path: &Path, source: std::io::Error) -> DataError {
    let path = path.into();
    DataError::Write { path, source }
}

/// Waits until the entries of a folder are on disk.
fn sync(folder: &Path) -> Result<(), DataError> {
    // Only Unix lets a folder be opened to sync its entries.
    match cfg!(unix) {
        true => File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| write_error(folder, source)),
        false => Ok(()),
    }
}
