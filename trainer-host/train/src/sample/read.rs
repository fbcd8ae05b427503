//! Samples in an `.npz`: ours, or those of other programs.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use npyz::NpyHeader;
use zip::ZipArchive;
use zip::result::ZipError;

use super::label_array::{self, LabelOf};
use super::npz::{IMAGES, LABELS, file_name};
use crate::Error;
use sextant_records::FileError;

/// numpy's word for unsigned bytes.
const BYTES: &str = "'|u1'";

/// Bytes of images that are held at once.
const CHUNK: usize = 32 << 20;

/// Images as RGB bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// `[N, side, side, 3]`.
    pub bytes: Vec<u8>,
    /// Height and width.
    pub side: usize,
}

/// Reads the images of an `.npz` as [`SampleFile`] does, all of them.
///
/// # Errors
/// As there.
pub fn read_npz(path: &Path) -> Result<Pixels, Error> {
    let file = SampleFile::open(path)?;
    let mut bytes = Vec::new();
    file.read(|images| {
        bytes.extend_from_slice(images);
        Ok::<_, Error>(())
    })?;
    let side = file.side;
    Ok(Pixels { bytes, side })
}

/// The images of an `.npz`, uint8 `[N, side, side, 3]`: ours, or one that was made for the published evaluator, where the array is
/// called `arr_0` and labels (`arr_1`) or statistics may lie beside it. Labels are checked, and not used. It is read as it goes, in
/// memory that does not grow with N.
#[derive(Clone, Debug)]
pub struct SampleFile {
    path: PathBuf,
    /// Name of the images' array.
    name: String,
    count: u64,
    side: usize,
    largest_label: Option<LabelOf>,
    comment: Vec<u8>,
}

impl SampleFile {
    /// Opens a file, and reads all of it but the images.
    ///
    /// # Errors
    /// Names the file, the array in it, and what is there instead.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(open(path).map_err(|reason| FileError::new(path, reason))?)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Images in it, at least one.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their height and width.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The largest label beside them, where there are labels.
    pub fn largest_label(&self) -> Option<LabelOf> {
        self.largest_label
    }

    /// The comment of the archive.
    pub fn comment(&self) -> &[u8] {
        &self.comment
    }

    /// Hands over all images in order, some at a time, as RGB bytes `[n, side, side, 3]`: 32 MiB, or one image where it is larger.
    ///
    /// # Errors
    /// Those of `each`; an array that is cut off or damaged, which may be known at its end only.
    pub fn read<E: From<Error>>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let failed = |reason: Unreadable| Error::from(FileError::new(&self.path, reason));
        let damaged = |reason: io::Error| failed(cut(&self.name, &reason));
        let mut archive = archive(&self.path).map_err(failed)?;
        let (_, mut images) = member(&mut archive, &self.name).map_err(failed)?;
        let image = self.side * self.side * 3;
        let stated = u128::from(self.count) * image as u128;
        let (most, mut read) = ((CHUNK / image).max(1) * image, 0u128);
        let mut chunk = Vec::new();
        while read < stated {
            chunk.clear();
            let wanted = (stated - read).min(most as u128) as u64;
            let got = (&mut images).take(wanted).read_to_end(&mut chunk).map_err(damaged)?;
            read += got as u128;
            if (got as u64) < wanted {
                break;
            }
            each(&chunk)?;
        }
        // To the end, where the archive's checksum is compared.
        read += u128::from(io::copy(&mut images, &mut io::sink()).map_err(damaged)?);
        match read == stated {
            true => Ok(()),
            false => Err(failed(Unreadable::Array {
                name: self.name.clone(),
                reason: format!(
                    "is cut off or damaged: its shape [{}, {side}, {side}, 3] is {stated} bytes, and {read} are there",
                    self.count,
                    side = self.side
                ),
            })
            .into()),
        }
    }
}

fn open(path: &Path) -> Result<SampleFile, Unreadable> {
    let mut archive = archive(path)?;
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
    let (header, _) = member(&mut archive, &name)?;
    let shape = header.shape();
    let (count, side) = match *shape {
        [count, height, width, 3] if height == width && count > 0 && (1..=1 << 16).contains(&height) => (count, height),
        _ => {
            return Err(wrong(format!(
                "has the shape {shape:?}; samples are [N, side, side, 3], at least one of them, of at most 65536 pixels a side"
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
    let mut largest_label = None;
    if name == IMAGES && names.iter().any(|name| name == LABELS) {
        let (labels, values) = member(&mut archive, LABELS)?;
        if *labels.shape() != [count] {
            return Err(Unreadable::Array {
                name: LABELS.into(),
                reason: format!(
                    "has the shape {:?}; the labels of these samples are [{count}]",
                    labels.shape()
                ),
            });
        }
        largest_label = label_array::largest(labels, values).map_err(|reason| Unreadable::Array {
            name: LABELS.into(),
            reason: reason.to_string(),
        })?;
    }
    Ok(SampleFile {
        path: path.into(),
        name,
        count,
        side: side as usize,
        largest_label,
        comment: archive.comment().into(),
    })
}

fn archive(path: &Path) -> Result<ZipArchive<BufReader<File>>, Unreadable> {
    let file = File::open(path).map_err(ZipError::from)?;
    Ok(ZipArchive::new(BufReader::new(file))?)
}

/// Fault of an archive that holds no samples.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read as .npz: {0}")]
    Archive(#[from] ZipError),
    #[error("holds several arrays and none called {IMAGES} ({0}); samples are {IMAGES}, or the only one")]
    NoImages(String),
    #[error("{name} {reason}")]
    Array { name: String, reason: String },
}

fn cut(name: &str, reason: &dyn Display) -> Unreadable {
    Unreadable::Array {
        name: name.into(),
        reason: format!("is cut off or damaged: {reason}"),
    }
}

/// An array's header, and its bytes to be read; at their end the archive's checksum is compared.
fn member<'a, R: Read + Seek>(
    archive: &'a mut ZipArchive<R>,
    name: &str,
) -> Result<(NpyHeader, impl Read + use<'a, R>), Unreadable> {
    let mut member = archive.by_name(&file_name(name)).map_err(|e| cut(name, &e))?;
    let header = NpyHeader::from_reader(&mut member).map_err(|e| cut(name, &e))?;
    Ok((header, member))
}

#[cfg(test)]
mod tests {
    use zip::CompressionMethod;

    use super::super::npz::{archive, array, npz};
    use super::*;

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
        let labels = [0x7b7b_7b7b; 3];
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
        let at = place(&whole, &[0x7b; 4]);
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
