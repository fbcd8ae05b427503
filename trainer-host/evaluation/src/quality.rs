//! Distance of samples from the data, in the features of each judge.
//!
//! **What they are compared with** is the training part, as in the literature: it is what a generator was shown; or the reference
//! that a recipe names, such as the statistics that FID is published against. The Frechet and the kernel distance take all of it. Precision and recall are compared at equal numbers of rows, as
//! their paper does, since balls shrink as rows become more: N samples against N training images, and, as the training part has
//! room for several such sets that share no image, the mean over them, which costs little and is less noise.
//!
//! **The floor** is what real images score by the same rules. They are held-out images, which no generator and no judge has
//! seen, so that the floor has in it what a judge does to images that it was not trained on. Where there are fewer held-out images
//! than samples, part of the training part is held against the rest of it; against a reference, which may hold the same images,
//! there is no floor then. A generator can only be below the floor by more than
//! noise if it repeats training images; [`copies`](super::copies) says whether it does.

use burn::tensor::TensorData;
use std::collections::BTreeMap;

use super::cache::Cache;
use crate::Error;
use crate::judge::Judge;
use crate::reference::External;
use sextant_data::Dataset;
use sextant_records::evaluation::{Quality, ReferenceIdentity, Scores};
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

/// A judge's view of the data, or of a reference, which samples are compared with.
#[derive(Debug)]
pub struct Reference<'j> {
    judge: &'j Judge,
    real: Real,
    held_out: Option<Features>,
    /// True if the real images are a part of the data, which may be held against the rest.
    is_data: bool,
}

/// Real images, ready to be compared with.
#[derive(Debug, Clone, PartialEq)]
struct Real {
    /// None where statistics are all that there is.
    features: Option<Features>,
    gaussian: Gaussian,
}

/// A reference in place of the data, and its name.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// The reference.
    pub external: &'a External,
    /// Its identity.
    pub identity: &'a ReferenceIdentity,
    /// Pixels a side of the samples.
    pub side: usize,
}

impl<'j> Reference<'j> {
    /// Shows all of `dataset` to `judge`, by `look`, or reads what it saw from `cache`, which is the same to the bit.
    ///
    /// # Errors
    /// Data that is not RGB, features that are not finite, fewer than two training images.
    pub fn of(judge: &'j Judge, dataset: &Dataset, look: &Look, cache: &Cache) -> Result<Self, Error> {
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
                let see = |(name, ids): &(&str, &[usize])| Ok((name.to_string(), rows(&look(ids)?)));
                let seen = parts.iter().map(see).collect::<Result<_, Error>>()?;
                cache.write(&key, &seen);
                seen
            }
        };
        let failed = |source| judge.failed(source);
        let features = |data: &TensorData| Features::new(data.iter::<f64>().collect(), width).map_err(failed);
        let real = Real::fit(features(&seen["training"])?).map_err(failed)?;
        let held_out = seen.get("held_out").map(features).transpose()?;
        Ok(Self {
            judge,
            real,
            held_out,
            is_data: true,
        })
    }

    /// A reference in place of the data. Its images are shown to `judge`, or what it saw is read from `cache`; and of `floor`, a data set
    /// and a number of samples, as many held-out images, by `look`, where there are so many.
    ///
    /// # Errors
    /// An image that cannot be read, statistics that are none, features that are not finite, fewer than two images.
    pub fn against(
        judge: &'j Judge,
        against: Against,
        floor: Option<(&Dataset, usize)>,
        look: &Look,
        cache: &Cache,
    ) -> Result<Self, Error> {
        const IMAGES: &str = "images";
        let Against {
            external,
            identity,
            side,
        } = against;
        let failed = |source| judge.failed(source);
        let key = format!(
            "reference {CACHE_VERSION}, sextant {}, judge {} on {}, images of {} at {side}",
            env!("CARGO_PKG_VERSION"),
            judge.identity().fingerprint,
            judge.device(),
            identity.fingerprint,
        );
        let kept = cache.read(&key).and_then(|kept| {
            let data = kept
                .get(IMAGES)
                .filter(|data| data.shape().to_vec().get(1..) == Some(&[judge.width()][..]))?;
            Features::new(data.iter::<f64>().collect(), judge.width()).ok()
        });
        let features = match kept.filter(|_| external.has_images()) {
            Some(kept) => Some(kept),
            None => external.features(judge, side)?.inspect(|seen| {
                cache.write(&key, &[(IMAGES.to_owned(), rows(seen))].into());
            }),
        };
        let gaussian = match (external.gaussian()?, &features) {
            (Some(gaussian), _) => gaussian,
            (None, Some(features)) => Gaussian::fit(features).map_err(failed)?,
            (None, None) => return Err(Error::Input(format!("{} has no images", identity.path))),
        };
        let enough = floor.filter(|(dataset, samples)| dataset.held_out().len() >= *samples);
        let held_out = enough.map(|(dataset, samples)| {
            let held_out = dataset.held_out();
            let order = shuffled(held_out.len(), SEED);
            let ids: Vec<usize> = order[..samples.max(1)].iter().map(|&at| held_out[at]).collect();
            look(&ids)
        });
        Ok(Self {
            judge,
            real: Real { features, gaussian },
            held_out: held_out.transpose()?,
            is_data: false,
        })
    }

    /// Scores samples that the judge has seen, and that were drawn at a scale of classifier-free guidance.
    ///
    /// # Errors
    /// Fewer than four samples.
    pub fn score(&self, samples: &Features, scale: f64) -> Result<Quality, Error> {
        self.assess(&self.real, samples, scale)
    }

    /// The kernel distance of such samples alone: what scales are chosen by. None against statistics.
    ///
    /// # Errors
    /// Fewer than three samples.
    pub fn kernel(&self, samples: &Features) -> Result<Option<KernelDistance>, Error> {
        let Some(real) = &self.real.features else {
            return Ok(None);
        };
        let distance = kernel_distance(samples, real);
        Ok(Some(distance.map_err(|source| self.judge.failed(source))?))
    }

    /// True if a kernel distance can be had.
    pub fn has_rows(&self) -> bool {
        self.real.features.is_some()
    }

    /// Scores of as many real images as there are samples: held-out ones where there are enough, or else training
    /// images against the rest of them, and then at most half. Against a reference there are none then.
    ///
    /// # Errors
    /// Fewer than four images.
    pub fn floor(&self, samples: usize) -> Result<Option<Quality>, Error> {
        let failed = |source| self.judge.failed(source);
        if let Some(held_out) = self.held_out.as_ref().filter(|held_out| held_out.len() >= samples) {
            let order = shuffled(held_out.len(), SEED);
            let floor = self.assess(&self.real, &held_out.select(&order[..samples.max(1)]), 1.0);
            return floor.map(Some);
        }
        let Some(all) = self.real.features.as_ref().filter(|_| self.is_data) else {
            return Ok(None);
        };
        let count = samples.min(all.len() / 2);
        let order = shuffled(all.len(), SEED);
        let (part, rest) = order.split_at(count.max(1));
        let rest = Real::fit(all.select(rest)).map_err(failed)?;
        self.assess(&rest, &all.select(part), 1.0).map(Some)
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

/// A judge's features of the data's images with these ids.
type Look<'a> = dyn Fn(&[usize]) -> Result<Features, Error> + 'a;

/// A reference of every judge, in their order, by way of [`Cache::standard`]: `against` one that is named, or else the data. `floor` is
/// the number of samples for which a floor is wanted; the data has one in any case. `look` shows images of the data to the judge of a
/// number.
pub fn references<'j>(
    judges: &'j [Judge],
    dataset: &Dataset,
    against: Option<Against>,
    floor: Option<usize>,
    look: &impl Fn(usize, &[usize]) -> Result<Features, Error>,
) -> Result<Vec<Reference<'j>>, Error> {
    let cache = Cache::standard();
    let floor = floor.map(|samples| (dataset, samples));
    let of = |(number, judge): (usize, &'j Judge)| {
        let look = |ids: &[usize]| look(number, ids);
        match against {
            Some(against) => Reference::against(judge, against, floor, &look, &cache),
            None => Reference::of(judge, dataset, &look, &cache),
        }
    };
    judges.iter().enumerate().map(of).collect()
}

impl Real {
    fn fit(features: Features) -> Result<Self, MeasureError> {
        Ok(Self {
            gaussian: Gaussian::fit(&features)?,
            features: Some(features),
        })
    }

    fn scores(&self, samples: &Features) -> Result<Scores, MeasureError> {
        let mut scores = Scores {
            frechet: frechet_distance(&Gaussian::fit(samples)?, &self.gaussian)?,
            ..Scores::default()
        };
        let Some(features) = &self.features else {
            return Ok(scores);
        };
        let kernel = kernel_distance(samples, features)?;
        scores.kernel = Some(kernel.value);
        scores.kernel_error = Some(kernel.standard_error);
        let count = samples.len().min(features.len());
        let compared = match count < samples.len() {
            true => samples.select(&shuffled(samples.len(), SEED)[..count]),
            false => samples.clone(),
        };
        let order = shuffled(features.len(), SEED);
        let sets = order.chunks_exact(count);
        let share = 1.0 / sets.len() as f64;
        let (mut precision, mut recall) = (0.0, 0.0);
        for set in sets {
            let real = features.select(set);
            let found = precision_recall(&real, &compared, NEIGHBOURS)?;
            precision += share * found.precision;
            recall += share * found.recall;
        }
        scores.precision = Some(precision);
        scores.recall = Some(recall);
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
