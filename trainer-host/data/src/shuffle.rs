//! Labels that say nothing: a control for what a network learns from them.

use super::dataset::Dataset;
use super::stream::Stream;
use rand::seq::SliceRandom;

impl Dataset {
    /// The labels of all images, in which those of the training part have changed places, by one permutation that `seed` draws.
    ///
    /// Each image keeps its wrong label for good, and every class as many training images as before.
    pub fn shuffled_labels(&self, seed: u64) -> Vec<i64> {
        let mut labels = self.labels().to_vec();
        let mut places: Vec<usize> = self.train().to_vec();
        places.shuffle(&mut Stream::new(seed, "data/shuffled-labels").at(&[]));
        for (&image, from) in self.train().iter().zip(places) {
            labels[image] = self.labels()[from];
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use crate::load;
    use sextant_recipe::DataConfig;

    #[test]
    fn should_keep_frequencies_and_held_out_labels_but_no_sense() {
        let dataset = load(&DataConfig::emoji(8, 0)).unwrap();
        let shuffled = dataset.shuffled_labels(7);
        let mut counts = vec![0; dataset.class_names().len()];
        dataset
            .train()
            .iter()
            .for_each(|&id| counts[shuffled[id] as usize] += 1);
        assert_eq!(counts, dataset.train_counts());
        assert!(
            dataset
                .held_out()
                .iter()
                .all(|&id| shuffled[id] == dataset.labels()[id])
        );
        // By chance an image gets its own label with probability sum p_k^2.
        let count = dataset.train().len() as f64;
        let chance: f64 = counts.iter().map(|&n| (n as f64 / count).powi(2)).sum();
        let kept = dataset
            .train()
            .iter()
            .filter(|&&id| shuffled[id] == dataset.labels()[id]);
        let kept = kept.count() as f64 / count;
        assert!(
            (kept - chance).abs() < 0.04,
            "{kept} of the labels are right, {chance} by chance"
        );
    }

    #[test]
    fn should_be_a_function_of_the_seed() {
        let dataset = load(&DataConfig::emoji(8, 0)).unwrap();
        assert_eq!(dataset.shuffled_labels(1), dataset.shuffled_labels(1));
        assert_ne!(dataset.shuffled_labels(1), dataset.shuffled_labels(2));
    }
}
