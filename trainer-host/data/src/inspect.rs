//! A data set in numbers.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use sextant_recipe::{DataConfig, HeldOut, SD_SCALE};

use super::codec::Codec;
use super::dataset::Dataset;
use super::error::DataError;
use super::folder;

/// Samples that statistics are taken of.
const MEASURED: usize = 256;

/// Samples that are read at once.
const CHUNK: usize = 64;

/// A data set in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataFacts {
    /// `emoji`, `latents`, `images` or `packed`.
    pub kind: &'static str,
    /// The folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Number of samples.
    pub samples: usize,
    /// Samples that are trained on.
    pub train: usize,
    /// Samples that are held out.
    pub held_out: usize,
    /// Number of classes.
    pub classes: usize,
    /// Fewest and most training samples of a class.
    pub samples_of_a_class: [usize; 2],
    /// `[C, H, W]`.
    pub shape: [usize; 3],
    /// Factor on latents; pixels have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// True where there are mirrored forms.
    pub flipped: bool,
    /// Name and shape of the fields that were asked for.
    pub fields: Vec<(String, Vec<usize>)>,
    /// Fingerprint.
    pub fingerprint: String,
    /// Statistics of what a network sees, of some samples.
    pub statistics: Statistics,
}

/// Mean and standard deviation of what a network sees, latents being the scaled means of their posteriors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Samples that were read, spread evenly over the training part.
    pub samples: usize,
    /// Of all values.
    pub mean: f64,
    /// Of all values.
    pub std: f64,
    /// Of each channel.
    pub channel_means: Vec<f64>,
    /// Of each channel.
    pub channel_stds: Vec<f64>,
}

/// The numbers of `dataset`, which `config` names.
///
/// # Errors
/// The first sample, of those that statistics are taken of, that cannot be read.
pub fn facts(config: &DataConfig, dataset: &Dataset) -> Result<DataFacts, DataError> {
    let statistics = statistics(dataset)?;
    let counts = dataset.train_counts();
    Ok(DataFacts {
        kind: match config {
            DataConfig::Emoji { .. } => "emoji",
            DataConfig::Latents { .. } => "latents",
            DataConfig::Images { .. } => "images",
            DataConfig::Packed { .. } => "packed",
        },
        path: config.path().map(Path::to_owned),
        samples: dataset.len(),
        train: dataset.train().len(),
        held_out: dataset.held_out().len(),
        classes: dataset.class_names().len(),
        samples_of_a_class: [
            counts.iter().copied().min().unwrap_or(0),
            counts.iter().copied().max().unwrap_or(0),
        ],
        shape: dataset.shape(),
        scale: match dataset.codec() {
            Codec::Pixels(_) => None,
            Codec::Latents { scale } => Some(scale),
        },
        flipped: dataset.store().flipped().is_ok(),
        fields: dataset
            .fields()
            .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
            .collect(),
        fingerprint: dataset.fingerprint().to_owned(),
        statistics,
    })
}

fn statistics(dataset: &Dataset) -> Result<Statistics, DataError> {
    let train = dataset.train();
    let count = train.len().min(MEASURED);
    let ids: Vec<usize> = (0..count).map(|i| train[i * train.len() / count]).collect();
    let [channels, height, width] = dataset.shape();
    let mut sums = vec![[0.0f64; 2]; channels];
    for ids in ids.chunks(CHUNK) {
        for (i, plane) in dataset.gather(ids)?.chunks_exact(height * width).enumerate() {
            let [sum, squares] = &mut sums[i % channels];
            for value in plane.iter().map(|&value| f64::from(value)) {
                *sum += value;
                *squares += value * value;
            }
        }
    }
    let of = |[sum, squares]: [f64; 2], values: usize| {
        let mean = sum / values as f64;
        (mean, (squares / values as f64 - mean * mean).max(0.0).sqrt())
    };
    let plane = count * height * width;
    let all = sums.iter().fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
    let (mean, std) = of(all, plane * channels);
    let (channel_means, channel_stds) = sums.into_iter().map(|sums| of(sums, plane)).unzip();
    Ok(Statistics {
        samples: count,
        mean,
        std,
        channel_means,
        channel_stds,
    })
}

/// Reads every sample with its fields, in every form, on all cores. `progress` is told how many were read, and answers whether to go
/// on. No more of them are in memory than there are threads.
///
/// # Errors
/// The first that cannot be read; a stop.
pub fn read_all(dataset: &Dataset, mut progress: impl FnMut(usize) -> bool) -> Result<(), DataError> {
    let forms: &[bool] = match dataset.store().flipped() {
        Ok(()) => &[false, true],
        Err(_) => &[false],
    };
    let fields: Vec<String> = dataset.fields().map(|(name, _)| name.to_owned()).collect();
    let read = |id: usize| {
        for &flipped in forms {
            dataset.store().sample(id, flipped)?;
            for field in &fields {
                dataset.field(field, id, flipped)?;
            }
        }
        Ok(())
    };
    let count = dataset.len();
    for start in (0..count).step_by(CHUNK) {
        if !progress(start) {
            return Err(DataError::Stopped);
        }
        let ids = start..count.min(start + CHUNK);
        if let Some(fault) = ids.into_par_iter().find_map_first(|id| read(id).err()) {
            return Err(fault);
        }
    }
    progress(count);
    Ok(())
}

/// The `[data]` section that `path` is, by what lies in it.
///
/// # Errors
/// A folder that cannot be read, or holds no samples of any layout.
pub fn recognise(path: &Path) -> Result<DataConfig, DataError> {
    let path = std::path::absolute(path).map_err(|source| DataError::io(path, source))?;
    if !path.is_dir() {
        return Err(DataError::file(&path, "there is no such folder"));
    }
    if path.join(crate::packed::INDEX).is_file() {
        return Ok(DataConfig::Packed {
            path,
            vae: None,
            fields: Vec::new(),
            flip: false,
            held_out: None,
            split_seed: 0,
        });
    }
    if path.join(folder::MOMENTS).is_dir() {
        return Ok(DataConfig::Latents {
            path,
            classes: None,
            scale: SD_SCALE,
            vae: None,
            fields: Vec::new(),
            flip: false,
            held_out: HeldOut::default(),
            split_seed: 0,
        });
    }
    Ok(DataConfig::Images {
        size: folder::size_of_first(&path)?,
        path,
        classes: None,
        flip: false,
        held_out: HeldOut::default(),
        split_seed: 0,
    })
}
