//! What an autoencoder keeps of images, and the scale of their latents.

use burn::tensor::Device;
use sextant_data::{DataError, Dataset, Pictures};

use super::decode::bytes;
use super::encode::{normalised, uploaded};
use super::{Autoencoder, Moments};

/// Images that are read and encoded together.
const CHUNK: usize = 32;

impl Autoencoder {
    /// The images that the means of the latents of images `ids` decode to.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn reconstructions(&self, dataset: &Dataset, ids: &[usize], device: &Device) -> Result<Pictures, DataError> {
        let mut pixels = Vec::new();
        self.each(dataset, ids, device, |moments| {
            pixels.extend(bytes(self.decode(moments.mean)))
        })?;
        let side = dataset.source_side()?;
        Ok(Pictures { side, pixels })
    }

    /// 1 / standard deviation of the latents of images `ids`, posterior noise included: the factor that brings them to unit variance.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(super) fn unit_scale(&self, dataset: &Dataset, ids: &[usize], device: &Device) -> Result<f64, DataError> {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        self.each(dataset, ids, device, |Moments { mean, std }| {
            let (means, stds) = (mean.into_data(), std.into_data());
            for (mean, std) in means.iter::<f64>().zip(stds.iter::<f64>()) {
                sum += mean;
                squares += mean * mean + std * std;
                count += 1.0;
            }
        })?;
        let mean: f64 = sum / count;
        Ok((squares / count - mean * mean).sqrt().recip())
    }

    /// Hands the moments of images `ids` over, some at a time.
    fn each(
        &self,
        dataset: &Dataset,
        ids: &[usize],
        device: &Device,
        mut act: impl FnMut(Moments),
    ) -> Result<(), DataError> {
        for chunk in ids.chunks(CHUNK) {
            act(self.encode(normalised(uploaded(&dataset.pictures(chunk)?, device))));
        }
        Ok(())
    }
}

/// Peak signal-to-noise ratio in decibels between as many 8-bit values, from their mean squared difference; infinite where they are
/// the same.
pub fn psnr(one: &Pictures, other: &Pictures) -> f64 {
    let pairs = one.pixels.iter().zip(&other.pixels);
    let squares: f64 = pairs.map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * one.pixels.len() as f64 / squares).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_be_decibels_of_the_largest_value() {
        let of = |value: u8| Pictures {
            side: 1,
            pixels: vec![value; 3],
        };
        assert_eq!(psnr(&of(255), &of(0)), 0.0);
        assert!((psnr(&of(100), &of(110)) - 28.1308).abs() < 1e-3);
        assert_eq!(psnr(&of(7), &of(7)), f64::INFINITY);
    }
}
