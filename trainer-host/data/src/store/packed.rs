//! Records of packed shards.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::base::{Sample, SampleStore};
use super::memory::mirror;
use crate::error::DataError;
use crate::npy::floats;
use crate::packed::{CHECKED, HEADER, Header, Kind, PackedIndex, Part, PartType, open_file};

/// Shards of records of one size.
#[derive(Debug)]
pub(crate) struct PackedStore {
    shards: Vec<(PathBuf, File)>,
    /// Samples of each shard but the last.
    per_shard: usize,
    count: usize,
    /// Bytes of a record.
    stride: usize,
    shape: [usize; 3],
    sample: Forms,
    fields: Vec<(String, Vec<usize>)>,
    field_forms: Vec<Forms>,
    flipped: bool,
}

/// The places of a sample or a field in a record: as it is, and mirrored.
type Forms = [Part; 2];

impl PackedStore {
    /// Opens the shards of the set, to be read with these `fields`.
    ///
    /// # Errors
    /// A shard that is not there or not of this set, a field that is not there.
    pub fn open(folder: &Path, index: &PackedIndex, set: [u8; 16], fields: &[String]) -> Result<Self, DataError> {
        let (parts, stride) = index.parts();
        let step = if index.flipped { 2 } else { 1 };
        let forms = |place: usize| [parts[place * step].clone(), parts[place * step + step - 1].clone()];
        let (mut names, mut field_forms) = (Vec::new(), Vec::new());
        for wanted in fields {
            let place = index.fields.iter().position(|(name, _)| name == wanted);
            let Some(place) = place else {
                let has: Vec<&str> = index.fields.iter().map(|(name, _)| name.as_str()).collect();
                return Err(DataError::file(
                    folder,
                    format!("data.fields names {wanted:?}; fields of this set: {has:?}"),
                ));
            };
            names.push((wanted.clone(), index.fields[place].1.shape.clone()));
            field_forms.push(forms(1 + place));
        }
        let mut shards = Vec::with_capacity(index.shards.len());
        for (i, shard) in index.shards.iter().enumerate() {
            let path = folder.join(&shard.file);
            let wanted = Header {
                kind: Kind::Shard,
                set,
                first: i as u64 * index.shard,
                count: shard.count,
                stride: stride as u64,
                crc: 0,
            };
            let (file, _) = open_file(&path, &wanted)?;
            shards.push((path, file));
        }
        let side = index.sample.shape[1];
        let channels = match index.sample.dtype {
            PartType::U8 => 3,
            _ => index.sample.shape[0] / 2,
        };
        Ok(Self {
            shards,
            per_shard: index.shard as usize,
            count: index.count as usize,
            stride,
            shape: [channels, side, side],
            sample: forms(0),
            fields: names,
            field_forms,
            flipped: index.flipped,
        })
    }

    /// The bytes of a part of a record, compared with their checksum.
    fn read(&self, id: usize, part: &Part) -> Result<Vec<u8>, DataError> {
        if id >= self.count {
            return Err(DataError::Unusable(format!("the data has no sample {id}")));
        }
        let (path, file) = &self.shards[id / self.per_shard];
        let record = (id % self.per_shard) as u64 * self.stride as u64;
        let mut bytes = vec![0; Part::CHECKSUM + part.bytes];
        read_at(file, &mut bytes, HEADER as u64 + record + part.offset as u64)
            .map_err(|source| DataError::io(path, source))?;
        let values = bytes.split_off(Part::CHECKSUM);
        if CHECKED && bytes != Part::checksum(&values) {
            return Err(DataError::file(
                path,
                format!("damaged: the checksum of sample {id} differs; pack the data again, or copy this file again"),
            ));
        }
        Ok(values)
    }
}

impl SampleStore for PackedStore {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn sample(&self, id: usize, flipped: bool) -> Result<Sample, DataError> {
        let part = &self.sample[usize::from(flipped)];
        let bytes = self.read(id, part)?;
        match part.dtype {
            PartType::U8 => {
                let mut pixels = bytes;
                if flipped {
                    mirror(&mut pixels, self.shape[2]);
                }
                Ok(Sample::Pixels(pixels))
            }
            dtype => Ok(Sample::Moments(floats(&bytes, dtype == PartType::F16))),
        }
    }

    fn flipped(&self) -> Result<(), String> {
        let pixels_alone = self.sample[0].dtype == PartType::U8 && self.fields.is_empty();
        match self.flipped || pixels_alone {
            true => Ok(()),
            false => Err("this set was packed without mirrored forms".into()),
        }
    }

    fn fields(&self) -> &[(String, Vec<usize>)] {
        &self.fields
    }

    fn field(&self, name: &str, id: usize, flipped: bool) -> Result<Vec<f32>, DataError> {
        let place = self.fields.iter().position(|(own, _)| own == name);
        let place = place.ok_or_else(|| DataError::NoField(name.into()))?;
        let part = &self.field_forms[place][usize::from(flipped)];
        Ok(floats(&self.read(id, part)?, part.dtype == PartType::F16))
    }

    fn resident_bytes(&self) -> u64 {
        0
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
