//! Places of the samples' files.

use std::path::{Path, PathBuf};

use crate::column::Names;

/// One or two folders, and the name that each sample has in its own.
#[derive(Debug)]
pub(super) struct Place {
    roots: Vec<PathBuf>,
    held_out_from: usize,
    names: Names,
}

impl Place {
    /// Samples `held_out_from` and beyond lie in the second of `roots`.
    pub fn new(roots: Vec<PathBuf>, held_out_from: usize, names: Names) -> Self {
        Self {
            roots,
            held_out_from,
            names,
        }
    }

    /// The folder that the sample's name is seen from.
    pub fn root(&self, id: usize) -> &Path {
        &self.roots[usize::from(id >= self.held_out_from)]
    }

    /// The folders, all of them.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The sample's name.
    pub fn name(&self, id: usize) -> &str {
        self.names.get(id)
    }

    /// Bytes of the names.
    pub fn resident_bytes(&self) -> u64 {
        (self.names.text.len() + size_of::<u64>() * self.names.ends.len()) as u64
    }
}
