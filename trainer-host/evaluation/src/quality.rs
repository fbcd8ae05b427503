//! Distance of samples from the data, in the features of each judge.
//!
//! **What they are compared with** is the training part, as in the literature: it is what a generator was shown. The Frechet
//! and the kernel distance take all of it. Precision, recall, density and coverage are compared at equal numbers of rows, as
//! their papers do, since balls shrink as rows become more: N samples against N training images, and, as the training part has
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
    Features, Gaussian, KernelDistance, MeasureError, density_coverage, disjoint, frechet_distance, kernel_distance,
    precision_recall, shuffled,
};

/// Neighbours that make a ball: of precision and recall (arXiv 1904.06991), and of density and coverage (arXiv 2002.09797).
const PRECISION_NEIGHBOURS: usize = 3;
const COVERAGE_NEIGHBOURS: usize = 5;

/// Says which real images make a set, and which are left out. The same for every variant and seed of a training, so that
/// differences between them owe nothing to it.
const SEED: u64 = 0;

/// Changes when what is cached means something else.
const CACHE_VERSION: u32 = 1;

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
    /// Shows all of `dataset` to `judge`, or reads what it saw from [`Cache::standard`].
    ///
    /// # Errors
    /// Data that is not RGB, features that are not finite, fewer than two training images.
    pub fn of(judge: &'j Judge, dataset: &Dataset) -> Result<Self, Error> {
        Self::cached(judge, dataset, &Cache::standard())
    }

    /// [`Reference::of`] with another cache. What was kept is the same to the bit.
    ///
    /// # Errors
    /// As [`Reference::of`].
    pub fn cached(judge: &'j Judge, dataset: &Dataset, cache: &Cache) -> Result<Self, Error> {
        let key = key(judge, dataset);
        let [training, held_out] = [dataset.train().len(), dataset.held_out().len()];
        let kept = cache
            .read(&key)
            .and_then(|kept| unpack(&kept, judge.width(), training, held_out));
        let (training, held_out) = match kept {
            Some(kept) => kept,
            None => {
                let features = judge.features_of(dataset, dataset.train())?;
                let training = Real::fit(features).map_err(|source| judge.failed(source))?;
                let held_out = match dataset.held_out() {
                    [] => None,
                    ids => Some(judge.features_of(dataset, ids)?),
                };
                cache.write(&key, &pack(&training, held_out.as_ref()));
                (training, held_out)
            }
        };
        Ok(Self {
            judge,
            side: dataset.shape()[1],
            training,
            held_out,
        })
    }

    /// Whose it is.
    pub fn judge(&self) -> &'j Judge {
        self.judge
    }

    /// Scores samples, RGB bytes `[N, side, side, 3]` of the data's size, that were drawn at a scale of classifier-free guidance.
    ///
    /// # Errors
    /// Bytes that are no whole images, fewer than six samples, features that are not finite.
    pub fn quality(&self, pixels: &[u8], scale: f64) -> Result<Quality, Error> {
        let features = self.judge.features(pixels, self.side)?;
        self.assess(&self.training, &features, scale)
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
    /// Fewer than six images.
    pub fn floor(&self, samples: usize) -> Result<Quality, Error> {
        let failed = |source| self.judge.failed(source);
        if let Some(held_out) = self.held_out.as_ref().filter(|held_out| held_out.len() >= samples) {
            let order = shuffled(held_out.len(), SEED);
            return self.assess(&self.training, &held_out.select(&order[..samples.max(1)]), 1.0);
        }
        let all = &self.training.features;
        let count = samples.min(all.len() / 2);
        let (part, rest) = disjoint(all, count, all.len() - count, SEED).map_err(failed)?;
        self.assess(&Real::fit(rest).map_err(failed)?, &part, 1.0)
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

/// A reference of every judge, in their order.
///
/// # Errors
/// Those of [`Reference::of`].
pub fn references<'j>(judges: &'j [Judge], dataset: &Dataset) -> Result<Vec<Reference<'j>>, Error> {
    judges.iter().map(|judge| Reference::of(judge, dataset)).collect()
}

/// Scores of the same samples by every judge, in the judges' order.
///
/// # Errors
/// Those of [`Reference::quality`].
pub fn qualities(references: &[Reference], pixels: &[u8], scale: f64) -> Result<Vec<Quality>, Error> {
    references
        .iter()
        .map(|reference| reference.quality(pixels, scale))
        .collect()
}

/// The floor of every judge, in the judges' order.
///
/// # Errors
/// Those of [`Reference::floor`].
pub fn floors(references: &[Reference], samples: usize) -> Result<Vec<Quality>, Error> {
    references.iter().map(|reference| reference.floor(samples)).collect()
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
            let found = precision_recall(&real, &compared, PRECISION_NEIGHBOURS)?;
            scores.precision += share * found.precision;
            scores.recall += share * found.recall;
            let found = density_coverage(&real, &compared, COVERAGE_NEIGHBOURS)?;
            scores.density += share * found.density;
            scores.coverage += share * found.coverage;
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

fn pack(training: &Real, held_out: Option<&Features>) -> BTreeMap<String, TensorData> {
    // Judges answer in f32: nothing is lost.
    let rows = |features: &Features| {
        let values: Vec<f32> = features.values().iter().map(|&value| value as f32).collect();
        TensorData::new(values, [features.len(), features.width()])
    };
    let exact = |features: &Features| TensorData::new(features.values().to_vec(), [features.len(), features.width()]);
    let (mean, root) = training.gaussian.parts();
    let mut tensors = BTreeMap::from([
        ("training".into(), rows(&training.features)),
        ("mean".into(), exact(mean)),
        ("root".into(), exact(root)),
    ]);
    if let Some(held_out) = held_out {
        tensors.insert("held_out".into(), rows(held_out));
    }
    tensors
}

/// Takes apart what [`pack`] made; none where it is not of this many images and this width.
fn unpack(
    tensors: &BTreeMap<String, TensorData>,
    width: usize,
    training: usize,
    held_out: usize,
) -> Option<(Real, Option<Features>)> {
    let rows = |name: &str| {
        let data = tensors
            .get(name)
            .filter(|data| data.shape().num_dims() == 2 && data.shape()[1] == width)?;
        Features::new(data.iter::<f64>().collect(), width).ok()
    };
    let of = |name: &str, count: usize| rows(name).filter(|features| features.len() == count);
    let real = Real {
        features: of("training", training)?,
        gaussian: Gaussian::from_parts(of("mean", 1)?, rows("root")?).ok()?,
    };
    match held_out {
        0 => Some((real, None)),
        count => Some((real, Some(of("held_out", count)?))),
    }
}

#[cfg(test)]
#[path = "quality_tests.rs"]
mod tests;
