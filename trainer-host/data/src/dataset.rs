//! A standardised set of images with its split: what training and evaluation read.

use super::error::DataError;
use super::images::Images;
use super::split::Split;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One more value per image, for example a frozen encoder's features.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// `[N, ..shape]`, row-major, in the order of the set.
    pub values: Vec<f32>,
}

/// Pixels on the scale [-1, 1] become `(pixel - mean) / std`, one mean and std for all channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standardisation {
    /// Mean over the training part.
    pub mean: f64,
    /// Population standard deviation over the training part.
    pub std: f64,
}

impl Standardisation {
    /// Fits to the 8-bit pixels of the images `indices`, each `sample` bytes long.
    fn fit(pixels: &[u8], sample: usize, indices: &[usize]) -> Result<Self, DataError> {
        // Exact integer sums: the result cannot depend on the order of the images.
        let (mut sum, mut squares) = (0u64, 0u64);
        for &index in indices {
            for &pixel in &pixels[index * sample..(index + 1) * sample] {
                sum += u64::from(pixel);
                squares += u64::from(pixel).pow(2);
            }
        }
        let count = (indices.len() * sample) as f64;
        let mean = sum as f64 / count;
        let std = (squares as f64 / count - mean * mean).sqrt();
        if std.is_nan() || std <= 0.0 {
            return Err(DataError::Unusable(
                "the training part holds no two different pixels, so it cannot be standardised".into(),
            ));
        }
        Ok(Self {
            mean: mean / 127.5 - 1.0,
            std: std / 127.5,
        })
    }

    /// The standardised value of an 8-bit pixel.
    pub fn apply(&self, pixel: u8) -> f32 {
        ((f64::from(pixel) / 127.5 - 1.0 - self.mean) / self.std) as f32
    }

    /// The 8-bit pixel of a standardised value, rounded and clamped to 0..=255 (NaN becomes 0).
    pub fn invert(&self, value: f32) -> u8 {
        ((f64::from(value) * self.std + self.mean + 1.0) * 127.5).round() as u8
    }
}

/// All images of a set, standardised on the CPU, with labels, split and batch fields.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `[N, C, H, W]`, row-major, standardised.
    pixels: Vec<f32>,
    shape: [usize; 3],
    labels: Vec<i64>,
    class_names: Vec<String>,
    sublabels: Vec<i64>,
    subclass_names: Vec<String>,
    groups: Vec<u64>,
    split: Split,
    standardisation: Standardisation,
    fields: BTreeMap<String, Field>,
    fingerprint: String,
}

impl Dataset {
    /// Splits `images` by group and standardises them by the training part.
    ///
    /// Errors: a training part that is empty or of one colour.
    pub fn from_images(images: Images, split_seed: u64) -> Result<Self, DataError> {
        let split = Split::by_group(&images.groups, split_seed);
        if split.train.is_empty() {
            return Err(DataError::Unusable("the training part of the set is empty".into()));
        }
        let shape = [3, images.size, images.size];
        let sample = shape.iter().product();
        let standardisation = Standardisation::fit(&images.pixels, sample, &split.train)?;
        let mut dataset = Self {
            pixels: channels_first(&images.pixels, sample, standardisation),
            shape,
            labels: images.labels,
            class_names: images.class_names,
            sublabels: images.sublabels,
            subclass_names: images.subclass_names,
            groups: images.groups,
            split,
            standardisation,
            fields: BTreeMap::new(),
            fingerprint: String::new(),
        };
        dataset.fingerprint = dataset.hash();
        Ok(dataset)
    }

    /// Number of images, both parts.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// `[C, H, W]` of one image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of values in one image, `C * H * W`.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The standardised pixels of image `id`, `[C, H, W]`. Panics if there is no such image.
    pub fn image(&self, id: usize) -> &[f32] {
        let sample = self.sample_len();
        &self.pixels[id * sample..(id + 1) * sample]
    }

    /// The standardised pixels of `ids`, one after the other: `[ids, C, H, W]`. Panics if one does not exist.
    pub fn gather(&self, ids: &[usize]) -> Vec<f32> {
        ids.iter().flat_map(|&id| self.image(id)).copied().collect()
    }

    /// Class of every image.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Names of the classes; their number is the model's number of classes.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Finer class of every image. For judging features, and for training judges; no encoder or generator sees it.
    pub fn sublabels(&self) -> &[i64] {
        &self.sublabels
    }

    /// Names of the finer classes.
    pub fn subclass_names(&self) -> &[String] {
        &self.subclass_names
    }

    /// Group of near-duplicates of every image.
    pub fn groups(&self) -> &[u64] {
        &self.groups
    }

    /// Ids of the images to train on, ascending.
    pub fn train(&self) -> &[usize] {
        &self.split.train
    }

    /// Ids of the images kept for evaluation, ascending.
    pub fn held_out(&self) -> &[usize] {
        &self.split.held_out
    }

    /// Number of images of the training part in each class.
    pub fn train_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names.len()];
        for &id in self.train() {
            counts[self.labels[id] as usize] += 1;
        }
        counts
    }

    /// The mean and standard deviation in use.
    pub fn standardisation(&self) -> Standardisation {
        self.standardisation
    }

    /// Turns standardised images `[N, C, H, W]` into 8-bit ones `[N, H, W, C]`, as PNG and `.npz` want them.
    ///
    /// Values outside the range of pixels are clamped. An incomplete image at the end is dropped.
    pub fn to_pixels(&self, images: &[f32]) -> Vec<u8> {
        let [channels, height, width] = self.shape;
        let area = height * width;
        let mut pixels = Vec::with_capacity(images.len());
        for image in images.chunks_exact(channels * area) {
            for place in 0..area {
                for channel in 0..channels {
                    pixels.push(self.standardisation.invert(image[channel * area + place]));
                }
            }
        }
        pixels
    }

    /// SHA-256 (hex) of pixels, labels, split and standardisation. Batch fields are not part of it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// SHA-256 (hex) of which images are in which part: equal for all sizes of one set and split seed.
    pub fn split_fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        self.hash_split(&mut hash);
        hex(&hash.finalize())
    }

    /// The batch fields by name.
    pub fn fields(&self) -> &BTreeMap<String, Field> {
        &self.fields
    }

    /// Adds the batch field `name`, or replaces it.
    ///
    /// Errors: a number of values other than images times the shape's product.
    pub fn insert_field(&mut self, name: &str, field: Field) -> Result<(), DataError> {
        if field.values.len() != self.len() * field.shape.iter().product::<usize>() {
            return Err(DataError::Field {
                name: name.into(),
                shape: field.shape,
                count: self.len(),
                found: field.values.len(),
            });
        }
        self.fields.insert(name.into(), field);
        Ok(())
    }

    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update((self.len() as u64).to_le_bytes());
        self.shape
            .iter()
            .for_each(|&side| hash.update((side as u64).to_le_bytes()));
        self.pixels.iter().for_each(|pixel| hash.update(pixel.to_le_bytes()));
        self.labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
        hash.update(self.standardisation.mean.to_le_bytes());
        hash.update(self.standardisation.std.to_le_bytes());
        self.hash_split(&mut hash);
        hex(&hash.finalize())
    }

    fn hash_split(&self, hash: &mut Sha256) {
        for part in [&self.split.train, &self.split.held_out] {
            hash.update((part.len() as u64).to_le_bytes());
            part.iter().for_each(|&id| hash.update((id as u64).to_le_bytes()));
        }
    }
}

/// A digest, such as SHA-256, in hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `[N, H, W, 3]` bytes to standardised `[N, 3, H, W]`.
fn channels_first(pixels: &[u8], sample: usize, standardisation: Standardisation) -> Vec<f32> {
    let value: Vec<f32> = (0..=255).map(|pixel| standardisation.apply(pixel)).collect();
    let mut planes = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(sample) {
        for channel in 0..3 {
            planes.extend(image[channel..].iter().step_by(3).map(|&pixel| value[pixel as usize]));
        }
    }
    planes
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
        let values = dataset.gather(dataset.train());
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
        assert_eq!(dataset.to_pixels(&dataset.gather(&all)), images.pixels);
    }

    #[test]
    fn should_clamp_what_no_pixel_can_be() {
        let standardisation = small().standardisation();
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
