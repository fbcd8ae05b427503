//! From a folder to its data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sextant_recipe::HeldOut;
use sha2::{Digest, Sha256};

use super::document::{DOCUMENT, LabelsFault};
use super::files::{FoundFile, IMAGES, LATENTS};
use super::listing::Listing;
use crate::codec::{Codec, Standardisation};
use crate::column::Names;
use crate::dataset::{Dataset, hex};
use crate::error::DataError;
use crate::held_out::held_out_by;
use crate::index::Index;
use crate::npy::NpyFault;
use crate::split::Split;
use crate::store::{ImageStore, LatentStore};

/// Folder of the moments.
pub const MOMENTS: &str = "vae-sd";

/// Folder of the images that moments were made of.
pub const PICTURES: &str = "images";

/// Names that the image of the moments `name` may have, the published one first: moments of `img00000042.png` are
/// `img-mean-std-00000042.npy`.
pub fn picture_names(name: &str) -> impl Iterator<Item = String> + Clone {
    let (folder, file) = name
        .rsplit_once('/')
        .map_or(("", name), |(folder, file)| (folder, file));
    let stem = file.strip_suffix(".npy").unwrap_or(file);
    let stem = match stem.strip_prefix("img-mean-std-") {
        Some(digits) => format!("img{digits}"),
        None => stem.to_owned(),
    };
    let stem = match folder {
        "" => stem,
        folder => format!("{folder}/{stem}"),
    };
    ["png", "jpg", "jpeg", "webp"]
        .into_iter()
        .map(move |ending| format!("{stem}.{ending}"))
}

/// Opens a folder in the layout of REPA.
///
/// # Errors
/// The first fault of what is not of this layout, with the file.
pub fn latents(
    path: &Path,
    classes: Option<usize>,
    scale: f64,
    fields: &[String],
    held_out: &HeldOut,
    split_seed: u64,
) -> Result<Dataset, DataError> {
    let list = |root: &Path| Listing::labelled(&root.join(MOMENTS), LATENTS);
    let set = Set::open(path, held_out, list)?;
    let first = set.roots[0].join(MOMENTS).join(&set.files[0].name);
    let header = crate::npy::read_header(&first)?;
    let shape = match header.shape[..] {
        [channels, height, width] if channels > 0 && channels % 2 == 0 && height > 0 && height == width => {
            [channels / 2, height, width]
        }
        _ => return Err(DataError::npy(&first, NpyFault::NoMoments(header.shape))),
    };
    // Files of one shape and type are of one size: only others need a look.
    for (id, file) in set.files.iter().enumerate() {
        if file.bytes != set.files[0].bytes {
            let path = set.root(id).join(MOMENTS).join(&file.name);
            let other = crate::npy::read_header(&path)?;
            if other.shape != header.shape {
                let (found, wanted) = (other.shape, header.shape);
                return Err(DataError::npy(&path, NpyFault::Shape { found, wanted }));
            }
        }
    }
    let mut shapes = Vec::new();
    for name in fields {
        let first = set.roots[0].join(name).join(&set.files[0].name);
        shapes.push((name.clone(), crate::npy::read_header(&first)?.shape));
    }
    let hash = set.hash(&format!("latents {shape:?} {scale:?}"));
    let (roots, held_out_from) = (set.roots.clone(), set.held_out_from);
    let index = set.index(classes, held_out, split_seed, MOMENTS)?;
    let store = LatentStore::new(roots, held_out_from, index.names.clone(), shape, shapes);
    Dataset::of_index(index, Arc::new(store), Codec::Latents { scale }, hash)
}

/// Opens a folder of images, as pixels of `size` a side.
///
/// # Errors
/// A folder without images, labels that do not fit, what cannot be read.
pub fn images(
    path: &Path,
    size: usize,
    classes: Option<usize>,
    held_out: &HeldOut,
    split_seed: u64,
) -> Result<Dataset, DataError> {
    let set = Set::open(path, held_out, |root| match root.join(DOCUMENT).is_file() {
        true => Listing::labelled(root, IMAGES),
        false => Listing::by_folder(root, IMAGES),
    })?;
    let hash = set.hash(&format!("images {size}"));
    let (roots, held_out_from) = (set.roots.clone(), set.held_out_from);
    let index = set.index(classes, held_out, split_seed, "")?;
    let store = ImageStore::new(roots, held_out_from, index.names.clone(), size);
    Dataset::of_index(index, Arc::new(store), Codec::Pixels(Standardisation::RANGE), hash)
}

/// The shorter side of a folder's first image.
///
/// # Errors
/// A folder without images, a first one that cannot be read.
pub fn size_of_first(folder: &Path) -> Result<usize, DataError> {
    let files = super::listing::some_files(folder, IMAGES)?;
    side_of(&folder.join(&files[0].name))
}

/// The shorter side of an image.
///
/// # Errors
/// A file that cannot be read.
pub fn side_of(path: &Path) -> Result<usize, DataError> {
    let (width, height) = image::image_dimensions(path).map_err(|e| DataError::file(path, e.to_string()))?;
    Ok(width.min(height) as usize)
}

/// The files of a folder, followed by those of a second one that is held out.
struct Set {
    roots: Vec<PathBuf>,
    files: Vec<FoundFile>,
    labels: Vec<i64>,
    class_names: Option<Vec<String>>,
    /// The first sample of the second folder.
    held_out_from: usize,
}

impl Set {
    fn open(
        path: &Path,
        held_out: &HeldOut,
        list: impl Fn(&Path) -> Result<Listing, DataError>,
    ) -> Result<Self, DataError> {
        if !path.is_dir() {
            return Err(DataError::file(path, "data.path is no folder"));
        }
        let Listing {
            mut files,
            mut labels,
            class_names,
        } = list(path)?;
        let mut roots = vec![path.to_owned()];
        let held_out_from = files.len();
        if let HeldOut::Path(folder) = held_out
            && folder.is_dir()
        {
            let other = list(folder)?;
            labels.extend(renamed(
                folder,
                other.labels,
                other.class_names,
                class_names.as_deref(),
            )?);
            files.extend(other.files);
            roots.push(folder.clone());
        }
        Ok(Self {
            roots,
            files,
            labels,
            class_names,
            held_out_from,
        })
    }

    fn root(&self, id: usize) -> &Path {
        &self.roots[usize::from(id >= self.held_out_from)]
    }

    /// The beginning of a fingerprint: `kind`, and name, size and label of each sample.
    fn hash(&self, kind: &str) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(format!("sextant/data/1 {kind} {}\n", self.held_out_from));
        for (file, label) in self.files.iter().zip(&self.labels) {
            hash.update(format!("{}\n{} {label}\n", file.name, file.bytes));
        }
        hash
    }

    /// The index; `below` is the folder that lists are relative to.
    fn index(
        self,
        classes: Option<usize>,
        held_out: &HeldOut,
        split_seed: u64,
        below: &str,
    ) -> Result<Index, DataError> {
        let (count, from) = (self.files.len(), self.held_out_from);
        let names: Names = self.files.iter().map(|file| &file.name).collect();
        let split = match self.roots.len() {
            1 => held_out_by(held_out, &names, count, None, split_seed)?,
            _ => Split::by_choice(count, |id| id >= from),
        };
        let most = self.labels.iter().enumerate().max_by_key(|(_, label)| **label);
        let (id, most) = most.map_or((0, 0), |(id, most)| (id, *most as usize));
        let known = self.class_names.as_ref().map_or(0, Vec::len);
        let count = classes.unwrap_or(known.max(most + 1));
        if most >= count || known > count {
            let fault = LabelsFault::Label {
                name: self.files[id].name.clone(),
                label: most.max(known.saturating_sub(1)) as i64,
                classes: count,
            };
            let path = self.root(id).join(below).join(DOCUMENT);
            return Err(DataError::Classes { path, fault });
        }
        let mut class_names = self.class_names.unwrap_or_default();
        class_names.extend((class_names.len()..count).map(|class| class.to_string()));
        Ok(Index::new(names, self.labels.into(), class_names, split))
    }
}

/// The labels of a second folder under the class names of the first.
fn renamed(
    folder: &Path,
    labels: Vec<i64>,
    own: Option<Vec<String>>,
    names: Option<&[String]>,
) -> Result<Vec<i64>, DataError> {
    let (Some(own), Some(names)) = (own, names) else {
        return Ok(labels);
    };
    let place = |name: &String| {
        let place = names.iter().position(|other| other == name);
        place.map(|place| place as i64).ok_or_else(|| {
            let reason = format!("data.held_out has a class \"{name}\", which data.path has not");
            DataError::file(folder, reason)
        })
    };
    let places: Vec<i64> = own.iter().map(place).collect::<Result<_, _>>()?;
    // The labels of a listing are places in its names.
    Ok(labels.into_iter().map(|label| places[label as usize]).collect())
}

impl Dataset {
    /// A data set whose fingerprint is `hash` and its split.
    fn of_index(
        index: Index,
        store: Arc<dyn crate::store::SampleStore>,
        codec: Codec,
        mut hash: Sha256,
    ) -> Result<Self, DataError> {
        index.hash_split(&mut hash);
        let fingerprint = hex(&hash.finalize());
        Ok(Self::new(index, store, codec, fingerprint))
    }
}
