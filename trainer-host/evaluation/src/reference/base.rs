//! A reference: opened, checked, and named.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::error::{ReferenceError, ReferenceFault};
use super::images::Images;
use super::statistics::Statistics;
use crate::Error;
use crate::judge::Judge;
use sextant_data::hex;
use sextant_recipe::{Recipe, Score};
use sextant_records::evaluation::ReferenceIdentity;
use sextant_stats::measure::{Features, Gaussian};
use sextant_train::sample::SampleFile;

/// Name of an array of images, as samples have it.
const IMAGES: &str = "arr_0";

/// A set that samples are compared with in place of the data. It has statistics, images, or both.
#[derive(Debug)]
pub struct External {
    path: PathBuf,
    statistics: Option<Statistics>,
    images: Option<Images>,
}

impl External {
    /// The reference that a recipe names, if it does.
    ///
    /// # Errors
    /// A file or folder that is none, or cannot be read.
    pub fn of(recipe: &Recipe) -> Result<Option<Self>, ReferenceError> {
        let quality = recipe.evaluation.quality.as_ref();
        let path = quality.and_then(|quality| quality.reference.as_deref());
        path.map(|path| Self::open(Path::new(path))).transpose()
    }

    /// Reads the statistics of an `.npz`, and looks for the images of one or of a folder.
    ///
    /// # Errors
    /// A file or folder that is none, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, ReferenceError> {
        let (statistics, images) = open(path).map_err(|fault| fault.of(path))?;
        Ok(Self {
            path: path.to_owned(),
            statistics,
            images,
        })
    }

    /// Its path, its content's SHA-256, and its kind. Of a folder, as of a data set, names and sizes of the files stand for their
    /// content.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn identity(&self) -> Result<ReferenceIdentity, ReferenceError> {
        let mut hash = Sha256::new();
        match &self.images {
            Some(Images::Folder { files, .. }) => {
                hash.update("sextant/reference/1\n");
                files
                    .iter()
                    .for_each(|file| hash.update(format!("{}\n{}\n", file.name, file.bytes)));
            }
            _ => {
                let read = File::open(&self.path).and_then(|mut file| io::copy(&mut file, &mut hash));
                read.map_err(|fault| ReferenceFault::from(fault).of(&self.path))?;
            }
        }
        let images = self.images.as_ref().map(|images| format!("{} images", images.count()));
        let statistics = self.statistics.as_ref();
        let statistics = statistics.map(|statistics| format!("statistics of {} features", statistics.width()));
        let parts: Vec<String> = images.into_iter().chain(statistics).collect();
        Ok(ReferenceIdentity {
            path: self.path.display().to_string(),
            fingerprint: hex(&hash.finalize()),
            description: parts.join(" and "),
        })
    }

    /// True if rows of features can be had of it, for more than the Frechet distance.
    pub fn has_images(&self) -> bool {
        self.images.is_some()
    }

    /// Checks that these judges can compare samples of `side` pixels with it.
    ///
    /// # Errors
    /// Statistics of another width than a judge's features, images of another size.
    pub fn check(&self, judges: &[Judge], side: usize) -> Result<(), ReferenceError> {
        let width = self.statistics.as_ref().map(Statistics::width);
        let other = judges
            .iter()
            .find(|judge| width.is_some_and(|width| judge.width() != width));
        if let (Some(found), Some(judge)) = (width, other) {
            let fault = ReferenceFault::Width {
                found,
                judge: judge.name().into(),
                width: judge.width(),
            };
            return Err(fault.of(&self.path));
        }
        match self.images.as_ref().and_then(Images::side) {
            Some(found) if found != side => Err(ReferenceFault::Side { found, wanted: side }.of(&self.path)),
            _ => Ok(()),
        }
    }

    /// Checks that a recipe asks for nothing that statistics do not have: a choice of scales by the kernel distance, or a comparison by
    /// it.
    ///
    /// # Errors
    /// Names the key.
    pub fn check_choices(&self, recipe: &Recipe) -> Result<(), ReferenceError> {
        let scales = recipe.evaluation.quality.iter().flat_map(|quality| &quality.scales);
        let fault = match (self.has_images(), scales.count(), recipe.evaluation.primary) {
            (false, 2.., _) => {
                "evaluation.quality.scales names several, among which the kernel distance would choose; name one scale, or a reference of \
                 images"
            }
            (false, _, Score::KernelDistance) => {
                "evaluation.primary is \"kernel-distance\", which takes images; use \"frechet-distance\", or a reference of images"
            }
            _ => return Ok(()),
        };
        Err(ReferenceFault::NoImages(fault).of(&self.path))
    }

    /// The features of its images for `judge` at `side` pixels; none where it has statistics alone.
    ///
    /// # Errors
    /// An image that cannot be read, features that are not finite, an interrupt.
    pub fn features(&self, judge: &Judge, side: usize) -> Result<Option<Features>, Error> {
        self.images
            .as_ref()
            .map(|images| images.features(judge, side))
            .transpose()
    }

    /// Its own Gaussian; none where it has images alone.
    ///
    /// # Errors
    /// A covariance with a variance below 0.
    pub fn gaussian(&self) -> Result<Option<Gaussian>, ReferenceError> {
        let statistics = self.statistics.as_ref().map(Statistics::gaussian).transpose();
        statistics.map_err(|fault| fault.of(&self.path))
    }
}

fn open(path: &Path) -> Result<(Option<Statistics>, Option<Images>), ReferenceFault> {
    if std::fs::metadata(path)?.is_dir() {
        let files = sextant_data::pictures(path)?;
        let root = path.to_owned();
        return Ok((None, Some(Images::Folder { root, files })));
    }
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let mut names = Vec::new();
    for name in archive.file_names() {
        names.extend(name?.strip_suffix(".npy").map(str::to_owned));
    }
    names.sort();
    let statistics = Statistics::read(&mut archive, &names)?;
    let is_image = names.iter().any(|name| name == IMAGES) || statistics.is_none() && names.len() == 1;
    let images = is_image.then(|| SampleFile::open(path)).transpose()?.map(Images::File);
    match statistics.is_some() || images.is_some() {
        true => Ok((statistics, images)),
        false => Err(ReferenceFault::Arrays(names.join(", "))),
    }
}
