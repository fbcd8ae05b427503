//! Latents that are noise, of any shape: what a step is timed on where there are no data.

use std::sync::Arc;

use rand::Rng;
use rand::distr::{Distribution, Uniform};
use rand_distr::StandardNormal;

use super::codec::Codec;
use super::dataset::{Dataset, Field};
use super::error::DataError;
use super::index::Index;
use super::split::Split;
use super::store::{Sample, SampleStore};
use super::stream::Stream;

/// The shapes of a set of noise.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomShapes {
    /// Number of samples; all of them are trained on.
    pub samples: usize,
    /// `[C, H, W]` of a sample.
    pub shape: [usize; 3],
    /// Number of classes, at least 1.
    pub classes: usize,
    /// Name and shape of one sample of each batch field.
    pub fields: Vec<(String, Vec<usize>)>,
}

impl Dataset {
    /// Moments, labels and fields drawn from `seed`, in memory.
    ///
    /// # Errors
    /// No class to draw labels from.
    pub fn random(shapes: &RandomShapes, seed: u64) -> Result<Self, DataError> {
        let RandomShapes {
            samples,
            shape,
            classes,
            fields,
        } = shapes;
        let values = |domain: &str, place: u64, count: usize| -> Vec<f32> {
            Stream::new(seed, domain)
                .at(&[place])
                .sample_iter(StandardNormal)
                .take(count)
                .collect()
        };
        let classes_of = Uniform::new(0, *classes as i64);
        let classes_of = classes_of.map_err(|e| DataError::Unusable(format!("labels of {classes} classes: {e}")))?;
        let mut labels = Stream::new(seed, "random/labels").at(&[]);
        let labels: Vec<i64> = (0..*samples).map(|_| classes_of.sample(&mut labels)).collect();
        let index = Index::new(
            (0..*samples).map(|id| id.to_string()).collect(),
            labels.into(),
            (0..*classes).map(|class| class.to_string()).collect(),
            Split::by_choice(*samples, |_| false),
        );
        let store = Moments {
            shape: *shape,
            values: values("random/moments", 0, samples * 2 * shape.iter().product::<usize>()),
        };
        let mut dataset = Self::new(index, Arc::new(store), Codec::Latents { scale: 1.0 }, "random".into());
        for (place, (name, shape)) in fields.iter().enumerate() {
            let count = samples * shape.iter().product::<usize>();
            let values = values("random/fields", place as u64, count);
            dataset.insert_field(
                name,
                Field {
                    shape: shape.clone(),
                    values,
                },
            )?;
        }
        Ok(dataset)
    }
}

/// Moments in memory, without mirrored forms.
#[derive(Debug)]
struct Moments {
    /// `[C, H, W]`.
    shape: [usize; 3],
    /// `[N, 2C, H, W]`.
    values: Vec<f32>,
}

impl SampleStore for Moments {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn sample(&self, id: usize, _flipped: bool) -> Result<Sample, DataError> {
        let length = 2 * self.shape.iter().product::<usize>();
        Ok(Sample::Moments(self.values[id * length..(id + 1) * length].to_vec()))
    }

    fn flipped(&self) -> Result<(), String> {
        Err("random latents have no mirrored forms".into())
    }

    fn resident_bytes(&self) -> u64 {
        (self.values.len() * size_of::<f32>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Clean;

    fn shapes() -> RandomShapes {
        RandomShapes {
            samples: 6,
            shape: [4, 8, 8],
            classes: 3,
            fields: vec![("features".into(), vec![16, 5])],
        }
    }

    #[test]
    fn should_give_batches_of_its_shapes() {
        let dataset = Dataset::random(&shapes(), 1).unwrap();
        let batch = dataset.batch(1, 0, 6).unwrap();
        assert_eq!(batch.shape, [6, 4, 8, 8]);
        assert_eq!(batch.fields["features"].shape, [6, 16, 5]);
        assert!(batch.labels.iter().all(|label| (0..3).contains(label)));
        let Clean::Values(x) = &batch.x else {
            panic!("values of latents")
        };
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
        // A mean and a deviation, times a noise, that are all standard normal.
        assert!(mean.abs() < 0.2 && (square - 2.0).abs() < 0.5, "{mean}, {square}");
    }

    #[test]
    fn should_depend_on_the_seed_alone() {
        let of = |seed| Dataset::random(&shapes(), seed).unwrap().batch(0, 0, 6).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1).x, of(2).x);
    }

    #[test]
    fn should_refuse_no_classes() {
        let none = RandomShapes { classes: 0, ..shapes() };
        assert!(Dataset::random(&none, 0).unwrap_err().to_string().contains("0 classes"));
    }
}
