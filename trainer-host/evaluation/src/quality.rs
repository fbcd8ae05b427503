//! Distance of samples from the data, in the features of each judge.
//!
//! **What they are compared with** is the training part, as in the literature: it is what a generator was shown. The Frechet
//! and the kernel distance take all of it. Precision and recall are compared at equal numbers of rows, as
//! their paper does, since balls shrink as rows become more: N samples against N training images, and, as the training part has
//! room for several such sets that share no image, the mean over them, which costs little and is less noise.
//!
//! **The floor** is what real images score by the same rules. They are held-out images, which no generator and no judge has
//! seen, so that the floor has in it what a judge does to images that it was not trained on. Where there are fewer held-out images
//! than samples, part of the training part is held against the rest of it. A generator can only be below the floor by more than
//! noise if it repeats training images; [`copies`](super::copies) says whether it does.

use burn::tensor::TensorData;
use std::collections::BTreeMap;

use super::cache::Cache;
use crate::Error;
use crate::judge::Judge;
use sextant_data::Dataset;
use sextant_records::evaluation::{Quality, Scores};
use sextant_stats::measure::{
    Features, Gaussian, KernelDistance, MeasureError, frechet_distance, kernel_distance, precision_recall, shuffled,
};

/// Neighbours that make a ball (arXiv 1904.06991).
const NEIGHBOURS: usize = 3;

/// Says which real images make a set, and which are left out. The same for every variant and seed of a training, so that
/// differences between them owe nothing to it.
const SEED: u64 = 0;

/// Changes when what is cached means something else.
const CACHE_VERSION: u32 = 2;

/// One label a sample: in the frequencies of the training part, rounded by largest remainders, and spread so that every
/// beginning of the list has about these frequencies too. The first of two classes with equal claims is the one named first.
pub fn labels_as_in_data(dataset: &Dataset, count: usize) -> Vec<usize> {
    let quotas = quotas(&dataset.train_counts(), count);
    let mut places: Vec<(f64, usize)> = Vec::with_capacity(count);
    for (class, &quota) in quotas.iter().enumerate() {
        places.extend((0..quota).map(|i| ((i as f64 + 0.5) / quota as f64, class)));
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    places.into_iter().map(|(_, class)| class).collect()
}

/// `count` shared out in proportion to `weights`, of which one is above 0: whole parts first, then one each to the largest
/// remainders.
fn quotas(weights: &[usize], count: usize) -> Vec<usize> {
    let total: usize = weights.iter().sum();
    let mut quotas: Vec<usize> = weights.iter().map(|weight| weight * count / total).collect();
    let mut claims: Vec<usize> = (0..weights.len()).collect();
    claims.sort_by_key(|&class| std::cmp::Reverse(weights[class] * count % total));
    let left = count - quotas.iter().sum::<usize>();
    claims[..left].iter().for_each(|&class| quotas[class] += 1);
    quotas
}

/// A judge's view of the data, which samples are compared with.
#[derive(Debug)]
pub struct Reference<'j> {
    judge: &'j Judge,
    side: usize,
    training: Real,
    held_out: Option<Features>,
}

/// Real images, ready to be compared with.
#[derive(Debug, Clone, PartialEq)]
struct Real {
    features: Features,
    gaussian: Gaussian,
}

impl<'j> Reference<'j> {
    /// Shows all of `dataset` to `judge`, or reads what it saw from `cache`, which is the same to the bit.
    ///
    /// # Errors
    /// Data that is not RGB, features that are not finite, fewer than two training images.
    pub fn of(judge: &'j Judge, dataset: &Dataset, cache: &Cache) -> Result<Self, Error> {
        let (key, width) = (key(judge, dataset), judge.width());
        let mut parts = vec![("training", dataset.train()), ("held_out", dataset.held_out())];
        parts.retain(|(name, ids)| *name == "training" || !ids.is_empty());
        let whole = |kept: &BTreeMap<String, TensorData>| {
            let shape = |name: &str| kept.get(name).map(|data| data.shape().to_vec());
            parts
                .iter()
                .all(|(name, ids)| shape(name) == Some(vec![ids.len(), width]))
        };
        let seen = match cache.read(&key).filter(whole) {
            Some(kept) => kept,
            None => {
                let see =
                    |(name, ids): &(&str, &[usize])| Ok((name.to_string(), rows(&judge.features_of(dataset, ids)?)));
                let seen = parts.iter().map(see).collect::<Result<_, Error>>()?;
                cache.write(&key, &seen);
                seen
            }
        };
        let failed = |source| judge.failed(source);
        let features = |data: &TensorData| Features::new(data.iter::<f64>().collect(), width).map_err(failed);
        let training = Real::fit(features(&seen["training"])?).map_err(failed)?;
        let held_out = seen.get("held_out").map(features).transpose()?;
        Ok(Self {
            judge,
            side: dataset.picture_side()?,
            training,
            held_out,
        })
    }

    /// Scores samples, RGB bytes `[N, side, side, 3]` of the data's size, that were drawn at a scale of classifier-free guidance.
    ///
    /// # Errors
    /// Bytes that are no whole images, fewer than four samples, features that are not finite.
    pub fn quality(&self, pixels: &[u8], scale: f64) -> Result<Quality, Error> {
        self.score(&self.judge.features(pixels, self.side)?, scale)
    }

    /// The same of samples that the judge has seen.
    ///
    /// # Errors
    /// Fewer than four samples.
    pub fn score(&self, samples: &Features, scale: f64) -> Result<Quality, Error> {
        self.assess(&self.training, samples, scale)
    }

    /// The kernel distance of such samples alone: what scales are chosen by.
    ///
    /// # Errors
    /// Bytes that are no whole images, fewer than three samples, features that are not finite.
    pub fn kernel(&self, pixels: &[u8]) -> Result<KernelDistance, Error> {
        let features = self.judge.features(pixels, self.side)?;
        let distance = kernel_distance(&features, &self.training.features);
        Ok(distance.map_err(|source| self.judge.failed(source))?)
    }

    /// Scores of as many real images as there are samples: held-out ones where there are enough, or else training
    /// images against the rest of them, and then at most half.
    ///
    /// # Errors
    /// Fewer than four images.
    pub fn floor(&self, samples: usize) -> Result<Quality, Error> {
        let failed = |source| self.judge.failed(source);
        if let Some(held_out) = self.held_out.as_ref().filter(|held_out| held_out.len() >= samples) {
            let order = shuffled(held_out.len(), SEED);
            return self.assess(&self.training, &held_out.select(&order[..samples.max(1)]), 1.0);
        }
        let all = &self.training.features;
        let count = samples.min(all.len() / 2);
        let order = shuffled(all.len(), SEED);
        let (part, rest) = order.split_at(count.max(1));
        self.assess(&Real::fit(all.select(rest)).map_err(failed)?, &all.select(part), 1.0)
    }

    fn assess(&self, real: &Real, samples: &Features, scale: f64) -> Result<Quality, Error> {
        Ok(Quality {
            judge: self.judge.name().into(),
            scale,
            samples: samples.len(),
            scores: real.scores(samples).map_err(|source| self.judge.failed(source))?,
        })
    }
}

/// A reference of every judge, in their order, by way of [`Cache::standard`].
pub fn references<'j>(judges: &'j [Judge], dataset: &Dataset) -> Result<Vec<Reference<'j>>, Error> {
    let cache = Cache::standard();
    let of = |judge| Reference::of(judge, dataset, &cache);
    judges.iter().map(of).collect()
}

impl Real {
    fn fit(features: Features) -> Result<Self, MeasureError> {
        Ok(Self {
            gaussian: Gaussian::fit(&features)?,
            features,
        })
    }

    fn scores(&self, samples: &Features) -> Result<Scores, MeasureError> {
        let kernel = kernel_distance(samples, &self.features)?;
        let mut scores = Scores {
            frechet: frechet_distance(&Gaussian::fit(samples)?, &self.gaussian)?,
            kernel: kernel.value,
            kernel_error: kernel.standard_error,
            ..Scores::default()
        };
        let count = samples.len().min(self.features.len());
        let compared = match count < samples.len() {
            true => samples.select(&shuffled(samples.len(), SEED)[..count]),
            false => samples.clone(),
        };
        let order = shuffled(self.features.len(), SEED);
        let sets = order.chunks_exact(count);
        let share = 1.0 / sets.len() as f64;
        for set in sets {
            let real = self.features.select(set);
            let found = precision_recall(&real, &compared, NEIGHBOURS)?;
            scores.precision += share * found.precision;
            scores.recall += share * found.recall;
        }
        Ok(scores)
    }
}

/// Names everything that the numbers depend on.
fn key(judge: &Judge, dataset: &Dataset) -> String {
    format!(
        "reference {CACHE_VERSION}, sextant {}, judge {} on {}, data {}, split {}",
        env!("CARGO_PKG_VERSION"),
        judge.identity().fingerprint,
        judge.device(),
        dataset.fingerprint(),
        dataset.split_fingerprint(),
    )
}

/// Features as they are kept. Judges answer in f32: nothing is lost.
fn rows(features: &Features) -> TensorData {
    let values: Vec<f32> = features.values().iter().map(|&value| value as f32).collect();
    TensorData::new(values, [features.len(), features.width()])
}

#[cfg(test)]
#[path = "quality_tests.rs"]
mod tests;
