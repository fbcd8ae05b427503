//! Samples as the published evaluator reads them.

use std::io::Cursor;
use std::path::Path;

use npyz::WriterBuilder;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::zip::DateTime;
use npyz::zip::write::FileOptions;

use crate::Error;
use sextant_records::FileError;

/// An `.npz` with one array `arr_0`, uint8 `[N, side, side, 3]`. The same pixels give the same bytes, whenever they are written.
///
/// # Errors
/// A failure of the encoder.
pub fn npz(pixels: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let failed = |e: std::io::Error| Error::Pixels(format!("the samples' .npz cannot be encoded: {e}"));
    let shape = [(pixels.len() / (side * side * 3)) as u64, side as u64, side as u64, 3];
    let mut bytes = Cursor::new(Vec::new());
    {
        let mut archive = NpzWriter::new(&mut bytes);
        let mut array = archive
            .array("arr_0", FileOptions::default().last_modified_time(DateTime::default()))
            .map_err(failed)?
            .default_dtype()
            .shape(&shape)
            .begin_nd()
            .map_err(failed)?;
        array.extend(pixels).map_err(failed)?;
        array.finish().map_err(failed)?;
    }
    Ok(bytes.into_inner())
}

/// Images as RGB bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// `[N, side, side, 3]`.
    pub bytes: Vec<u8>,
    /// Height and width.
    pub side: usize,
}

/// Reads an `.npz` with one array, uint8 `[N, side, side, 3]`: ours, or one that was made for the published evaluator.
///
/// # Errors
/// Names the file, and what is there instead.
pub fn read_npz(path: &Path) -> Result<Pixels, Error> {
    let failed = |reason: String| FileError::new(path, reason).into();
    let broken = |e: std::io::Error| failed(format!("cannot be read as .npz: {e}"));
    let mut archive = NpzArchive::open(path).map_err(broken)?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let [name] = names.as_slice() else {
        return Err(failed(format!(
            "holds {} arrays ({}); samples are one, arr_0",
            names.len(),
            names.join(", ")
        )));
    };
    let array = archive.by_name(name).map_err(broken)?;
    let array = array.ok_or_else(|| failed(format!("has no array {name}")))?;
    let shape = array.shape().to_vec();
    let dtype = array.dtype().descr();
    let [count, height, width, 3] = shape[..] else {
        return Err(failed(format!(
            "{name} has the shape {shape:?}; samples are [N, side, side, 3]"
        )));
    };
    if height != width || count == 0 {
        return Err(failed(format!(
            "{name} has the shape {shape:?}; samples are [N, side, side, 3], at least one of them"
        )));
    }
    if array.order() != npyz::Order::C {
        return Err(failed(format!(
            "{name} is stored column by column (Fortran order); store it row by row"
        )));
    }
    let bytes = array
        .into_vec::<u8>()
        .map_err(|_| failed(format!("{name} holds {dtype}; samples are bytes, '|u1'")))?;
    Ok(Pixels {
        bytes,
        side: height as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_hold_no_time() {
        let bytes = npz(&[7; 12], 2).unwrap();
        let mut archive = npyz::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.by_index(0).unwrap().last_modified().year(), 1980);
    }

    #[test]
    fn the_archive_reads_back() {
        let pixels: Vec<u8> = (0..2 * 2 * 2 * 3).collect();
        let bytes = npz(&pixels, 2).unwrap();
        let mut archive = npyz::npz::NpzArchive::new(Cursor::new(bytes)).unwrap();
        let array = archive.by_name("arr_0").unwrap().unwrap();
        assert_eq!(array.shape(), [2, 2, 2, 3]);
        assert_eq!(array.into_vec::<u8>().unwrap(), pixels);
    }

    #[test]
    fn what_is_no_set_of_samples_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npz");
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_npz(&path).unwrap_err().to_string()
        };
        assert!(refused(b"no archive").contains("some.npz: cannot be read as .npz"));
        let mut floats = Cursor::new(Vec::new());
        {
            let mut archive = NpzWriter::new(&mut floats);
            let array = archive.array("arr_0", FileOptions::default()).unwrap();
            let mut array = array.default_dtype().shape(&[1, 1, 1, 3]).begin_nd().unwrap();
            array.extend([0f32; 3].iter()).unwrap();
            array.finish().unwrap();
        }
        assert!(refused(&floats.into_inner()).contains("samples are bytes"));
        assert!(read_npz(&folder.path().join("none.npz")).is_err());
        std::fs::write(&path, npz(&[3; 24], 2).unwrap()).unwrap();
        assert_eq!(
            read_npz(&path).unwrap(),
            Pixels {
                bytes: vec![3; 24],
                side: 2
            }
        );
    }
}
