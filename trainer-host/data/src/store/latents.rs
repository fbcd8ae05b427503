//! Moments of latents, a `.npy` a sample.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::base::{Sample, SampleStore};
use super::images::decode;
use super::place::Place;
use crate::column::Names;
use crate::error::DataError;
use crate::folder::{self, MOMENTS, PICTURES};
use crate::npy;

/// Files in the layout of REPA: `vae-sd/NAME`; those of mirrored images in `vae-sd-flip/NAME`, since whatever lies in `vae-sd`
/// itself is a sample to other trainers; batch fields in `FIELD/NAME` and `FIELD-flip/NAME`. The images that they were made of may lie
/// beside them, in `images`: `00000/img00000000.png` is that of `00000/img-mean-std-00000000.npy`.
#[derive(Debug)]
pub(crate) struct LatentStore {
    place: Place,
    shape: [usize; 3],
    fields: Vec<(String, Vec<usize>)>,
    /// Height and width of the images, once it was asked for.
    picture_side: OnceLock<usize>,
}

impl LatentStore {
    /// Samples `held_out_from` and beyond lie in the second of `roots`. `shape` is that of the means alone.
    pub fn new(
        roots: Vec<PathBuf>,
        held_out_from: usize,
        names: Names,
        shape: [usize; 3],
        fields: Vec<(String, Vec<usize>)>,
    ) -> Self {
        Self {
            place: Place::new(roots, held_out_from, names),
            shape,
            fields,
            picture_side: OnceLock::new(),
        }
    }

    fn path(&self, folder: &str, id: usize, flipped: bool) -> PathBuf {
        let folder = match flipped {
            true => format!("{folder}-flip"),
            false => folder.to_owned(),
        };
        self.place.root(id).join(folder).join(self.place.name(id))
    }

    /// The image of sample `id`: of the first of the endings of which there is a file.
    fn picture_path(&self, id: usize) -> Result<PathBuf, DataError> {
        let folder = self.place.root(id).join(PICTURES);
        let paths = folder::picture_names(self.place.name(id)).map(|name| folder.join(name));
        let first = paths.clone().next().unwrap_or_default();
        paths
            .clone()
            .find(|path| path.is_file())
            .ok_or_else(|| DataError::NoPictures(format!("there is no file {} beside its moments", first.display())))
    }
}

impl SampleStore for LatentStore {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn sample(&self, id: usize, flipped: bool) -> Result<Sample, DataError> {
        let [channels, height, width] = self.shape;
        let moments = npy::read(&self.path(MOMENTS, id, flipped), &[2 * channels, height, width])?;
        Ok(Sample::Moments(moments))
    }

    fn flipped(&self) -> Result<(), String> {
        let folders = [MOMENTS]
            .into_iter()
            .chain(self.fields.iter().map(|(name, _)| name.as_str()));
        // Held-out samples, which are the last ones, may have a folder of their own.
        let roots = self.place.roots();
        for path in folders.flat_map(|folder| roots.iter().map(move |root| root.join(format!("{folder}-flip")))) {
            if !path.is_dir() {
                return Err(format!(
                    "{} is not there, where mirrored images have theirs",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    fn picture_side(&self) -> Result<usize, DataError> {
        if let Some(side) = self.picture_side.get() {
            return Ok(*side);
        }
        let side = folder::side_of(&self.picture_path(0)?)?;
        Ok(*self.picture_side.get_or_init(|| side))
    }

    fn picture(&self, id: usize, flipped: bool) -> Result<Vec<u8>, DataError> {
        decode(&self.picture_path(id)?, self.picture_side()?, flipped)
    }

    fn fields(&self) -> &[(String, Vec<usize>)] {
        &self.fields
    }

    fn field(&self, name: &str, id: usize, flipped: bool) -> Result<Vec<f32>, DataError> {
        let field = self.fields.iter().find(|(own, _)| own == name);
        let (_, shape) = field.ok_or_else(|| DataError::NoField(name.into()))?;
        npy::read(&self.path(name, id, flipped), shape)
    }

    fn resident_bytes(&self) -> u64 {
        self.place.resident_bytes()
    }
}
