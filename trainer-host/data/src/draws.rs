//! The random numbers of a training step, each a function of (seed, step, sample).

use super::stream::Stream;
use rand::Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// Samples that one task draws for: fewer are not worth a thread.
const TASK: usize = 8;

/// Raw draws for the samples of a batch, in the order of its ids.
///
/// Raw, because what they become (a time, a noised image, a dropped label) is the recipe's affair: so recipes that
/// differ there still share their randomness. Copies of one image in a batch share theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// Uniform on [0, 1): for a time that is drawn uniformly. `[B]`
    pub uniform: Vec<f64>,
    /// Standard normal: for a time that is drawn log-normally. `[B]`
    pub normal: Vec<f64>,
    /// Standard normal, `[B, C * H * W]`.
    pub noise: Vec<f32>,
    /// Uniform on [0, 1): the label is dropped where it is below the dropout rate. `[B]`
    pub drop: Vec<f64>,
}

impl Draws {
    /// The draws of `step` in the run `seed` for the images `ids`, with `noise` values of noise a sample.
    pub fn new(seed: u64, step: u64, ids: &[u64], noise: usize) -> Self {
        let [time, pixels, label] = ["draws/time", "draws/noise", "draws/drop"].map(|domain| Stream::new(seed, domain));
        let mut draws = Self {
            uniform: Vec::with_capacity(ids.len()),
            normal: Vec::with_capacity(ids.len()),
            noise: vec![0.0; ids.len() * noise],
            drop: Vec::with_capacity(ids.len()),
        };
        for &id in ids {
            let mut time = time.at(&[step, id]);
            draws.uniform.push(time.random());
            draws.normal.push(time.sample(StandardNormal));
            draws.drop.push(label.at(&[step, id]).random());
        }
        // Most of the work of a batch of latents.
        let rows = draws.noise.par_chunks_mut(noise.max(1)).with_min_len(TASK);
        rows.zip(ids).for_each(|(row, &id)| {
            let normals = pixels.at(&[step, id]).sample_iter::<f32, _>(StandardNormal);
            row.iter_mut().zip(normals).for_each(|(value, normal)| *value = normal);
        });
        draws
    }
}

/// The draws of a step that choose the form in which a training sees a sample, each a function of (seed, step, sample):
/// mirrored or not, and which point of its posterior.
#[derive(Debug, Clone)]
pub struct FormDraws {
    flip: Stream,
    posterior: Stream,
    step: u64,
}

impl FormDraws {
    /// The draws of `step` in the run `seed`.
    pub fn new(seed: u64, step: u64) -> Self {
        Self {
            flip: Stream::new(seed, "draws/flip"),
            posterior: Stream::new(seed, "draws/posterior"),
            step,
        }
    }

    /// True if sample `id` is mirrored, as half of all are.
    pub fn flip(&self, id: usize) -> bool {
        self.flip.at(&[self.step, id as u64]).random()
    }

    /// The standard normal values that choose a point of the posterior of sample `id`.
    pub fn posterior(&self, id: usize) -> impl Iterator<Item = f32> + use<> {
        self.posterior
            .at(&[self.step, id as u64])
            .sample_iter::<f32, _>(StandardNormal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn should_have_the_distributions_it_names() {
        let ids: Vec<u64> = (0..4000).collect();
        let draws = Draws::new(3, 11, &ids, 16);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let noise: Vec<f64> = draws.noise.iter().map(|&v| f64::from(v)).collect();
        let square = |values: &[f64]| mean(&values.iter().map(|v| v * v).collect::<Vec<_>>());
        assert!((mean(&draws.uniform) - 0.5).abs() < 0.02 && (mean(&draws.drop) - 0.5).abs() < 0.02);
        assert!(mean(&draws.normal).abs() < 0.06 && (square(&draws.normal) - 1.0).abs() < 0.1);
        assert!(mean(&noise).abs() < 0.02 && (square(&noise) - 1.0).abs() < 0.03);
        assert!(draws.uniform.iter().chain(&draws.drop).all(|u| (0.0..1.0).contains(u)));
    }

    #[test]
    fn should_differ_in_seed_and_step() {
        let draws = Draws::new(1, 1, &[5], 4);
        assert_ne!(draws, Draws::new(2, 1, &[5], 4));
        assert_ne!(draws, Draws::new(1, 2, &[5], 4));
        assert_ne!(draws.uniform, draws.drop);
    }

    proptest! {
        #[test]
        fn should_permute_with_the_batch(
            ids in proptest::collection::vec(0u64..2000, 1..12).prop_shuffle(),
            seed: u64, step in 0u64..1_000_000, length in 0usize..9,
        ) {
            let together = Draws::new(seed, step, &ids, length);
            for (row, &id) in ids.iter().enumerate() {
                let alone = Draws::new(seed, step, &[id], length);
                prop_assert_eq!(together.uniform[row], alone.uniform[0]);
                prop_assert_eq!(together.normal[row], alone.normal[0]);
                prop_assert_eq!(together.drop[row], alone.drop[0]);
                prop_assert_eq!(&together.noise[row * length..(row + 1) * length], &alone.noise);
            }
        }

        #[test]
        fn should_not_depend_on_how_much_noise_is_asked_for(id: u64, step: u64, length in 1usize..20) {
            let short = Draws::new(0, step, &[id], length);
            let long = Draws::new(0, step, &[id], 20);
            prop_assert_eq!(short.drop, long.drop);
            prop_assert_eq!(&short.noise, &long.noise[..length]);
        }
    }
}
