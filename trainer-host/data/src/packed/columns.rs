//! One value a sample, each in a file.

use std::fs::File;
use std::path::Path;

use bytemuck::Pod;

use super::header::{HEADER, Header, Kind};
use super::index::PackedIndex;
use super::pack::Writer;
use crate::column::{Column, Names};
use crate::error::DataError;
use crate::index::Index;
use crate::split::Split;

/// Names of the columns' files, without their ending.
const LABELS: &str = "labels";
const SUBLABELS: &str = "sublabels";
const GROUPS: &str = "groups";
const TRAIN: &str = "train";
const HELD_OUT: &str = "held-out";
const NAMES: &str = "names";
const NAME_ENDS: &str = "name-ends";

/// Writes what `index` knows of every sample.
pub fn write(index: &Index, writer: &mut Writer) -> Result<(), DataError> {
    column(writer, LABELS, &index.labels)?;
    column(writer, TRAIN, &index.split.train)?;
    column(writer, HELD_OUT, &index.split.held_out)?;
    column(writer, NAMES, &index.names.text)?;
    column(writer, NAME_ENDS, &index.names.ends)?;
    if index.subclass_names != index.class_names {
        column(writer, SUBLABELS, &index.sublabels)?;
    }
    match &index.groups {
        Some(groups) => column(writer, GROUPS, groups),
        None => Ok(()),
    }
}

fn column<T: Pod>(writer: &mut Writer, name: &str, values: &[T]) -> Result<(), DataError> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    let header = Header {
        kind: Kind::Column,
        set: writer.set,
        first: 0,
        count: values.len() as u64,
        stride: size_of::<T>() as u64,
        crc: crc32c::crc32c(bytes),
    };
    let info = writer.file(&format!("{name}.bin"), header, [Ok(bytes)])?;
    writer.columns.push(info);
    Ok(())
}

/// Maps what is known of every sample; nothing is gone through.
pub fn read(folder: &Path, packed: &PackedIndex, set: [u8; 16]) -> Result<Index, DataError> {
    let columns = Columns { folder, packed, set };
    let names = Names {
        text: columns.needed(NAMES)?,
        ends: columns.needed(NAME_ENDS)?,
    };
    let split = Split {
        train: columns.needed(TRAIN)?,
        held_out: columns.needed(HELD_OUT)?,
    };
    let labels: Column<i64> = columns.needed(LABELS)?;
    if labels.len() as u64 != packed.count || split.train.is_empty() {
        return Err(DataError::file(
            &folder.join(super::INDEX),
            "damaged: not every sample has a label, or there is none to train on",
        ));
    }
    let mut index = Index::new(names, labels, packed.class_names.clone(), split);
    if let Some(sublabels) = columns.found(SUBLABELS)? {
        index.sublabels = sublabels;
        index.subclass_names = packed.subclass_names.clone();
    }
    index.groups = columns.found(GROUPS)?;
    Ok(index)
}

struct Columns<'a> {
    folder: &'a Path,
    packed: &'a PackedIndex,
    set: [u8; 16],
}

impl Columns<'_> {
    fn needed<T: Pod>(&self, name: &str) -> Result<Column<T>, DataError> {
        let missing = || {
            DataError::file(
                &self.folder.join(super::INDEX),
                format!("damaged: it names no {name}.bin"),
            )
        };
        self.found(name)?.ok_or_else(missing)
    }

    fn found<T: Pod>(&self, name: &str) -> Result<Option<Column<T>>, DataError> {
        let file = format!("{name}.bin");
        let Some(info) = self.packed.columns.iter().find(|column| column.file == file) else {
            return Ok(None);
        };
        let path = self.folder.join(&file);
        let wanted = Header {
            kind: Kind::Column,
            set: self.set,
            first: 0,
            count: info.count,
            stride: size_of::<T>() as u64,
            crc: 0,
        };
        let (file, header) = open(&path, &wanted)?;
        Column::map(&path, &file, HEADER, header.crc).map(Some)
    }
}

/// Opens a file whose header is `wanted`, but for the checksum.
pub fn open(path: &Path, wanted: &Header) -> Result<(File, Header), DataError> {
    use std::io::Read;
    let io = |source| DataError::io(path, source);
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut bytes = Vec::with_capacity(HEADER);
    file.by_ref().take(HEADER as u64).read_to_end(&mut bytes).map_err(io)?;
    let header = Header::parse(&bytes).and_then(|header| header.expect(wanted, length).map(|()| header));
    let header = header.map_err(|fault| DataError::file(path, fault.to_string()))?;
    Ok((file, header))
}
