//! Image files, decoded each time they are asked for.

use std::path::{Path, PathBuf};

use super::base::{Sample, SampleStore};
use super::memory::mirror;
use super::place::Place;
use crate::column::Names;
use crate::error::DataError;

/// Files that become RGB pixels of one size.
#[derive(Debug)]
pub(crate) struct ImageStore {
    place: Place,
    size: usize,
}

impl ImageStore {
    /// Samples `held_out_from` and beyond lie in the second of `roots`.
    pub fn new(roots: Vec<PathBuf>, held_out_from: usize, names: Names, size: usize) -> Self {
        Self {
            place: Place::new(roots, held_out_from, names),
            size,
        }
    }
}

impl SampleStore for ImageStore {
    fn shape(&self) -> [usize; 3] {
        [3, self.size, self.size]
    }

    fn sample(&self, id: usize, flipped: bool) -> Result<Sample, DataError> {
        let path = self.place.root(id).join(self.place.name(id));
        let mut pixels = decode(&path, self.size)?;
        if flipped {
            mirror(&mut pixels, self.size);
        }
        Ok(Sample::Pixels(pixels))
    }

    fn resident_bytes(&self) -> u64 {
        self.place.resident_bytes()
    }
}

/// The pixels of an image file, `[size, size, 3]`: its middle, resized where it has another size.
fn decode(path: &Path, size: usize) -> Result<Vec<u8>, DataError> {
    let fault = |reason: String| DataError::file(path, reason);
    let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
    let image = image::load_from_memory(&bytes)
        .map_err(|e| fault(e.to_string()))?
        .into_rgb8();
    let side = image.width().min(image.height());
    let (x, y) = ((image.width() - side) / 2, (image.height() - side) / 2);
    let square = image::imageops::crop_imm(&image, x, y, side, side).to_image();
    let size = size as u32;
    Ok(match side == size {
        true => square,
        false => image::imageops::resize(&square, size, size, image::imageops::FilterType::CatmullRom),
    }
    .into_raw())
}
