//! What is known of every sample without reading it.

use sha2::{Digest, Sha256};

use super::split::Split;

/// Labels, names, groups and split of a set. A sample's id is its place in it.
#[derive(Debug, Clone)]
pub struct Index {
    /// Class of each sample, an index into `class_names`.
    pub labels: Vec<i64>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Finer class of each sample, an index into `subclass_names`.
    pub sublabels: Vec<i64>,
    /// Names of the finer classes.
    pub subclass_names: Vec<String>,
    /// Samples with the same number are near-duplicates.
    pub groups: Vec<u64>,
    /// Which samples are trained on, and which are held out.
    pub split: Split,
}

impl Index {
    /// Number of samples, both parts.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of samples of the training part in each class.
    pub fn train_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names.len()];
        for &id in &self.split.train {
            counts[self.labels[id] as usize] += 1;
        }
        counts
    }

    /// Adds which samples are in which part to a digest.
    pub(super) fn hash_split(&self, hash: &mut Sha256) {
        for part in [&self.split.train, &self.split.held_out] {
            hash.update((part.len() as u64).to_le_bytes());
            part.iter().for_each(|&id| hash.update((id as u64).to_le_bytes()));
        }
    }
}
