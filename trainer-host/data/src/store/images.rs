//! Image files, decoded each time they are asked for.

use std::path::{Path, PathBuf};

use super::base::{Sample, SampleStore};
use super::memory::mirror;
use super::place::Place;
use crate::column::Names;
use crate::error::DataError;
use crate::image;

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
        Ok(Sample::Pixels(decode(&path, self.size, flipped)?))
    }

    fn picture_side(&self) -> Result<usize, DataError> {
        Ok(self.size)
    }

    fn resident_bytes(&self) -> u64 {
        self.place.resident_bytes()
    }
}

/// The pixels of an image file, `[size, size, 3]`, cropped and resized as published trainers do, and then mirrored where `flipped`.
pub(super) fn decode(path: &Path, size: usize, flipped: bool) -> Result<Vec<u8>, DataError> {
    let image = image::read(path).map_err(|fault| DataError::file(path, fault.to_string()))?;
    let mut pixels = image::centre_crop(image, size as u32).into_raw();
    if flipped {
        mirror(&mut pixels, size);
    }
    Ok(pixels)
}
