//! A set of samples with its split: what training and evaluation read.

mod moments;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::{Clean, FieldBatch};
use super::codec::{Codec, Standardisation};
use super::decode::Decode;
use super::draws::FormDraws;
use super::encode::Encode;
use super::error::DataError;
use super::images::Images;
use super::index::Index;
use super::pictures::Pictures;
use super::split::{HELD_OUT, Split};
use super::store::{Absent, InMemory, Sample, SampleStore};

/// Samples that one task of a batch reads: fewer are not worth a thread.
const TASK: usize = 8;

/// Images that are encoded together where a set is read without a training.
const ENCODED: usize = 32;

/// One more value per image, for example a frozen encoder's features.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// `[N, ..shape]`, row-major, in the order of the set.
    pub values: Vec<f32>,
}

/// An [`Index`] of samples, the store that they are read from, and what their values mean.
///
/// Reading that is not a training's has no chance in it: no image is mirrored, and latents are the means of
/// their posterior.
#[derive(Debug, Clone)]
pub struct Dataset {
    index: Arc<Index>,
    store: Arc<dyn SampleStore>,
    /// Meaning of what the store keeps.
    codec: Codec,
    /// Makes latents of the store's pixels.
    encoder: Option<Arc<dyn Encode>>,
    /// The moments that it made of them before, `[N, 2C, H, W]`: means, then standard deviations. Then nobody has to encode.
    moments: Option<Arc<Vec<f32>>>,
    /// Makes pictures of latents.
    decoder: Option<Arc<dyn Decode>>,
    /// Training sees each sample mirrored half of the time.
    flip: bool,
    /// Fields that are held in memory beside the store's.
    fields: BTreeMap<String, Field>,
    fingerprint: String,
}

impl Dataset {
    /// Splits `images` by group and standardises them by the training part.
    ///
    /// Errors: a training part that is empty or of one colour.
    pub fn from_images(images: Images, split_seed: u64) -> Result<Self, DataError> {
        let split = Split::by_share(images.len(), Some(&images.groups), HELD_OUT, split_seed);
        if split.train.is_empty() {
            return Err(DataError::Unusable("the training part of the set is empty".into()));
        }
        let sample = 3 * images.size * images.size;
        let image = |id: usize| &images.pixels[id * sample..(id + 1) * sample];
        let standardisation = Standardisation::fit(split.train.iter().map(|&id| image(id)))?;
        let names = images.names.iter().collect();
        let mut index = Index::new(names, images.labels.into(), images.class_names, split);
        index.sublabels = images.sublabels.into();
        index.subclass_names = images.subclass_names;
        index.groups = Some(images.groups.into());
        let store = InMemory {
            pixels: images.pixels,
            size: images.size,
        };
        let mut dataset = Self::new(index, Arc::new(store), Codec::Pixels(standardisation), String::new());
        dataset.fingerprint = dataset.hash(standardisation)?;
        Ok(dataset)
    }

    /// The samples of `store`, as `index` describes them. `fingerprint` changes with all that a training could notice.
    pub fn new(index: Index, store: Arc<dyn SampleStore>, codec: Codec, fingerprint: String) -> Self {
        Self {
            index: Arc::new(index),
            store,
            codec,
            encoder: None,
            moments: None,
            decoder: None,
            flip: false,
            fields: BTreeMap::new(),
            fingerprint,
        }
    }

    /// A set without samples, of this shape `[C, H, W]` and of numbered classes: for a network whose data are not here, and of which
    /// samples are drawn all the same.
    pub fn absent(shape: [usize; 3], classes: usize, codec: Codec) -> Self {
        let class_names = (0..classes).map(|class| class.to_string()).collect();
        let none = Vec::<&str>::new().into_iter().collect();
        let index = Index::new(none, Vec::new().into(), class_names, Split::by_choice(0, |_| false));
        let fingerprint = hex(&Sha256::digest(format!(
            "sextant/data/1 absent {shape:?} {classes} {codec:?}"
        )));
        Self::new(index, Arc::new(Absent(shape)), codec, fingerprint)
    }

    /// The same set of pixels as latents, which `encoder` makes of them whenever they are asked for.
    pub fn with_encoder(self, encoder: Arc<dyn Encode>) -> Self {
        Self {
            encoder: Some(encoder),
            ..self
        }
    }

    /// The same set of latents, with what makes pictures of them.
    pub fn with_decoder(self, decoder: Arc<dyn Decode>) -> Self {
        Self {
            decoder: Some(decoder),
            ..self
        }
    }

    /// The same set, of which training sees each sample mirrored half of the time.
    ///
    /// # Errors
    /// A set that has no mirrored forms.
    pub(super) fn flipped(self) -> Result<Self, DataError> {
        self.store.flipped().map_err(DataError::NotFlipped)?;
        Ok(Self { flip: true, ..self })
    }

    /// True if training sees each sample mirrored half of the time.
    pub fn has_flips(&self) -> bool {
        self.flip
    }

    /// Number of images, both parts.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// `[C, H, W]` of one image as a network sees it.
    pub fn shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.store.shape();
        match &self.encoder {
            Some(encoder) => encoder.shape(height),
            None => [channels, height, width],
        }
    }

    /// Number of values in one image, `C * H * W`.
    pub fn sample_len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Image `id` as a network sees it, `[C, H, W]`: standardised pixels, or the mean of its latents. Panics if there is no
    /// such image.
    ///
    /// # Errors
    /// A sample that cannot be read.
    pub fn image(&self, id: usize) -> Result<Vec<f32>, DataError> {
        self.gather(&[id])
    }

    /// [`Dataset::image`] of `ids`, one after the other: `[ids, C, H, W]`. Panics if one does not exist.
    ///
    /// # Errors
    /// A sample that cannot be read.
    pub fn gather(&self, ids: &[usize]) -> Result<Vec<f32>, DataError> {
        self.index.check()?;
        let Some(encoder) = self.encoder_in_steps() else {
            return rows(ids, |id| self.read(id, None));
        };
        let parts = ids.chunks(ENCODED);
        let parts = parts.map(|ids| Ok(encoder.encode(&self.pictures(ids)?)));
        Ok(parts.collect::<Result<Vec<_>, DataError>>()?.concat())
    }

    /// The forms of `ids` that a training sees at a step, one after the other: `[ids, C, H, W]`. Latents that are still to be encoded
    /// come as the noise of their posterior.
    ///
    /// # Errors
    /// A sample that cannot be read.
    pub(super) fn gather_forms(&self, ids: &[usize], draws: &FormDraws) -> Result<Clean, DataError> {
        self.index.check()?;
        if !self.is_encoded() {
            return Ok(Clean::Values(rows(ids, |id| self.read(id, Some(draws)))?));
        }
        let noise = |id| Ok(draws.posterior(id).take(self.sample_len()).collect());
        Ok(Clean::Posterior(rows(ids, noise)?))
    }

    /// The images that the samples `ids` are, or were made of.
    ///
    /// # Errors
    /// Latents whose images are not there; an image that cannot be read.
    pub fn pictures(&self, ids: &[usize]) -> Result<Pictures, DataError> {
        self.read_pictures(ids, None)
    }

    /// [`Dataset::pictures`], of the same forms as their samples where there are `draws`.
    pub(super) fn read_pictures(&self, ids: &[usize], draws: Option<&FormDraws>) -> Result<Pictures, DataError> {
        self.index.check()?;
        let side = self.source_side()?;
        let pixels = rows(ids, |id| self.store.picture(id, self.is_flipped(id, draws)))?;
        Ok(Pictures { side, pixels })
    }

    /// Height and width of [`Dataset::pictures`].
    ///
    /// # Errors
    /// Latents whose images are not there.
    pub fn source_side(&self) -> Result<usize, DataError> {
        self.store.picture_side()
    }

    /// Pictures of the samples `ids`, 8-bit RGB `[ids, H, W, 3]` of [`Dataset::picture_side`]: their own pixels, and of latents on disk
    /// what their decoder makes of the means.
    ///
    /// # Errors
    /// A sample that cannot be read; latents without a decoder.
    pub fn shown(&self, ids: &[usize]) -> Result<Vec<u8>, DataError> {
        match self.codec {
            Codec::Pixels(_) => Ok(self.pictures(ids)?.pixels),
            Codec::Latents { .. } => self.to_pixels(&self.gather(ids)?),
        }
    }

    /// True if each step has to encode the images of its batch.
    pub fn is_encoded(&self) -> bool {
        self.encoder_in_steps().is_some()
    }

    /// SHA-256 (hex) of the network that makes latents of the images, where there is one.
    pub fn encoder_fingerprint(&self) -> Option<&str> {
        self.encoder.as_ref().map(|encoder| encoder.fingerprint())
    }

    /// The batch fields of `ids`, of the same forms as their samples where there are `draws`.
    ///
    /// # Errors
    /// A field that cannot be read.
    pub(super) fn gather_fields(
        &self,
        ids: &[usize],
        draws: Option<&FormDraws>,
    ) -> Result<BTreeMap<String, FieldBatch>, DataError> {
        let fields = self.fields().map(|(name, shape)| {
            let values = rows(ids, |id| self.field(name, id, self.is_flipped(id, draws)))?;
            let shape = [&[ids.len()], shape].concat();
            Ok((name.to_owned(), FieldBatch { shape, values }))
        });
        fields.collect()
    }

    /// The field `name` of image `id`, or of its mirrored form.
    ///
    /// # Errors
    /// A field that is not there, or cannot be read.
    pub(super) fn field(&self, name: &str, id: usize, flipped: bool) -> Result<Vec<f32>, DataError> {
        let Some(field) = self.fields.get(name) else {
            return self.store.field(name, id, flipped);
        };
        let length: usize = field.shape.iter().product();
        Ok(field.values[id * length..(id + 1) * length].to_vec())
    }

    fn read(&self, id: usize, draws: Option<&FormDraws>) -> Result<Vec<f32>, DataError> {
        let noise = draws.map(|draws| draws.posterior(id));
        if let (Some(moments), Codec::Latents { scale }) = (self.kept_moments(id), self.codec()) {
            return Ok(latents(moments.to_vec(), scale as f32, noise));
        }
        let sample = self.store.sample(id, self.is_flipped(id, draws))?;
        match (sample, self.codec) {
            (Sample::Pixels(pixels), Codec::Pixels(standardisation)) => {
                Ok(standardisation.standardise(&pixels, self.shape()))
            }
            (Sample::Moments(moments), Codec::Latents { scale }) => Ok(latents(moments, scale as f32, noise)),
            _ => Err(DataError::Unusable("a store of pixels has the codec of latents".into())),
        }
    }

    fn is_flipped(&self, id: usize, draws: Option<&FormDraws>) -> bool {
        self.flip && draws.is_some_and(|draws| draws.flip(id))
    }

    /// Class of every image.
    pub fn labels(&self) -> &[i64] {
        &self.index.labels
    }

    /// Names of the classes; their number is the model's number of classes.
    pub fn class_names(&self) -> &[String] {
        &self.index.class_names
    }

    /// Finer class of every image. For judging features, and for training judges; no encoder or generator sees it.
    pub fn sublabels(&self) -> &[i64] {
        &self.index.sublabels
    }

    /// Names of the finer classes.
    pub fn subclass_names(&self) -> &[String] {
        &self.index.subclass_names
    }

    /// Group of near-duplicates of image `id`.
    pub fn group(&self, id: usize) -> u64 {
        self.index.groups.as_ref().map_or(id as u64, |groups| groups[id])
    }

    /// Name of image `id`: of its file, where it is one.
    pub fn name(&self, id: usize) -> &str {
        self.index.names.get(id)
    }

    /// Facts of every image.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Source of the images.
    pub(super) fn store(&self) -> &dyn SampleStore {
        self.store.as_ref()
    }

    /// Ids of the images to train on, ascending.
    pub fn train(&self) -> &[usize] {
        &self.index.split.train
    }

    /// Ids of the images kept for evaluation, ascending.
    pub fn held_out(&self) -> &[usize] {
        &self.index.split.held_out
    }

    /// Number of images of the training part in each class.
    pub fn train_counts(&self) -> Vec<usize> {
        self.index.train_counts()
    }

    /// Meaning of a sample's values, as a network sees them.
    pub fn codec(&self) -> Codec {
        match &self.encoder {
            Some(encoder) => Codec::Latents { scale: encoder.scale() },
            None => self.codec,
        }
    }

    /// The mean and standard deviation of the pixels, also where a network sees latents of them; latents on disk have none.
    pub fn standardisation(&self) -> Option<Standardisation> {
        match self.codec {
            Codec::Pixels(standardisation) => Some(standardisation),
            Codec::Latents { .. } => None,
        }
    }

    /// Height and width of the pictures of samples.
    ///
    /// # Errors
    /// Latents without a decoder.
    pub fn picture_side(&self) -> Result<usize, DataError> {
        let [_, side, _] = self.shape();
        match self.codec() {
            Codec::Pixels(_) => Ok(side),
            Codec::Latents { .. } => Ok(self.decoder()?.side(side)),
        }
    }

    /// Turns samples `[N, C, H, W]` into 8-bit images `[N, H, W, 3]`, as PNG and `.npz` want them.
    ///
    /// Values outside the range of pixels are clamped. An incomplete image at the end is dropped.
    ///
    /// # Errors
    /// Latents without a decoder.
    pub fn to_pixels(&self, samples: &[f32]) -> Result<Vec<u8>, DataError> {
        match self.codec() {
            Codec::Pixels(standardisation) => Ok(standardisation.pixels(samples, self.shape())),
            Codec::Latents { .. } => Ok(self.decoder()?.decode(samples, self.shape())),
        }
    }

    /// SHA-256 (hex) of the network that makes pictures of latents, where there is one.
    pub fn decoder_fingerprint(&self) -> Option<&str> {
        self.decoder.as_ref().map(|decoder| decoder.fingerprint())
    }

    fn decoder(&self) -> Result<&dyn Decode, DataError> {
        self.decoder.as_deref().ok_or(DataError::NeedsDecoder)
    }

    /// Bytes that the set keeps in memory.
    pub fn resident_bytes(&self) -> u64 {
        let fields: usize = self
            .fields
            .values()
            .map(|field| field.values.len() * size_of::<f32>())
            .sum();
        self.store.resident_bytes() + self.moment_bytes() + fields as u64
    }

    /// SHA-256 (hex) of what a training could notice: samples, labels, split and standardisation. Of data on disk it is taken
    /// from their index. Fields that were added are not part of it, nor is [what encodes them](Dataset::encoder_fingerprint).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// SHA-256 (hex) of which images are in which part: equal for all sizes of one set and split seed.
    pub fn split_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        self.index.hash_split(&mut hash);
        hex(&hash.finalize())
    }

    /// Name and shape of one sample of each batch field.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let held = self
            .fields
            .iter()
            .map(|(name, field)| (name.as_str(), field.shape.as_slice()));
        let stored = self.store.fields().iter();
        held.chain(stored.map(|(name, shape)| (name.as_str(), shape.as_slice())))
    }

    /// Adds the batch field `name`, or replaces it.
    ///
    /// Errors: a number of values other than images times the shape's product; images that are mirrored in training, for which
    /// values of the images as they are would be wrong.
    pub fn insert_field(&mut self, name: &str, field: Field) -> Result<(), DataError> {
        if field.values.len() != self.len() * field.shape.iter().product::<usize>() {
            return Err(DataError::Field {
                name: name.into(),
                shape: field.shape,
                count: self.len(),
                found: field.values.len(),
            });
        }
        if self.flip {
            return Err(DataError::NotFlipped(format!(
                "\"{name}\" is of the images as they are (encoder.when = \"step\" sees them mirrored)"
            )));
        }
        self.fields.insert(name.into(), field);
        Ok(())
    }

    /// The fingerprint of pixels in memory.
    fn hash(&self, standardisation: Standardisation) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        hash.update((self.len() as u64).to_le_bytes());
        self.shape()
            .iter()
            .for_each(|&side| hash.update((side as u64).to_le_bytes()));
        for id in 0..self.len() {
            let image = self.image(id)?;
            image.iter().for_each(|pixel| hash.update(pixel.to_le_bytes()));
        }
        self.labels().iter().for_each(|label| hash.update(label.to_le_bytes()));
        hash.update(standardisation.mean.to_le_bytes());
        hash.update(standardisation.std.to_le_bytes());
        self.index.hash_split(&mut hash);
        Ok(hex(&hash.finalize()))
    }
}

/// Rows that `of` gives for `ids`, one after the other, read by several threads.
fn rows<T: Copy + Send>(
    ids: &[usize],
    of: impl Fn(usize) -> Result<Vec<T>, DataError> + Sync,
) -> Result<Vec<T>, DataError> {
    let rows = ids.par_iter().with_min_len(TASK).map(|&id| of(id));
    Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
}

/// `(mean + std · noise) · scale` of `moments`, `[2C, H, W]` with the means first; without noise, the scaled mean.
fn latents(mut moments: Vec<f32>, scale: f32, noise: Option<impl Iterator<Item = f32>>) -> Vec<f32> {
    let half = moments.len() / 2;
    let (means, stds) = moments.split_at_mut(half);
    if let Some(noise) = noise {
        for ((mean, std), noise) in means.iter_mut().zip(stds).zip(noise) {
            *mean += *std * noise;
        }
    }
    means.iter_mut().for_each(|mean| *mean *= scale);
    moments.truncate(half);
    moments
}

/// A digest, such as SHA-256, in hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::emoji;

    fn small() -> Dataset {
        Dataset::from_images(emoji(8).unwrap(), 0).unwrap()
    }

    #[test]
    fn should_have_zero_mean_and_unit_variance_on_the_training_part() {
        let dataset = small();
        let values = dataset.gather(dataset.train()).unwrap();
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-6, "{mean}");
        assert!((variance - 1.0).abs() < 1e-5, "{variance}");
    }

    #[test]
    fn should_give_back_the_pixels_it_was_made_from() {
        let images = emoji(8).unwrap();
        let dataset = Dataset::from_images(images.clone(), 0).unwrap();
        let all: Vec<usize> = (0..dataset.len()).collect();
        assert_eq!(
            dataset.to_pixels(&dataset.gather(&all).unwrap()).unwrap(),
            images.pixels
        );
    }

    #[test]
    fn should_clamp_what_no_pixel_can_be() {
        let standardisation = small().standardisation().unwrap();
        assert_eq!(standardisation.invert(1e9), 255);
        assert_eq!(standardisation.invert(-1e9), 0);
        assert_eq!(standardisation.invert(f32::NAN), 0);
    }

    #[test]
    fn should_change_its_fingerprint_with_pixels_labels_or_split() {
        let images = emoji(8).unwrap();
        let of = |images: Images, seed| Dataset::from_images(images, seed).unwrap().fingerprint().to_owned();
        let mut recoloured = images.clone();
        recoloured.pixels[100] ^= 1;
        let mut relabelled = images.clone();
        relabelled.labels[100] += 1;
        let original = of(images.clone(), 0);
        assert_eq!(original, of(images.clone(), 0));
        assert_ne!(original, of(recoloured, 0));
        assert_ne!(original, of(relabelled, 0));
        assert_ne!(original, of(images, 1));
    }

    #[test]
    fn should_split_every_size_alike() {
        let large = Dataset::from_images(emoji(32).unwrap(), 0).unwrap();
        assert_eq!(large.split_fingerprint(), small().split_fingerprint());
        assert_ne!(large.fingerprint(), small().fingerprint());
    }

    #[test]
    fn should_count_the_training_part_by_class() {
        let dataset = small();
        let counts = dataset.train_counts();
        assert_eq!(counts.len(), 9);
        assert_eq!(counts.iter().sum::<usize>(), dataset.train().len());
    }

    #[test]
    fn should_refuse_a_field_of_another_length() {
        let field = Field {
            shape: vec![2, 3],
            values: vec![0.0; 7],
        };
        let message = small().insert_field("features", field).unwrap_err().to_string();
        assert!(message.contains("features") && message.contains("11436"), "{message}");
    }

    #[test]
    fn should_refuse_images_of_one_colour() {
        let mut images = emoji(8).unwrap();
        images.pixels.fill(9);
        assert!(Dataset::from_images(images, 0).is_err());
    }
}
