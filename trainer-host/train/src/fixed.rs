//! A loader of batches that are already there.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;

/// Batches in memory, behind burn's loader trait: the validation set, or a recorded trajectory.
#[derive(Clone)]
pub struct Fixed<T>(Arc<Vec<T>>);

impl<T> Fixed<T> {
    /// These batches, in this order.
    pub fn new(batches: Vec<T>) -> Self {
        Self(Arc::new(batches))
    }
}

impl<T: Clone + Send + Sync + 'static> DataLoader<T> for Fixed<T> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<T> + 'a> {
        Box::new(Walk {
            batches: &self.0,
            next: 0,
        })
    }

    fn num_items(&self) -> usize {
        self.0.len()
    }

    /// The same loader: batches are on the CPU, steps upload them.
    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<T>> {
        Arc::new(self.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<T>> {
        Arc::new(Self::new(self.0[start..end].to_vec()))
    }
}

struct Walk<'a, T> {
    batches: &'a [T],
    next: usize,
}

impl<T: Clone> Iterator for Walk<'_, T> {
    type Item = Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(batch))
    }
}

impl<T: Clone> DataLoaderIterator<T> for Walk<'_, T> {
    fn progress(&self) -> Progress {
        Progress::new(self.next, self.batches.len(), Some("batches".into()))
    }
}
