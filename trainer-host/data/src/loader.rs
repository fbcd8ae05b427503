//! Prepares the next steps' data while the present step computes.

use super::dataset::Dataset;
use super::error::DataError;
use super::host_batch::HostBatch;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sextant_recipe::DiffusionRecipe;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;

/// Number of steps that wait ready in the channel.
const AHEAD: usize = 2;

/// The threads that read and decode. Others than those that compute, of which one waits where a batch is late; none if the system gives none.
static READERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    pool.build().ok()
});

/// The steps of a run, in order. Nothing depends on an iterator's history, so a run resumes by starting the range at its
/// next step.
#[derive(Debug, Clone)]
pub struct StepLoader {
    dataset: Arc<Dataset>,
    seed: u64,
    batch_size: usize,
    steps: Range<u64>,
    diffusion: DiffusionRecipe,
    null_class: i64,
    labels: Option<Arc<[i64]>>,
    pictures: Vec<Range<u64>>,
    /// The samples of each batch that are wanted.
    slice: Range<usize>,
}

impl StepLoader {
    /// The steps `steps` of the run `seed`; a dropped label becomes `null_class`.
    pub fn new(
        dataset: Arc<Dataset>,
        seed: u64,
        batch_size: usize,
        steps: Range<u64>,
        diffusion: DiffusionRecipe,
        null_class: i64,
    ) -> Self {
        Self {
            dataset,
            seed,
            batch_size,
            steps,
            diffusion,
            null_class,
            labels: None,
            pictures: Vec::new(),
            slice: 0..batch_size,
        }
    }

    /// With these samples of each batch alone: one rank's of several.
    pub fn with_slice(self, slice: Range<usize>) -> Self {
        Self { slice, ..self }
    }

    /// With the images of the samples at the steps of these ranges.
    pub fn with_pictures(self, steps: Vec<Range<u64>>) -> Self {
        Self {
            pictures: steps,
            ..self
        }
    }

    /// With these labels in place of the set's own, one for every image of the set.
    ///
    /// Panics if there are fewer or more.
    pub fn with_labels(self, labels: Vec<i64>) -> Self {
        assert_eq!(labels.len(), self.dataset.len(), "a label for every image");
        Self {
            labels: Some(labels.into()),
            ..self
        }
    }
    /// Starts a thread that prepares the items; it ends with the iterator.
    pub fn iter(&self) -> Steps {
        let (sender, receiver) = sync_channel(AHEAD);
        let total = self.steps.end.saturating_sub(self.steps.start);
        let Self {
            dataset,
            seed,
            batch_size,
            steps,
            diffusion,
            null_class,
            labels,
            pictures,
            slice,
        } = self.clone();
        let worker = std::thread::spawn(move || {
            let mut order = dataset.order(seed, batch_size);
            for step in steps {
                let pictures = pictures.iter().any(|steps| steps.contains(&step));
                // An empty set has empty batches.
                let places = order.batch(step);
                let places = places.get(slice.clone()).unwrap_or_default();
                let read = || {
                    let mut batch = dataset.collect(seed, step, places, pictures)?;
                    if let Some(labels) = &labels {
                        batch.labels = batch.ids.iter().map(|&id| labels[id as usize]).collect();
                    }
                    Ok(HostBatch::draw(&dataset, seed, batch, &diffusion, null_class))
                };
                let batch = READERS.as_ref().map_or_else(read, |readers| readers.install(read));
                let failed = batch.is_err();
                // The iterator is gone when its end of the channel is.
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        Steps {
            receiver: Some(receiver),
            worker: Some(worker),
            done: 0,
            total,
        }
    }
}

/// Steps that a thread prepares; it ends when this is dropped.
#[derive(Debug)]
pub struct Steps {
    receiver: Option<Receiver<Result<HostBatch, DataError>>>,
    worker: Option<JoinHandle<()>>,
    done: u64,
    total: u64,
}

impl Iterator for Steps {
    type Item = Result<HostBatch, DataError>;

    /// `Err` once if a batch cannot be read, or the thread died before its last step; then `None`.
    fn next(&mut self) -> Option<Self::Item> {
        match self.receiver.as_ref()?.recv() {
            Ok(item) => {
                self.done += 1;
                Some(item)
            }
            Err(_) => {
                self.receiver = None;
                let died = self.worker.take().is_some_and(|worker| worker.join().is_err());
                died.then_some(Err(DataError::LoaderDied {
                    done: self.done,
                    total: self.total,
                }))
            }
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        // Hanging up first frees a thread that waits to send.
        self.receiver = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;
    use sextant_recipe::DataConfig;

    fn loader(steps: Range<u64>) -> StepLoader {
        let dataset = load(&DataConfig::emoji(8, 0)).unwrap();
        StepLoader::new(Arc::new(dataset), 9, 32, steps, DiffusionRecipe::default(), 9)
    }

    #[test]
    fn should_yield_what_asking_directly_gives() {
        let loader = loader(40..55);
        let items: Vec<HostBatch> = loader.iter().map(Result::unwrap).collect();
        assert_eq!(items.len(), 15);
        for (item, step) in items.iter().zip(40..) {
            assert_eq!(
                *item,
                HostBatch::new(&loader.dataset, 9, step, 32, &loader.diffusion, 9, false).unwrap()
            );
        }
    }

    #[test]
    fn should_go_on_where_another_loader_stopped() {
        let whole: Vec<HostBatch> = loader(0..6).iter().map(Result::unwrap).collect();
        let rest: Vec<HostBatch> = loader(4..6).iter().map(Result::unwrap).collect();
        assert_eq!(whole[4..], rest);
    }

    #[test]
    fn should_show_other_labels_and_change_nothing_else() {
        let loader = loader(3..5);
        let labels = loader.dataset.shuffled_labels(1);
        for (plain, relabelled) in loader.iter().zip(loader.clone().with_labels(labels.clone()).iter()) {
            let (plain, relabelled) = (plain.unwrap(), relabelled.unwrap());
            assert_ne!(plain.labels, relabelled.labels);
            let wanted: Vec<i64> = plain.ids.iter().map(|&id| labels[id as usize]).collect();
            assert_eq!(relabelled.labels, wanted);
            let kept = |dropped: &[i64]| dropped.iter().map(|label| *label == 9).collect::<Vec<_>>();
            assert_eq!(
                kept(&plain.dropped),
                kept(&relabelled.dropped),
                "the same labels are dropped"
            );
            let mut restored = relabelled;
            restored.labels = plain.labels.clone();
            restored.dropped = plain.dropped.clone();
            assert_eq!(plain, restored);
        }
    }

    #[test]
    fn slices_of_a_batch_are_the_batch() {
        let loader = loader(3..5);
        let slices = [0..16, 16..32].map(|slice| {
            loader
                .clone()
                .with_slice(slice)
                .iter()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
        });
        for (whole, parts) in loader.iter().map(Result::unwrap).zip(slices[0].iter().zip(&slices[1])) {
            let joined = |of: fn(&HostBatch) -> Vec<f32>| [of(parts.0), of(parts.1)].concat();
            assert_eq!(whole.ids, [&parts.0.ids[..], &parts.1.ids].concat());
            assert_eq!(whole.dropped, [&parts.0.dropped[..], &parts.1.dropped].concat());
            for of in [(|batch| batch.noise.clone()) as fn(&HostBatch) -> Vec<f32>, |batch| {
                batch.t.clone()
            }] {
                assert_eq!(of(&whole), joined(of));
            }
        }
    }

    #[test]
    fn should_end_its_thread_when_dropped_early() {
        let loader = loader(0..1_000_000);
        let mut steps = loader.iter();
        assert_eq!(steps.next().unwrap().unwrap().step, 0);
        drop(steps);
        // Dropping joins the thread, which held the other reference.
        assert_eq!(Arc::strong_count(&loader.dataset), 1);
    }

    #[test]
    fn should_report_a_thread_that_died() {
        // A batch size that cannot be allocated for stands in for any panic in the thread.
        let broken = StepLoader {
            batch_size: usize::MAX,
            ..loader(0..3)
        };
        let mut steps = broken.iter();
        assert!(steps.next().unwrap().is_err());
        assert!(steps.next().is_none());
    }
}
