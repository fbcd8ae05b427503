//! The pictures that a run and its evaluation left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use crate::Grid;
use sextant_records::evaluation::EvaluationFolder;

/// Encoded PNGs. What is not there is left out.
#[derive(Debug, Default)]
pub struct Pictures {
    /// Sample grids over training, in rising order of steps; the last is that of the end, if the run has ended.
    pub grids: Vec<Grid>,
    /// Samples beside their nearest training images.
    pub neighbours: Option<Vec<u8>>,
    /// Pictures of features, by the file name that the evaluation gives them.
    pub maps: BTreeMap<String, Vec<u8>>,
}

impl Pictures {
    /// The pictures of a run.
    pub fn of(entry: &Entry) -> Self {
        let samples = fs::read(entry.folder.samples().join("final.png")).ok();
        let evaluation = EvaluationFolder::of(entry.folder.path());
        let evaluation = evaluation.path();
        let mut grids = grids(&evaluation.join("grids"));
        if let (Some(result), Some(png)) = (entry.result(), &samples)
            && grids.last().is_none_or(|last| last.step < result.steps)
        {
            let (step, png) = (result.steps, png.clone());
            grids.push(Grid { step, png });
        }
        let maps = entry
            .evaluation
            .iter()
            .flat_map(|e| &e.representations)
            .flat_map(|r| &r.maps);
        let maps = maps.filter_map(|map| {
            // A name, not a way out of the folder.
            let name = Path::new(&map.file).file_name()?;
            Some((map.file.clone(), fs::read(evaluation.join("maps").join(name)).ok()?))
        });
        Self {
            grids,
            neighbours: fs::read(evaluation.join("neighbours.png")).ok(),
            maps: maps.collect(),
        }
    }
}

/// The files `step-N.png` of a folder.
fn grids(folder: &Path) -> Vec<Grid> {
    let step = |path: &PathBuf| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("step-")?.strip_suffix(".png")?.parse().ok()
    };
    let paths = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path());
    let mut grids: Vec<Grid> = paths
        .filter_map(|path| {
            Some(Grid {
                step: step(&path)?,
                png: fs::read(&path).ok()?,
            })
        })
        .collect();
    grids.sort_by_key(|grid| grid.step);
    grids
}
