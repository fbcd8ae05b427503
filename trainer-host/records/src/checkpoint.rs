//! Checkpoints on disk: one folder a step, which has its name when it is complete.

use std::fs;
use std::path::{Path, PathBuf};

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its folder.
    pub folder: PathBuf,
    /// Optimiser steps done.
    pub step: u64,
}

/// The checkpoints in `folder`, earliest first. A folder without its final name is no checkpoint.
pub fn list(folder: &Path) -> Vec<Saved> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut saved: Vec<Saved> = entries
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some(Saved {
                folder: entry.path(),
                step,
            })
        })
        .collect();
    saved.sort_by_key(|s| s.step);
    saved
}
