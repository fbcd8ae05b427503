//! From what a store keeps of a sample to what a network trains on, and back to pixels.

use serde::{Deserialize, Serialize};

use super::error::DataError;

/// Pixels on the scale [-1, 1] become `(pixel - mean) / std`, one mean and std for all channels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standardisation {
    /// Mean over the training part.
    pub mean: f64,
    /// Population standard deviation over the training part.
    pub std: f64,
}

impl Standardisation {
    /// Leaves pixels on the scale [-1, 1], as published trainers do: it needs no pass over the images.
    pub const RANGE: Self = Self { mean: 0.0, std: 1.0 };

    /// Fits to 8-bit pixels.
    ///
    /// Errors: no two different pixels.
    pub(super) fn fit<'a>(pixels: impl Iterator<Item = &'a [u8]>) -> Result<Self, DataError> {
        // Exact integer sums: the result cannot depend on the order of the images.
        let (mut sum, mut squares, mut count) = (0u64, 0u64, 0usize);
        for image in pixels {
            count += image.len();
            for &pixel in image {
                sum += u64::from(pixel);
                squares += u64::from(pixel).pow(2);
            }
        }
        let count = count as f64;
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

    /// 8-bit images `[N, H, W, C]` of `shape = [C, H, W]`, standardised: `[N, C, H, W]`.
    pub fn standardise(&self, pixels: &[u8], [channels, height, width]: [usize; 3]) -> Vec<f32> {
        let value: Vec<f32> = (0..=255).map(|pixel| self.apply(pixel)).collect();
        let mut planes = Vec::with_capacity(pixels.len());
        for image in pixels.chunks_exact(channels * height * width) {
            for channel in 0..channels {
                let plane = image[channel..].iter().step_by(channels);
                planes.extend(plane.map(|&pixel| value[pixel as usize]));
            }
        }
        planes
    }

    /// Standardised images `[N, C, H, W]` of `shape = [C, H, W]` as 8-bit ones `[N, H, W, C]`.
    pub(super) fn pixels(&self, images: &[f32], [channels, height, width]: [usize; 3]) -> Vec<u8> {
        let area = height * width;
        let mut pixels = Vec::with_capacity(images.len());
        for image in images.chunks_exact(channels * area) {
            for place in 0..area {
                for channel in 0..channels {
                    pixels.push(self.invert(image[channel * area + place]));
                }
            }
        }
        pixels
    }
}

/// Meaning of a sample's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Codec {
    /// Standardised pixels.
    Pixels(Standardisation),
    /// Latents of an autoencoder: `x = (mean + std · noise) · scale`. Pixels of them need its decoder, a network, which
    /// this crate does not know.
    Latents {
        /// Factor that brings them to a variance of about 1, 0.18215 for Stable Diffusion's autoencoder.
        scale: f64,
    },
}
