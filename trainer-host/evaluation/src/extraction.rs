//! Images as networks are shown them when their representations are looked at: diffused with noise that depends on the
//! image and the time alone, so that every variant of every comparison sees the same.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;

use super::guided::Guided;
use crate::Error;
use sextant_data::{Dataset, Stream};
use sextant_model::Sit;
use sextant_model::diffusion::{Interpolant, Path};
use sextant_stats::measure::{Features, MeasureError};

/// Images of one pass.
pub const PASS: usize = 64;

/// The class that a network is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelMode {
    /// The null class: what is in the features then comes from the image.
    Null,
    /// The image's own.
    Own,
}

/// Data, path and device: how images are shown.
#[derive(Clone, Copy, Debug)]
pub struct FeatureExtraction<'a> {
    /// Source of images and classes.
    pub dataset: &'a Dataset,
    /// The way from images to noise.
    pub path: Path,
    /// The device that the network computes on. No autodiff is needed.
    pub device: &'a Device,
}

impl FeatureExtraction<'_> {
    /// x_t of the images `ids`, `[ids, C, H, W]`, on the device.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn diffused(&self, ids: &[usize], t: f64) -> Result<Tensor<4>, Error> {
        let [c, h, w] = self.dataset.shape();
        let sample = c * h * w;
        let stream = Stream::new(0, "representations/noise");
        let noise: Vec<f32> = ids
            .iter()
            .flat_map(|&id| {
                let normals = stream.at(&[id as u64, t.to_bits()]);
                normals.sample_iter::<f32, _>(StandardNormal).take(sample)
            })
            .collect();
        let tensor = |values| Tensor::from_data(TensorData::new(values, [ids.len(), c, h, w]), self.device);
        let images = tensor(self.dataset.gather(ids)?);
        Ok(self.path.diffuse(images, tensor(noise), &vec![t as f32; ids.len()]))
    }

    /// Features of the images `ids` of one pass at `depths`, mean-pooled over their tokens: `[ids, D]` a depth. The null class is told.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn pooled(&self, network: &Sit, ids: &[usize], t: f64, depths: &[usize]) -> Result<Vec<Vec<f32>>, Error> {
        let found = self.pass(network, ids, t, LabelMode::Null, depths)?.into_iter();
        Ok(found.map(|tokens| numbers(tokens.mean_dim(1))).collect())
    }

    /// Every token of the images `ids` at `depths`, image by image: `[ids * T, D]` a depth.
    pub fn tokens(
        &self,
        network: &Sit,
        ids: &[usize],
        t: f64,
        told: LabelMode,
        depths: &[usize],
    ) -> Result<Vec<Features>, Error> {
        let passes = ids.chunks(PASS).map(|ids| {
            let found = self.pass(network, ids, t, told, depths)?;
            Ok(found.into_iter().map(numbers).collect())
        });
        of_passes(network, t, depths, passes)
    }

    /// Every token of the images `ids` that a teacher gives: told the image's class, and told the null class.
    ///
    /// # Errors
    /// A teacher that gives no numbers, or lacks the depth.
    pub fn guided(&self, teacher: &Guided, ids: &[usize], t: f64) -> Result<[Features; 2], Error> {
        let blocks = teacher.network.config().depth;
        let depth = teacher.target.depth;
        if depth > blocks {
            return Err(Error::Input(format!(
                "the teacher has {blocks} blocks, there are no tokens at depth {depth}"
            )));
        }
        let of = |told| self.tokens(teacher.network, ids, t, told, &[depth]);
        Ok([of(LabelMode::Own)?.remove(0), of(LabelMode::Null)?.remove(0)])
    }

    /// The tokens of the images `ids` at `depths`, `[ids, T, D]` each.
    fn pass(
        &self,
        network: &Sit,
        ids: &[usize],
        t: f64,
        told: LabelMode,
        depths: &[usize],
    ) -> Result<Vec<Tensor<3>>, Error> {
        let null = network.config().null_class() as i64;
        let labels = ids.iter().map(|&id| match told {
            LabelMode::Null => null,
            LabelMode::Own => self.dataset.labels()[id],
        });
        let labels: Vec<i64> = labels.collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [ids.len()]), self.device);
        let times = Tensor::full([ids.len()], t, self.device);
        Ok(network.features(self.diffused(ids, t)?, times, labels, depths))
    }
}

fn numbers(tokens: Tensor<3>) -> Vec<f32> {
    tokens.into_data().iter::<f32>().collect()
}

/// The features of a network at each of `depths`, of passes over images, one after another, each of which is the values at each depth.
///
/// # Errors
/// That of a pass; a network that gives no numbers.
pub fn of_passes(
    network: &Sit,
    t: f64,
    depths: &[usize],
    passes: impl IntoIterator<Item = Result<Vec<Vec<f32>>, Error>>,
) -> Result<Vec<Features>, Error> {
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); depths.len()];
    for pass in passes {
        values
            .iter_mut()
            .zip(pass?)
            .for_each(|(values, of_pass)| values.extend(of_pass));
    }
    let width = network.config().hidden_size;
    let of_depths = depths.iter().zip(&values);
    of_depths
        .map(|(&depth, values)| Features::from_f32(values, width).map_err(|error| at(depth, t, error)))
        .collect()
}

/// The error of a measure of features, with their depth and time.
pub fn at(depth: usize, t: f64, error: MeasureError) -> Error {
    Error::Undefined {
        depth,
        t,
        source: error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn noise_depends_on_the_image_and_the_time_alone() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let extraction = fixture::extraction(&dataset, &device);
        let values = |ids: &[usize], t| {
            extraction
                .diffused(ids, t)
                .unwrap()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        };
        let sample = dataset.sample_len();
        let (together, alone) = (values(&[3, 8], 0.5), values(&[8], 0.5));
        assert_eq!(together[sample..], alone);
        // x_t - (1 - t) x is t n: not the same noise at two times.
        let noise = |t: f64| -> Vec<f32> {
            let x = dataset.image(8).unwrap();
            let x_t = values(&[8], t);
            x_t.iter()
                .zip(x)
                .map(|(x_t, x)| (x_t - (1.0 - t as f32) * x) / t as f32)
                .collect()
        };
        let (early, late) = (noise(0.5), noise(0.8));
        assert!(early.iter().zip(&late).filter(|(a, b)| (*a - *b).abs() > 0.1).count() > sample / 2);
        let mean = late.iter().sum::<f32>() / sample as f32;
        assert!(mean.abs() < 0.3, "{mean}");
    }

    #[test]
    fn pooling_is_the_mean_over_an_images_tokens() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let extraction = fixture::extraction(&dataset, &device);
        let network = fixture::network(1, &device);
        // More than one pass.
        let ids: Vec<usize> = (0..70).collect();
        let pooled = fixture::pooled(extraction, &network, &ids, 0.3, &[2])
            .unwrap()
            .remove(0);
        let tokens = extraction
            .tokens(&network, &ids, 0.3, LabelMode::Null, &[2])
            .unwrap()
            .remove(0);
        assert_eq!((pooled.len(), pooled.width()), (70, 16));
        assert_eq!(tokens.len(), 70 * fixture::TOKENS);
        for image in [0, 69] {
            for column in 0..16 {
                let rows = image * fixture::TOKENS..(image + 1) * fixture::TOKENS;
                let mean = rows.map(|row| tokens.row(row)[column]).sum::<f64>() / fixture::TOKENS as f64;
                assert!((pooled.row(image)[column] - mean).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_class_is_told_only_where_it_is_asked_for_and_never_reaches_depth_0() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let extraction = fixture::extraction(&dataset, &device);
        let network = fixture::network(1, &device);
        let tokens = |told| extraction.tokens(&network, &[5, 200], 0.5, told, &[0, 1]).unwrap();
        let (own, null) = (tokens(LabelMode::Own), tokens(LabelMode::Null));
        assert_eq!(own[0], null[0]);
        assert_ne!(own[1], null[1]);
    }

    #[test]
    fn a_network_that_gives_no_numbers_is_named_by_its_place() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let extraction = fixture::extraction(&dataset, &device);
        let mut network = fixture::network(1, &device);
        let bias = &mut network.blocks[1].mlp.fc2.bias;
        *bias = bias.clone().map(|bias| bias.mul_scalar(f32::NAN));
        let error = fixture::pooled(extraction, &network, &[1], 0.5, &[1, 2])
            .unwrap_err()
            .to_string();
        assert!(error.contains("depth 2, t = 0.5") && error.contains("NaN"), "{error}");
    }
}
