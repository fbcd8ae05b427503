//! Facts of every sample that are known without reading it.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::column::{Column, Names};
use super::error::DataError;
use super::split::Split;

/// Names, labels, groups and split of a set. A sample's id is its place in it.
#[derive(Debug, Clone)]
pub struct Index {
    /// Class of each sample, an index into `class_names`.
    pub labels: Column<i64>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Finer class of each sample, an index into `subclass_names`; the classes themselves where there are no finer ones.
    pub sublabels: Column<i64>,
    /// Names of the finer classes.
    pub subclass_names: Vec<String>,
    /// Samples with the same number are near-duplicates; without this there are none.
    pub groups: Option<Column<u64>>,
    /// A name for each sample.
    pub names: Names,
    /// The samples that are trained on, and those that are held out.
    pub split: Split,
    checked: OnceLock<()>,
}

impl Index {
    /// A set without finer classes or groups.
    pub fn new(names: Names, labels: Column<i64>, class_names: Vec<String>, split: Split) -> Self {
        Self {
            sublabels: labels.clone(),
            subclass_names: class_names.clone(),
            labels,
            class_names,
            groups: None,
            names,
            split,
            checked: OnceLock::new(),
        }
    }

    /// Number of samples, both parts.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Sees to it that labels and ids mean something, once: before the first sample is read, since opening a large set does not go
    /// through it.
    ///
    /// # Errors
    /// A column whose values are not those that were written, or point nowhere.
    pub(super) fn check(&self) -> Result<(), DataError> {
        if self.checked.get().is_some() {
            return Ok(());
        }
        let Split { train, held_out } = &self.split;
        for column in [&self.labels, &self.sublabels] {
            column.check()?;
        }
        for column in [train, held_out] {
            column.check()?;
        }
        self.names.text.check()?;
        for column in self.groups.iter().chain([&self.names.ends]) {
            column.check()?;
        }
        let count = self.len();
        let fits = |labels: &[i64], classes: usize| {
            labels.len() == count && labels.iter().all(|&label| (0..classes as i64).contains(&label))
        };
        let whole = fits(&self.labels, self.class_names.len())
            && fits(&self.sublabels, self.subclass_names.len())
            && train.iter().chain(held_out.iter()).all(|&id| id < count)
            && self.groups.as_ref().is_none_or(|groups| groups.len() == count);
        if !whole {
            return Err(DataError::Unusable(
                "the index of the data names samples or classes that it does not have".into(),
            ));
        }
        let _ = self.checked.set(());
        Ok(())
    }

    /// Number of samples of the training part in each class.
    pub fn train_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names.len()];
        for &id in self.split.train.iter() {
            let label = self.labels.get(id).map(|&label| label as usize);
            if let Some(count) = label.and_then(|label| counts.get_mut(label)) {
                *count += 1;
            }
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
