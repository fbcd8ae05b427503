//! Small data and networks for tests.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::extraction::{FeatureExtraction, PASS, of_passes};
use crate::Error;
use sextant_data::{Dataset, Images, emoji};
use sextant_guidance::SourcePlan;
use sextant_guidance::plan::TapRequest;
use sextant_model::diffusion::Path;
use sextant_model::{Sit, SitConfig, frozen_copy};
use sextant_stats::measure::Features;

/// Tokens of an image for [`network`].
pub const TOKENS: usize = 16;

/// Every fourth emoji at 8x8.
pub fn images() -> Images {
    fn every<T: Clone>(values: &[T]) -> Vec<T> {
        values.iter().step_by(4).cloned().collect()
    }
    let images = emoji(8).unwrap();
    let pixels: Vec<&[u8]> = images.pixels.chunks_exact(8 * 8 * 3).step_by(4).collect();
    Images {
        pixels: pixels.concat(),
        labels: every(&images.labels),
        sublabels: every(&images.sublabels),
        groups: every(&images.groups),
        names: every(&images.names),
        ..images
    }
}

/// [`images`], split.
pub fn dataset() -> Dataset {
    dataset_of(|_| ())
}

/// [`dataset`] with other classes.
pub fn dataset_of(change: impl FnOnce(&mut Vec<i64>)) -> Dataset {
    let mut images = images();
    change(&mut images.labels);
    Dataset::from_images(images, 0).unwrap()
}

/// Shows `dataset` on the linear path.
pub fn extraction<'a>(dataset: &'a Dataset, device: &'a Device) -> FeatureExtraction<'a> {
    FeatureExtraction {
        dataset,
        path: Path::Linear,
        device,
    }
}

/// The features of these images, mean-pooled, at each depth.
pub fn pooled(
    extraction: FeatureExtraction,
    network: &Sit,
    ids: &[usize],
    t: f64,
    depths: &[usize],
) -> Result<Vec<Features>, Error> {
    let passes = ids.chunks(PASS).map(|ids| extraction.pooled(network, ids, t, depths));
    of_passes(network, t, depths, passes)
}

/// All emoji at this size.
pub fn emoji_of(size: usize) -> Dataset {
    Dataset::from_images(emoji(size).unwrap(), 0).unwrap()
}

/// RGB bytes of images.
pub fn bytes(dataset: &Dataset, ids: &[usize]) -> Vec<u8> {
    dataset.to_pixels(&dataset.gather(ids).unwrap()).unwrap()
}

/// The standardised pixels of images as features.
pub fn pixels(dataset: &Dataset, ids: &[usize]) -> Features {
    Features::from_f32(&dataset.gather(ids).unwrap(), dataset.sample_len()).unwrap()
}

/// A network of width 16 and depth 2 for [`dataset`], in which, unlike in a fresh one, everything has an effect.
pub fn network(seed: u64, device: &Device) -> Sit {
    let config = SitConfig {
        input_size: 8,
        patch_size: 2,
        in_channels: 3,
        hidden_size: 16,
        depth: 2,
        num_heads: 2,
        num_classes: 9,
        qk_norm: true,
        mlp_ratio: 4.0,
    };
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let network = frozen_copy(&Sit::init(&config, &mut draws, device).unwrap());
    network.map(&mut Shaken(draws))
}

/// Adds noise to every parameter.
struct Shaken(ChaCha8Rng);

impl ModuleMapper for Shaken {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            let count = shape.iter().product();
            let noise: Vec<f32> = (&mut self.0)
                .sample_iter::<f32, _>(StandardNormal)
                .take(count)
                .collect();
            let noise = Tensor::<D>::from_data(TensorData::new(noise, shape), &tensor.device());
            tensor + noise.mul_scalar(0.2)
        })
    }
}

/// A plan with these taps and nothing else.
pub fn plan(taps: Vec<TapRequest>) -> SourcePlan {
    SourcePlan {
        required_minor: 0,
        batch_coupled: false,
        t_range: None,
        taps,
        fields: Vec::new(),
        parameters: Vec::new(),
        buffers: Vec::new(),
        metrics: Vec::new(),
        settings: Vec::new(),
    }
}
