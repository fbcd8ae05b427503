//! One value a sample: in memory, or a mapped file.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

use super::error::DataError;
use super::packed::CHECKED;

/// A list of plain values that is cheap to copy, and costs nothing to open where it is a file.
#[derive(Debug, Clone)]
pub enum Column<T> {
    /// In memory.
    Held(Arc<[T]>),
    /// In a file of the packed layout.
    Mapped(Arc<MappedColumn>),
}

/// A file that is mapped, with the place of its values.
#[derive(Debug)]
pub struct MappedColumn {
    path: PathBuf,
    map: Mmap,
    offset: usize,
    crc: u32,
}

impl<T: Pod> Column<T> {
    /// The values of `path` behind its first `offset` bytes, whose CRC-32C is `crc`: compared by [`Column::check`], not here.
    ///
    /// # Errors
    /// A file that cannot be mapped, or does not hold whole values.
    pub(super) fn map(path: &Path, file: &std::fs::File, offset: usize, crc: u32) -> Result<Self, DataError> {
        // SAFETY: the map is read alone. A file that is changed or cut short meanwhile would change values or end the process,
        // as it would for any program that maps its data; the packed layout is written once, under another name, and not changed.
        #[allow(unsafe_code, reason = "memmap2 has no safe way")]
        let map = unsafe { Mmap::map(file) }.map_err(|source| DataError::io(path, source))?;
        let values = map.get(offset..).map(bytemuck::try_cast_slice::<u8, T>);
        if !matches!(values, Some(Ok(_))) {
            return Err(DataError::file(path, "it holds no whole values"));
        }
        Ok(Self::Mapped(Arc::new(MappedColumn {
            path: path.into(),
            map,
            offset,
            crc,
        })))
    }

    /// Compares mapped values with their checksum.
    ///
    /// # Errors
    /// Names the file whose values are not those that were written.
    pub(super) fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Mapped(column) if CHECKED && crc32c::crc32c(&column.map[column.offset..]) != column.crc => {
                Err(DataError::file(&column.path, "damaged: its checksum differs"))
            }
            _ => Ok(()),
        }
    }
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Held(values) => values,
            // Whether this can be done was seen when the file was mapped.
            Self::Mapped(column) => bytemuck::cast_slice(&column.map[column.offset..]),
        }
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Held(values.into())
    }
}

impl<T: Pod + PartialEq> PartialEq for Column<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + Eq> Eq for Column<T> {}

/// A name a sample, without an allocation each.
#[derive(Debug, Clone, PartialEq)]
pub struct Names {
    /// All names, one after the other.
    pub(super) text: Column<u8>,
    /// End of each in `text`.
    pub(super) ends: Column<u64>,
}

impl Names {
    /// The name of sample `id`; empty if there is none.
    pub fn get(&self, id: usize) -> &str {
        let end = |id: usize| self.ends.get(id).map(|&end| end as usize);
        let start = if id == 0 { Some(0) } else { end(id - 1) };
        let bytes = start.zip(end(id)).and_then(|(start, end)| self.text.get(start..end));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for name in names {
            text.extend_from_slice(name.as_ref().as_bytes());
            ends.push(text.len() as u64);
        }
        Self {
            text: text.into(),
            ends: ends.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_give_back_the_names() {
        let names: Names = ["a", "", "äö/b.npy"].into_iter().collect();
        assert_eq!(names.get(0), "a");
        assert_eq!(names.get(1), "");
        assert_eq!(names.get(2), "äö/b.npy");
        assert_eq!(names.get(3), "");
    }

    #[test]
    fn should_not_believe_ends_that_cannot_be() {
        let names = Names {
            text: b"ab\xff".to_vec().into(),
            ends: vec![u64::MAX, 1, 0, 3].into(),
        };
        for id in 0..5 {
            assert_eq!(names.get(id), "");
        }
    }
}
