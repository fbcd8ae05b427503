//! Samples as the published evaluator reads them.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use std::path::Path;

use npyz::{NpyHeader, WriterBuilder};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::Error;
use sextant_records::FileError;

/// An `.npz` with one array `arr_0`, uint8 `[N, side, side, 3]`. The same pixels give the same bytes, whenever they are written.
///
/// # Errors
/// A failure of the encoder.
pub fn npz(pixels: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let shape = [(pixels.len() / (side * side * 3)) as u64, side as u64, side as u64, 3];
    archive(&[(IMAGES, &array(pixels, &shape)?)], CompressionMethod::Deflated)
}

/// An array as numpy stores it.
fn array<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let written = options.writer(&mut bytes).begin_nd().and_then(|mut writer| {
        writer.extend(values.iter().copied())?;
        writer.finish()
    });
    written.map_err(|e| Error::Pixels(format!("the samples' .npz cannot be encoded: {e}")))?;
    Ok(bytes)
}

/// An archive of arrays, by name, without the time at which it was made.
fn archive(arrays: &[(&str, &[u8])], method: CompressionMethod) -> Result<Vec<u8>, Error> {
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::default())
        .compression_method(method);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut write = || {
        for (name, bytes) in arrays {
            archive.start_file(file_name(name), options)?;
            archive.write_all(bytes)?;
        }
        Ok::<_, ZipError>(())
    };
    let written = write().and_then(|()| archive.finish());
    let bytes = written.map_err(|e| Error::Pixels(format!("the samples' .npz cannot be encoded: {e}")))?;
    Ok(bytes.into_inner())
}

/// The file of an array in an archive.
fn file_name(array: &str) -> String {
    format!("{array}.npy")
}

/// Images as RGB bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// `[N, side, side, 3]`.
    pub bytes: Vec<u8>,
    /// Height and width.
    pub side: usize,
}

/// Reads the images of an `.npz`, uint8 `[N, side, side, 3]`: ours, or one that was made for the published evaluator, where the
/// array is called `arr_0` and labels (`arr_1`) or statistics may lie beside it. Labels are checked, and not used.
///
/// # Errors
/// Names the file, the array in it, and what is there instead.
pub fn read_npz(path: &Path) -> Result<Pixels, Error> {
    read(path).map_err(|reason| FileError::new(path, reason).into())
}

fn read(path: &Path) -> Result<Pixels, Unreadable> {
    let mut archive = File::open(path)
        .map_err(ZipError::from)
        .and_then(|file| ZipArchive::new(BufReader::new(file)))?;
    let mut names = Vec::new();
    for name in archive.file_names() {
        names.extend(name?.strip_suffix(".npy").map(str::to_owned));
    }
    names.sort();
    let name = match names.as_slice() {
        [only] => only.clone(),
        names if names.iter().any(|name| name == IMAGES) => IMAGES.into(),
        names => return Err(Unreadable::NoImages(names.join(", "))),
    };
    let wrong = |reason: String| Unreadable::Array {
        name: name.clone(),
        reason,
    };
    let (header, bytes) = member(&mut archive, &name)?;
    let shape = header.shape();
    let (count, side) = match *shape {
        [count, height, width, 3] if height == width && count > 0 && height > 0 => (count, height),
        _ => {
            return Err(wrong(format!(
                "has the shape {shape:?}; samples are [N, side, side, 3], at least one of them"
            )));
        }
    };
    if header.dtype().descr() != BYTES {
        return Err(wrong(format!(
            "holds {}; samples are bytes, {BYTES}",
            header.dtype().descr()
        )));
    }
    if header.order() != npyz::Order::C {
        return Err(wrong(
            "is stored column by column (Fortran order); store it row by row".into(),
        ));
    }
    let stated = shape.iter().map(|n| u128::from(*n)).product::<u128>();
    if stated != bytes.len() as u128 {
        return Err(wrong(format!(
            "is cut off or damaged: its shape {shape:?} is {stated} bytes, and {} are there",
            bytes.len()
        )));
    }
    if name == IMAGES && names.iter().any(|name| name == LABELS) {
        let (labels, _) = member(&mut archive, LABELS)?;
        if *labels.shape() != [count] {
            return Err(Unreadable::Array {
                name: LABELS.into(),
                reason: format!(
                    "has the shape {:?}; the labels of these samples are [{count}]",
                    labels.shape()
                ),
            });
        }
    }
    Ok(Pixels {
        bytes,
        side: side as usize,
    })
}

/// Name of the images among several arrays, and of the labels beside them, as guided-diffusion writes them.
const IMAGES: &str = "arr_0";
const LABELS: &str = "arr_1";
/// numpy's word for unsigned bytes.
const BYTES: &str = "'|u1'";

/// Why an archive holds no samples.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read as .npz: {0}")]
    Archive(#[from] ZipError),
    #[error("holds several arrays and none called {IMAGES} ({0}); samples are {IMAGES}, or the only one")]
    NoImages(String),
    #[error("{name} {reason}")]
    Array { name: String, reason: String },
}

/// An array's header and its bytes, read to the end, where the archive's checksum of it is compared.
fn member<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> Result<(NpyHeader, Vec<u8>), Unreadable> {
    let wrong = |reason: &dyn Display| Unreadable::Array {
        name: name.into(),
        reason: format!("is cut off or damaged: {reason}"),
    };
    let mut member = archive.by_name(&file_name(name)).map_err(|e| wrong(&e))?;
    let header = NpyHeader::from_reader(&mut member).map_err(|e| wrong(&e))?;
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
    Ok((header, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_hold_no_time() {
        let bytes = npz(&[7; 12], 2).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.by_index(0).unwrap().last_modified().unwrap().year(), 1980);
    }

    #[test]
    fn the_archive_reads_back() {
        let pixels: Vec<u8> = (0..2 * 2 * 2 * 3).collect();
        let bytes = npz(&pixels, 2).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let array = npyz::NpyFile::new(archive.by_name("arr_0.npy").unwrap()).unwrap();
        assert_eq!(array.shape(), [2, 2, 2, 3]);
        assert_eq!(array.into_vec::<u8>().unwrap(), pixels);
    }

    /// An archive of these arrays: images of 2 x 2 pixels, and labels.
    fn labelled(images: &[u8], labels: Option<&[i64]>) -> Vec<u8> {
        let images = array(images, &[images.len() as u64 / 12, 2, 2, 3]).unwrap();
        let labels = labels.map(|labels| array(labels, &[labels.len() as u64]).unwrap());
        let mut arrays = vec![(IMAGES, images.as_slice())];
        arrays.extend(labels.as_ref().map(|labels| (LABELS, labels.as_slice())));
        archive(&arrays, CompressionMethod::Stored).unwrap()
    }

    /// The message for a file of these bytes.
    fn refused(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npz");
        std::fs::write(&path, bytes).unwrap();
        let message = read_npz(&path).unwrap_err().to_string();
        assert!(message.contains("some.npz: "), "{message}");
        message
    }

    #[test]
    fn labels_may_lie_beside_the_images() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npz");
        let images: Vec<u8> = (0..36).collect();
        std::fs::write(&path, labelled(&images, Some(&[4, 0, 8]))).unwrap();
        let wanted = Pixels {
            bytes: images.clone(),
            side: 2,
        };
        assert_eq!(read_npz(&path).unwrap(), wanted);
        let message = refused(&labelled(&images, Some(&[4, 0])));
        assert!(
            message.contains("arr_1 has the shape [2]; the labels of these samples are [3]"),
            "{message}"
        );
    }

    #[test]
    fn damage_names_the_array() {
        let place = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).unwrap();
        let images = [0x5a; 36];
        let labels = [0x7b7b_7b7b_7b7b_7b7b; 3];
        let whole = labelled(&images, Some(&labels));
        let mut flipped = whole.clone();
        let at = place(&whole, &images);
        flipped[at] ^= 1;
        let message = refused(&flipped);
        assert!(
            message.contains("arr_0 is cut off or damaged: Invalid checksum"),
            "{message}"
        );
        let mut flipped = whole.clone();
        let at = place(&whole, &[0x7b; 24]);
        flipped[at] ^= 1;
        let message = refused(&flipped);
        assert!(
            message.contains("arr_1 is cut off or damaged: Invalid checksum"),
            "{message}"
        );
        assert!(refused(&whole[..whole.len() - 30]).contains("cannot be read as .npz"));
    }

    #[test]
    fn an_array_that_holds_less_than_its_shape_is_named() {
        let whole = array(&[1u8; 24], &[2, 2, 2, 3]).unwrap();
        let cut = [(IMAGES, &whole[..whole.len() - 5])];
        let message = refused(&archive(&cut, CompressionMethod::Deflated).unwrap());
        assert!(message.contains("is 24 bytes, and 19 are there"), "{message}");
    }

    #[test]
    fn what_is_no_set_of_samples_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.npz");
        assert!(refused(b"no archive").contains("cannot be read as .npz"));
        let floats = array(&[0f32; 3], &[1, 1, 1, 3]).unwrap();
        let floats = archive(&[(IMAGES, &floats)], CompressionMethod::Stored).unwrap();
        assert!(refused(&floats).contains("samples are bytes"));
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
