//! Images of the source to squares, ahead of the networks and on all cores.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use image::RgbImage;
use rayon::prelude::*;
use sextant_data::image::{ImageError, centre_crop, png, read};
use sextant_interrupt as interrupt;
use sextant_records::{FileError, StorageFull, make_folder, write_whole};

use super::Request;
use super::layout::Layout;
use super::source::Source;
use crate::Error;

/// Images for each core that are read at once: the slowest of them keeps the others waiting.
const A_CORE: usize = 8;

/// Images that go through a network together.
pub struct Batch {
    /// Its images.
    pub rows: Range<usize>,
    /// Those that can be read, where networks need them: number and square.
    pub pictures: Vec<(usize, RgbImage)>,
    /// Those that cannot, and why.
    pub skipped: Vec<(usize, ImageError)>,
    /// Something is missing of an image that can be read.
    pub is_unfinished: bool,
}

/// Reads images and writes their squares.
pub struct Pictures<'a> {
    source: &'a Source,
    layout: &'a Layout,
    size: u32,
    strict: bool,
    for_networks: bool,
    /// Nanoseconds of one core that were spent on images, and their number.
    spent: AtomicU64,
    read: AtomicU64,
}

/// Batches that are read at once.
pub fn spans(batches: &[Range<usize>], batch: usize) -> impl Iterator<Item = &[Range<usize>]> {
    batches.chunks((A_CORE * rayon::current_num_threads()).div_ceil(batch.max(1)))
}

impl<'a> Pictures<'a> {
    /// Squares are kept for networks if there are any.
    pub fn new(request: &'a Request, source: &'a Source, layout: &'a Layout, for_networks: bool) -> Self {
        Self {
            source,
            layout,
            size: request.size as u32,
            strict: request.strict,
            for_networks,
            spent: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// Reads batches, and writes the squares that are missing.
    ///
    /// # Errors
    /// A square that cannot be written; with `strict`, the first image that cannot be read; an interrupt.
    pub fn read(&self, batches: &[Range<usize>]) -> Result<Vec<Batch>, Error> {
        let ids: Vec<usize> = batches.iter().cloned().flatten().collect();
        let squares: Vec<_> = ids.into_par_iter().map(|id| self.square(id)).collect();
        let mut squares = squares.into_iter();
        let batch = |rows: &Range<usize>| {
            let mut batch = Batch {
                rows: rows.clone(),
                pictures: Vec::new(),
                skipped: Vec::new(),
                is_unfinished: false,
            };
            for (id, square) in rows.clone().zip(&mut squares) {
                match square? {
                    Ok(square) => {
                        batch.is_unfinished |= self.for_networks && !self.layout.is_whole(id);
                        batch.pictures.extend(square.map(|square| (id, square)));
                    }
                    Err(reason) if self.strict => {
                        return Err(FileError::new(self.source.path(id), reason.to_string()).into());
                    }
                    Err(reason) => batch.skipped.push((id, reason)),
                }
            }
            Ok(batch)
        };
        batches.iter().map(batch).collect()
    }

    /// Images a second that all cores could read.
    pub fn limit(&self) -> f64 {
        let seconds = self.spent.load(Ordering::Relaxed) as f64 / 1e9;
        let read = self.read.load(Ordering::Relaxed) as f64;
        rayon::current_num_threads() as f64 * read / seconds.max(1e-9)
    }

    /// The square of an image, if a network wants it. The inner error is the image's own.
    fn square(&self, id: usize) -> Result<Result<Option<RgbImage>, ImageError>, Error> {
        interrupt::check()?;
        let started = Instant::now();
        let path = self.layout.square(id);
        let there = path.is_file();
        if there && !self.for_networks {
            return Ok(Ok(None));
        }
        // One that was damaged since is made again.
        let kept = there.then(|| read(&path).ok()).flatten();
        let is_new = kept.is_none();
        let square = match kept.map_or_else(|| self.cropped(id), Ok) {
            Ok(square) => square,
            Err(reason) => return Ok(Err(reason)),
        };
        if is_new {
            let bytes = match png(&square) {
                Ok(bytes) => bytes,
                Err(reason) => return Ok(Err(reason)),
            };
            write(&path, &bytes)?;
        }
        self.spent
            .fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(Ok(self.for_networks.then_some(square)))
    }

    /// The middle of a source image.
    fn cropped(&self, id: usize) -> Result<RgbImage, ImageError> {
        Ok(centre_crop(self.source.image(id)?, self.size))
    }
}

/// Writes a file whole or not at all, with its folder.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // Whoever asks to stop waits for the file: nothing is left of half of one.
    let _hold = interrupt::hold();
    let written = path
        .parent()
        .map_or(Ok(()), make_folder)
        .and_then(|()| write_whole(path, bytes));
    written.map_err(|error| match StorageFull::of(&error) {
        Some(_) => Error::File(error),
        None => Error::Failed(error.to_string()),
    })
}
