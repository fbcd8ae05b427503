//! Names and places of the files.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sextant_records::FileError;

use crate::Error;

/// Folder of the squares.
pub const IMAGES: &str = "images";

/// The folder that is made, and the folders in it.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    /// Folders of arrays, such as `vae-sd`.
    arrays: Vec<String>,
}

impl Layout {
    /// Squares, and the folders `arrays`.
    pub fn new(root: &Path, arrays: Vec<String>) -> Self {
        Self {
            root: root.into(),
            arrays,
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The square of image `id`.
    pub fn square(&self, id: usize) -> PathBuf {
        self.root.join(IMAGES).join(square_name(id))
    }

    /// The array of image `id` in `folder`.
    pub fn array(&self, folder: &str, id: usize) -> PathBuf {
        self.root.join(folder).join(array_name(id))
    }

    /// True if every file of image `id` is there. Files appear whole or not at all.
    pub fn is_whole(&self, id: usize) -> bool {
        let arrays = self.arrays.iter().map(|folder| self.array(folder, id));
        std::iter::once(self.square(id))
            .chain(arrays)
            .all(|path| path.is_file())
    }

    /// Takes away what a killed process was writing for these images.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear_leftovers(&self, rows: &[Range<usize>]) -> Result<(), Error> {
        let ids = rows.iter().flat_map(|rows| [rows.start, rows.end - 1]);
        let paths = ids.flat_map(|id| {
            let arrays = self.arrays.iter().map(move |folder| self.array(folder, id));
            std::iter::once(self.square(id)).chain(arrays)
        });
        let folders: BTreeSet<PathBuf> = paths.filter_map(|path| path.parent().map(Path::to_owned)).collect();
        for folder in folders {
            // It is not there yet, or it cannot be read, which whoever writes into it will say.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|ending| ending == "partial") {
                    fs::remove_file(&path).map_err(|e| FileError::new(&path, e))?;
                }
            }
        }
        Ok(())
    }
}

/// The name of a square, as published tools have it.
pub fn square_name(id: usize) -> String {
    let digits = format!("{id:08}");
    format!("{}/img{digits}.png", &digits[..5])
}

/// The name of an image's arrays.
pub fn array_name(id: usize) -> String {
    let digits = format!("{id:08}");
    format!("{}/img-mean-std-{digits}.npy", &digits[..5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_published_tool() {
        assert_eq!(square_name(1_281_166), "01281/img01281166.png");
        assert_eq!(array_name(42), "00000/img-mean-std-00000042.npy");
    }
}
