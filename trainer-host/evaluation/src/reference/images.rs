//! Images of a reference: in an `.npz`, or in a folder.

use std::path::PathBuf;

use rayon::prelude::*;
use sextant_data::FoundFile;
use sextant_data::image::{centre_crop, read};
use sextant_stats::measure::Features;
use sextant_train::sample::SampleFile;

use super::error::ReferenceFault;
use crate::Error;
use crate::judge::Judge;

/// Files that are decoded together.
const CHUNK: usize = 64;

/// Images that are shown to a judge as they are read.
#[derive(Debug)]
pub enum Images {
    /// `arr_0` of an `.npz`.
    File(SampleFile),
    /// Files of a folder, in the order of their names.
    Folder {
        /// The folder.
        root: PathBuf,
        /// The files in it.
        files: Vec<FoundFile>,
    },
}

impl Images {
    /// Number of them.
    pub fn count(&self) -> usize {
        match self {
            Self::File(file) => file.count() as usize,
            Self::Folder { files, .. } => files.len(),
        }
    }

    /// Pixels a side, where all must have them; images of a folder are cropped and resized.
    pub fn side(&self) -> Option<usize> {
        match self {
            Self::File(file) => Some(file.side()),
            Self::Folder { .. } => None,
        }
    }

    /// Their features for `judge` at `side` pixels.
    ///
    /// # Errors
    /// An image that cannot be read, features that are not finite, an interrupt.
    pub fn features(&self, judge: &Judge, side: usize) -> Result<Features, Error> {
        let mut seen: Vec<f64> = Vec::new();
        let mut show = |pixels: &[u8]| {
            sextant_interrupt::check()?;
            seen.extend(judge.features(pixels, side)?.values());
            Ok::<_, Error>(())
        };
        match self {
            Self::File(file) => file.read(show)?,
            Self::Folder { root, files } => {
                let square = |file: &FoundFile| match read(&root.join(&file.name)) {
                    Ok(image) => Ok(centre_crop(image, side as u32).into_raw()),
                    Err(source) => Err(ReferenceFault::Image {
                        name: file.name.clone(),
                        source,
                    }),
                };
                for files in files.chunks(CHUNK) {
                    let pixels: Result<Vec<Vec<u8>>, _> = files.par_iter().map(square).collect();
                    show(&pixels.map_err(|fault| fault.of(root))?.concat())?;
                }
            }
        }
        Ok(Features::new(seen, judge.width()).map_err(|source| judge.failed(source))?)
    }
}
