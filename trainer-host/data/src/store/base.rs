//! The trait of a store, and its samples.

use std::fmt::Debug;

use crate::error::DataError;

/// One sample as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// 8-bit pixels `[H, W, C]`.
    Pixels(Vec<u8>),
    /// Mean and standard deviation of an autoencoder's posterior, `[2C, H, W]`, means first.
    Moments(Vec<f32>),
}

/// Gives samples and fields by id. Several threads ask at once.
///
/// An id is a place in the set's [`Index`](crate::Index): whoever asks has checked that it exists.
pub trait SampleStore: Debug + Send + Sync {
    /// `[C, H, W]` of a sample as a network sees it: moments have C means and C standard deviations.
    fn shape(&self) -> [usize; 3];

    /// Reads sample `id`, mirrored left to right where `flipped`.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what the index says; a mirrored form that is not kept.
    fn sample(&self, id: usize, flipped: bool) -> Result<Sample, DataError>;

    /// Height and width of the images that the samples are, or were made of.
    ///
    /// # Errors
    /// There are none.
    fn picture_side(&self) -> Result<usize, DataError> {
        Err(DataError::NoPictures("the data are latents alone".into()))
    }

    /// Reads the image that sample `id` is, or was made of: 8-bit RGB `[S, S, 3]`, mirrored left to right where `flipped`.
    ///
    /// # Errors
    /// As [`SampleStore::sample`] and [`SampleStore::picture_side`].
    fn picture(&self, id: usize, flipped: bool) -> Result<Vec<u8>, DataError> {
        match self.sample(id, flipped)? {
            Sample::Pixels(pixels) => Ok(pixels),
            Sample::Moments(_) => Err(DataError::NoPictures("the data are latents alone".into())),
        }
    }

    /// Checks that mirrored forms are kept, of samples and fields.
    ///
    /// # Errors
    /// Says what is missing.
    fn flipped(&self) -> Result<(), String> {
        Ok(())
    }

    /// Name and shape of one sample of each batch field that is kept beside the samples.
    fn fields(&self) -> &[(String, Vec<usize>)] {
        &[]
    }

    /// Reads the field `name` of sample `id`, or of its mirrored form, row-major.
    ///
    /// # Errors
    /// As [`SampleStore::sample`]; a field that is none of [`SampleStore::fields`].
    fn field(&self, name: &str, _id: usize, _flipped: bool) -> Result<Vec<f32>, DataError> {
        Err(DataError::NoField(name.into()))
    }

    /// Bytes that stay in memory as long as the store does.
    fn resident_bytes(&self) -> u64;
}
