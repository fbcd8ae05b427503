//! Batch k of a run: which images, in which order.

use super::dataset::Dataset;
use super::draws::FormDraws;
use super::error::DataError;
use super::pictures::Pictures;
use super::stream::Stream;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// A [`Field`](super::Field)'s values for the samples of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldBatch {
    /// `[B, ..]`, the batch axis included.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// The clean side of a batch, as far as this crate can bring it.
#[derive(Debug, Clone, PartialEq)]
pub enum Clean {
    /// Values as a network sees them, row-major.
    Values(Vec<f32>),
    /// Latents that are still to be encoded, from the batch's pictures: as many standard normal values, which choose a point of each
    /// posterior.
    Posterior(Vec<f32>),
}

/// The data of one step, on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// k: batches are numbered from 0 over the whole run.
    pub index: u64,
    /// Ids of the images: their places in the full set, not in the training part.
    pub ids: Vec<u64>,
    /// Standardised pixels, or latents.
    pub x: Clean,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// The images of the samples, where networks of the step see them.
    pub pictures: Option<Pictures>,
    /// Classes before label dropout.
    pub labels: Vec<i64>,
    /// Extra values by name, for example `features`.
    pub fields: BTreeMap<String, FieldBatch>,
}

/// The order in which a run goes through a set of `count` images.
///
/// An epoch is a permutation keyed by (seed, epoch). A set of at least a batch drops each epoch's incomplete last
/// batch, so that no batch holds an image twice; a smaller set is repeated without a gap.
/// Batch k is a function of (seed, k) alone; the last epoch's permutation is only remembered for speed.
#[derive(Debug, Clone)]
pub struct Order {
    stream: Stream,
    count: usize,
    batch_size: usize,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// The order of the run `seed` over `0..count`.
    pub fn new(seed: u64, count: usize, batch_size: usize) -> Self {
        Self {
            stream: Stream::new(seed, "data/order"),
            count,
            batch_size,
            epoch: None,
        }
    }

    /// The places in `0..count` that make up batch `k`; empty for an empty set.
    pub fn batch(&mut self, k: u64) -> Vec<usize> {
        let (count, size) = (self.count as u64, self.batch_size as u64);
        if count == 0 {
            return Vec::new();
        }
        if count >= size && size > 0 {
            let per_epoch = count / size;
            let start = (k % per_epoch * size) as usize;
            let end = start + self.batch_size;
            return self.permutation(k / per_epoch)[start..end].to_vec();
        }
        (k * size..(k + 1) * size)
            .map(|place| self.permutation(place / count)[(place % count) as usize])
            .collect()
    }

    fn permutation(&mut self, epoch: u64) -> &[usize] {
        let known = self.epoch.take().filter(|(known, _)| *known == epoch);
        let (_, order) = self.epoch.insert(known.unwrap_or_else(|| {
            let mut order: Vec<usize> = (0..self.count).collect();
            order.shuffle(&mut self.stream.at(&[epoch]));
            (epoch, order)
        }));
        order
    }
}

impl Dataset {
    /// Batch `k` of the run `seed` over the training part.
    ///
    /// Whoever asks for many batches in a row keeps an [`Order`] and calls [`Dataset::collect`].
    ///
    /// # Errors
    /// As [`Dataset::collect`].
    pub fn batch(&self, seed: u64, k: u64, batch_size: usize) -> Result<Batch, DataError> {
        self.collect(seed, k, &self.order(seed, batch_size).batch(k), false)
    }

    /// The order of the run `seed` over the training part.
    pub fn order(&self, seed: u64, batch_size: usize) -> Order {
        Order::new(seed, self.train().len(), batch_size)
    }

    /// Batch `k` of the run `seed` from places in the training part, as [`Order::batch`] gives them. The pictures come along where they
    /// are asked for, and where latents are still to be made of them.
    ///
    /// # Errors
    /// A sample, a picture or a field that cannot be read.
    pub fn collect(&self, seed: u64, k: u64, places: &[usize], pictures: bool) -> Result<Batch, DataError> {
        self.index().check()?;
        let [channels, height, width] = self.shape();
        let ids: Vec<usize> = places.iter().map(|&place| self.train()[place]).collect();
        let draws = FormDraws::new(seed, k);
        let pictures = pictures || self.is_encoded();
        Ok(Batch {
            index: k,
            x: self.gather_forms(&ids, &draws)?,
            shape: [ids.len(), channels, height, width],
            labels: ids.iter().map(|&id| self.labels()[id]).collect(),
            pictures: pictures.then(|| self.read_pictures(&ids, Some(&draws))).transpose()?,
            fields: self.gather_fields(&ids, Some(&draws))?,
            ids: ids.into_iter().map(|id| id as u64).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, load};
    use proptest::prelude::*;
    use sextant_recipe::DataConfig;
    use std::collections::BTreeSet;

    fn small() -> Dataset {
        load(&DataConfig::emoji(8, 0)).unwrap()
    }

    #[test]
    fn should_give_the_same_batch_in_any_order_of_asking() {
        let dataset = small();
        let mut order = dataset.order(5, 32);
        for k in [90, 0, 47, 46, 90, 3] {
            let batch = dataset.collect(5, k, &order.batch(k), false).unwrap();
            assert_eq!(batch, dataset.batch(5, k, 32).unwrap());
            assert_ne!(batch.ids, dataset.batch(6, k, 32).unwrap().ids);
        }
    }

    #[test]
    fn should_take_labels_pixels_and_fields_of_the_same_images() {
        let mut dataset = small();
        let values = (0..dataset.len() * 2).map(|v| v as f32).collect();
        dataset.insert_field("place", Field { shape: vec![2], values }).unwrap();
        let batch = dataset.batch(0, 3, 8).unwrap();
        assert_eq!(batch.shape, [8, 3, 8, 8]);
        let Clean::Values(x) = &batch.x else {
            panic!("pixels are ready")
        };
        assert_eq!(batch.fields["place"].shape, [8, 2]);
        for (row, &id) in batch.ids.iter().enumerate() {
            let id = id as usize;
            assert_eq!(batch.labels[row], dataset.labels()[id]);
            assert_eq!(x[row * 192..(row + 1) * 192], dataset.image(id).unwrap());
            assert_eq!(batch.fields["place"].values[row * 2], (id * 2) as f32);
        }
    }

    #[test]
    fn should_see_training_images_only() {
        let dataset = small();
        let train: BTreeSet<u64> = dataset.train().iter().map(|&id| id as u64).collect();
        assert!((0..60).all(|k| { dataset.batch(1, k, 32).unwrap().ids.iter().all(|id| train.contains(id)) }));
    }

    proptest! {
        #[test]
        fn should_show_no_image_twice_in_an_epoch(count in 1usize..60, size in 1usize..60, seed: u64, epoch in 0u64..5) {
            prop_assume!(size <= count);
            let mut order = Order::new(seed, count, size);
            let per_epoch = (count / size) as u64;
            let seen: Vec<usize> =
                (epoch * per_epoch..(epoch + 1) * per_epoch).flat_map(|k| order.batch(k)).collect();
            prop_assert_eq!(seen.len(), per_epoch as usize * size);
            prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
            prop_assert!(seen.iter().all(|&place| place < count));
        }

        #[test]
        fn should_repeat_a_set_smaller_than_a_batch_evenly(count in 1usize..10, factor in 1usize..4, seed: u64) {
            let size = count * factor + 1;
            let mut order = Order::new(seed, count, size);
            // `count` batches hold every image exactly `size` times.
            let mut times = vec![0; count];
            (0..count as u64).flat_map(|k| order.batch(k)).for_each(|place| times[place] += 1);
            prop_assert!(times.iter().all(|&t| t == size));
        }
    }
}
