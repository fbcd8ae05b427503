//! Latents that are encoded once, before a training, and kept.

use std::sync::Arc;

use super::{Dataset, ENCODED};
use crate::encode::Encode;
use crate::error::DataError;

impl Dataset {
    /// The same latents, all of them encoded now, and the moments of their posteriors kept in memory: no step has to encode any more.
    /// For sets that are small; others stay as they are where nothing encodes them.
    ///
    /// # Errors
    /// An image that cannot be read; images that training sees mirrored, whose latents are not kept.
    pub fn with_moments(self) -> Result<Self, DataError> {
        let Some(encoder) = self.encoder_in_steps() else {
            return Ok(self);
        };
        if self.flip {
            return Err(DataError::NotFlipped(
                "latents are kept of the images as they are".into(),
            ));
        }
        let ids: Vec<usize> = (0..self.len()).collect();
        let mut moments = Vec::with_capacity(2 * ids.len() * self.sample_len());
        for part in ids.chunks(ENCODED) {
            moments.extend(encoder.moments(&self.pictures(part)?));
        }
        Ok(Self {
            moments: Some(Arc::new(moments)),
            ..self
        })
    }

    /// The maker of the latents of each step's images, where they were not made before.
    pub(super) fn encoder_in_steps(&self) -> Option<&dyn Encode> {
        self.encoder.as_deref().filter(|_| self.moments.is_none())
    }

    /// The moments of sample `id` that were kept, `[2C, H, W]`.
    pub(super) fn kept_moments(&self, id: usize) -> Option<&[f32]> {
        let length = 2 * self.sample_len();
        let moments = self.moments.as_ref()?;
        Some(&moments[id * length..(id + 1) * length])
    }

    /// Bytes of the moments that are kept.
    pub(super) fn moment_bytes(&self) -> u64 {
        self.moments
            .as_ref()
            .map_or(0, |moments| size_of_val(moments.as_slice()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Clean;
    use crate::draws::FormDraws;
    use crate::embedded::emoji;
    use crate::pictures::Pictures;

    /// Latents of 1 x 4 x 4 with the first pixel as mean and deviation.
    #[derive(Debug)]
    struct First;

    impl Encode for First {
        fn shape(&self, side: usize) -> [usize; 3] {
            [1, side / 2, side / 2]
        }

        fn scale(&self) -> f64 {
            0.5
        }

        fn fingerprint(&self) -> &str {
            "first"
        }

        fn encode(&self, pictures: &Pictures) -> Vec<f32> {
            let moments = self.moments(pictures);
            let means = moments.chunks_exact(32).flat_map(|moments| &moments[..16]);
            means.map(|mean| mean * 0.5).collect()
        }

        fn moments(&self, pictures: &Pictures) -> Vec<f32> {
            let images = pictures.pixels.chunks_exact(3 * pictures.side * pictures.side);
            images.flat_map(|image| [f32::from(image[0]); 32]).collect()
        }
    }

    fn encoded() -> Dataset {
        let images = Dataset::from_images(emoji(8).unwrap(), 0).unwrap();
        images.with_encoder(Arc::new(First))
    }

    #[test]
    fn should_be_what_each_step_would_encode() {
        let (steps, kept) = (encoded(), encoded().with_moments().unwrap());
        assert!(steps.is_encoded() && !kept.is_encoded());
        assert_eq!((kept.shape(), kept.codec()), (steps.shape(), steps.codec()));
        assert_eq!(kept.fingerprint(), steps.fingerprint());
        assert_eq!(kept.encoder_fingerprint(), steps.encoder_fingerprint());
        let ids: Vec<usize> = (0..70).collect();
        assert_eq!(kept.gather(&ids).unwrap(), steps.gather(&ids).unwrap());
        assert_eq!(kept.shown(&ids).unwrap(), steps.shown(&ids).unwrap());

        let draws = FormDraws::new(1, 2);
        let mean = f32::from(kept.pictures(&[6]).unwrap().pixels[0]);
        let noise = draws.posterior(6).take(16);
        let wanted: Vec<f32> = noise.map(|noise| (mean + mean * noise) * 0.5).collect();
        assert_eq!(kept.gather_forms(&[6], &draws).unwrap(), Clean::Values(wanted));
        assert!(matches!(steps.gather_forms(&[6], &draws), Ok(Clean::Posterior(_))));
        assert_eq!(kept.batch(0, 3, 4).unwrap().pictures, None);
        let moments = 4 * 32 * kept.len() as u64;
        assert_eq!(kept.resident_bytes(), steps.resident_bytes() + moments);
    }

    #[test]
    fn should_keep_none_of_mirrored_images_and_none_of_pixels() {
        let flipped = encoded().flipped().unwrap();
        assert!(matches!(flipped.with_moments(), Err(DataError::NotFlipped(_))));
        let pixels = Dataset::from_images(emoji(8).unwrap(), 0).unwrap();
        let same = pixels.clone().with_moments().unwrap();
        assert_eq!(
            (same.shape(), same.resident_bytes()),
            (pixels.shape(), pixels.resident_bytes())
        );
    }
}
