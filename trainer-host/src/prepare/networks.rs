//! Latents, features and attention of squares.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rayon::prelude::*;
use sextant_data::{MOMENTS, npy};
use sextant_model::autoencoder::{Autoencoder, AutoencoderError, Moments};
use sextant_model::encoder::{ATTENTION, FEATURES, Published};

use super::Request;
use super::layout::Layout;
use super::pictures;
use super::settings::{Features, Latents};
use crate::Error;

/// The networks of a request.
pub struct Networks<'a> {
    request: &'a Request,
    autoencoder: Option<Autoencoder>,
    encoder: Option<Published>,
    device: &'a Device,
}

impl<'a> Networks<'a> {
    /// Reads the networks, and checks that they can see the squares.
    ///
    /// # Errors
    /// A network that cannot be found or read, or is for other images.
    pub fn load(request: &'a Request, device: &'a Device) -> Result<Self, Error> {
        let autoencoder = match &request.autoencoder {
            Some(name) => Some(autoencoder(name, request.size, device)?),
            None => None,
        };
        let encoder = match &request.encoder {
            Some(name) => {
                let encoder = Published::load(name, device)?;
                Some(match request.attention.as_slice() {
                    [] => encoder,
                    blocks => encoder.with_attention(Some(blocks))?,
                })
            }
            None => None,
        };
        Ok(Self {
            request,
            autoencoder,
            encoder,
            device,
        })
    }

    /// True if there is one.
    pub fn is_some(&self) -> bool {
        self.autoencoder.is_some() || self.encoder.is_some()
    }

    /// Settings that decide the latents.
    pub fn latents(&self) -> Option<Latents> {
        self.autoencoder.as_ref().map(|autoencoder| Latents {
            autoencoder: autoencoder.fingerprint(),
            flips: self.request.flips,
        })
    }

    /// Settings that decide the features.
    pub fn features(&self) -> Option<Features> {
        self.encoder.as_ref().map(|encoder| Features {
            encoder: encoder.network().fingerprint(),
            grid: self.request.grid,
            attention: self.request.attention.clone(),
            flips: self.request.flips,
        })
    }

    /// The folders that they fill.
    pub fn folders(&self) -> Vec<String> {
        let kinds = [
            self.autoencoder.as_ref().map(|_| MOMENTS),
            self.encoder.as_ref().map(|_| FEATURES),
            self.encoder
                .as_ref()
                .filter(|_| self.has_attention())
                .map(|_| ATTENTION),
        ];
        let folders = kinds.into_iter().flatten();
        folders
            .flat_map(|kind| self.forms().iter().map(move |(suffix, _)| format!("{kind}{suffix}")))
            .collect()
    }

    /// Suffix of a folder, and whether its images are mirrored.
    fn forms(&self) -> &'static [(&'static str, bool)] {
        match self.request.flips {
            true => &[("", false), ("-flip", true)],
            false => &[("", false)],
        }
    }

    fn has_attention(&self) -> bool {
        !self.request.attention.is_empty()
    }

    /// Writes the arrays of a batch.
    ///
    /// # Errors
    /// Values that are not finite; a file that cannot be written.
    pub fn write(&self, layout: &Layout, squares: &[(usize, RgbImage)]) -> Result<(), Error> {
        let upright = tensor(squares, self.device);
        let keep = |folder: String, values: Rows| values.write(layout, &folder, squares);
        for &(suffix, is_mirrored) in self.forms() {
            let images = match is_mirrored {
                true => upright.clone().flip([3]),
                false => upright.clone(),
            };
            if let Some(autoencoder) = &self.autoencoder {
                // REPA's scale: pixels / 127.5 - 1.
                let Moments { mean, std } = autoencoder.encode(images.clone() / 127.5 - 1.0);
                keep(format!("{MOMENTS}{suffix}"), Rows::of(Tensor::cat(vec![mean, std], 1)))?;
            }
            if let Some(encoder) = &self.encoder {
                let output = encoder.encode(images / 255.0, self.request.grid, self.has_attention());
                if self.has_attention() {
                    keep(format!("{ATTENTION}{suffix}"), Rows::of(output.patch_logits()))?;
                }
                keep(format!("{FEATURES}{suffix}"), Rows::of(output.patches))?;
            }
        }
        Ok(())
    }
}

fn autoencoder(name: &str, size: usize, device: &Device) -> Result<Autoencoder, Error> {
    let autoencoder = Autoencoder::named(name, device).map_err(|error| match error {
        AutoencoderError::Hub(error) => Error::Input(format!("--vae: {error}")),
        other => other.into(),
    })?;
    let config = autoencoder.config();
    let factor = config.factor();
    if !size.is_multiple_of(factor) {
        return Err(Error::Input(format!(
            "--size {size}: one place of this autoencoder's latents stands for {factor} pixels, so the size must be a multiple of \
             {factor}"
        )));
    }
    if config.in_channels != 3 {
        return Err(Error::Input(format!(
            "--vae {name}: it takes images of {} channels; images here have 3",
            config.in_channels
        )));
    }
    Ok(autoencoder)
}

/// Values of a batch, a row an image.
struct Rows {
    /// Of one row.
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Rows {
    fn of<const D: usize>(values: Tensor<D>) -> Self {
        Self {
            shape: values.dims()[1..].to_vec(),
            values: values.into_data().iter::<f32>().collect(),
        }
    }

    /// Writes the row of each of `squares`, as f32.
    fn write(&self, layout: &Layout, folder: &str, squares: &[(usize, RgbImage)]) -> Result<(), Error> {
        let length = self.shape.iter().product::<usize>();
        let rows: Vec<(PathBuf, &[f32])> = squares
            .iter()
            .zip(self.values.chunks_exact(length))
            .map(|((id, _), row)| (layout.array(folder, *id), row))
            .collect();
        if let Some((path, _)) = rows.iter().find(|(_, row)| row.iter().any(|value| !value.is_finite())) {
            return Err(Error::Failed(format!(
                "{}: not written, since a value that the network gave for it is not finite",
                path.display()
            )));
        }
        rows.into_par_iter()
            .try_for_each(|(path, row)| pictures::write(&path, &npy::encode(&self.shape, row)))
    }
}

/// Squares as `[N, 3, H, W]`, 0 to 255.
fn tensor(squares: &[(usize, RgbImage)], device: &Device) -> Tensor<4> {
    let side = squares.first().map_or(0, |(_, square)| square.width() as usize);
    let mut values = Vec::with_capacity(squares.len() * 3 * side * side);
    for (_, square) in squares {
        let (pixels, _) = square.as_raw().as_chunks::<3>();
        for channel in 0..3 {
            values.extend(pixels.iter().map(|pixel| f32::from(pixel[channel])));
        }
    }
    Tensor::from_data(TensorData::new(values, [squares.len(), 3, side, side]), device)
}
