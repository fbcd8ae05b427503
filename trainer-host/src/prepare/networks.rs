//! What networks see in squares.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rayon::prelude::*;
use sextant_data::{MOMENTS, npy};
use sextant_model::autoencoder::{Autoencoder, Moments};

use super::layout::Layout;
use super::pictures;
use crate::Error;

/// The networks of a request.
pub struct Networks<'a> {
    autoencoder: Option<Autoencoder>,
    flips: bool,
    device: &'a Device,
}

impl<'a> Networks<'a> {
    /// Networks for squares of `size`.
    ///
    /// # Errors
    /// An autoencoder that cannot see them.
    pub fn new(autoencoder: Option<Autoencoder>, flips: bool, size: usize, device: &'a Device) -> Result<Self, Error> {
        if let Some(autoencoder) = &autoencoder {
            let config = autoencoder.config();
            let factor = config.factor();
            if !size.is_multiple_of(factor) {
                return Err(Error::Input(format!(
                    "--size {size}: one place of this autoencoder's latents stands for {factor} pixels, so the size must be a \
                     multiple of {factor}"
                )));
            }
            if config.in_channels != 3 {
                return Err(Error::Input(format!(
                    "the autoencoder takes images of {} channels; images here have 3",
                    config.in_channels
                )));
            }
        }
        Ok(Self {
            autoencoder,
            flips,
            device,
        })
    }

    /// True if there is one.
    pub fn is_some(&self) -> bool {
        self.autoencoder.is_some()
    }

    /// Fingerprint of the autoencoder.
    pub fn fingerprint(&self) -> Option<String> {
        self.autoencoder.as_ref().map(Autoencoder::fingerprint)
    }

    /// The folders that they fill.
    pub fn folders(&self) -> Vec<String> {
        let forms = self.forms().into_iter();
        forms
            .filter(|_| self.is_some())
            .map(|(suffix, _)| format!("{MOMENTS}{suffix}"))
            .collect()
    }

    /// Suffix of a folder, and whether its images are mirrored.
    fn forms(&self) -> Vec<(&'static str, bool)> {
        match self.flips {
            true => vec![("", false), ("-flip", true)],
            false => vec![("", false)],
        }
    }

    /// Writes the arrays of a batch.
    ///
    /// # Errors
    /// Values that are not finite; a file that cannot be written.
    pub fn write(&self, layout: &Layout, pictures: &[(usize, RgbImage)]) -> Result<(), Error> {
        let Some(autoencoder) = &self.autoencoder else {
            return Ok(());
        };
        let images = tensor(pictures, self.device);
        for (suffix, is_mirrored) in self.forms() {
            let folder = format!("{MOMENTS}{suffix}");
            let images = match is_mirrored {
                true => images.clone().flip([3]),
                false => images.clone(),
            };
            let Moments { mean, std } = autoencoder.encode(images);
            self.keep(layout, &folder, pictures, Tensor::cat(vec![mean, std], 1))?;
        }
        Ok(())
    }

    /// Writes `values`, a row an image, as f32.
    fn keep(
        &self,
        layout: &Layout,
        folder: &str,
        pictures: &[(usize, RgbImage)],
        values: Tensor<4>,
    ) -> Result<(), Error> {
        let shape = values.dims();
        let values: Vec<f32> = values.into_data().iter::<f32>().collect();
        let length: usize = shape[1..].iter().product();
        let rows: Vec<(PathBuf, &[f32])> = pictures
            .iter()
            .zip(values.chunks_exact(length))
            .map(|((id, _), row)| (layout.array(folder, *id), row))
            .collect();
        if let Some((path, _)) = rows.iter().find(|(_, row)| row.iter().any(|value| !value.is_finite())) {
            return Err(Error::Failed(format!(
                "{}: not written, since a value that the network gave for it is not finite",
                path.display()
            )));
        }
        rows.into_par_iter()
            .try_for_each(|(path, row)| pictures::write(&path, &npy::encode(&shape[1..], row)))
    }
}

/// Squares as `[N, 3, H, W]` in [-1, 1].
fn tensor(pictures: &[(usize, RgbImage)], device: &Device) -> Tensor<4> {
    let side = pictures.first().map_or(0, |(_, square)| square.width() as usize);
    let mut values = Vec::with_capacity(pictures.len() * 3 * side * side);
    for (_, square) in pictures {
        let (pixels, _) = square.as_raw().as_chunks::<3>();
        for channel in 0..3 {
            values.extend(pixels.iter().map(|pixel| f32::from(pixel[channel]) / 127.5 - 1.0));
        }
    }
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, side, side]), device)
}
