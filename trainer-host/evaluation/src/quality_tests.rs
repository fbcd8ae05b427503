//! Scores of real images, spoilt images and repeated images, by both shipped judges.

use burn::tensor::Device;
use rand::Rng;
use rand_distr::StandardNormal;

use super::*;
use crate::fixture::{bytes, emoji_of};
use crate::judge;
use sextant_data::Stream;

const SIDE: usize = 16;
const IMAGE: usize = SIDE * SIDE * 3;

fn judges(dataset: &Dataset) -> Vec<Judge> {
    judge::load(&["embedded".into(), "untrained".into()], dataset, &Device::flex()).unwrap()
}

fn of<'j>(judge: &'j Judge, dataset: &Dataset, cache: &Cache) -> Reference<'j> {
    let look = |ids: &[usize]| Ok(judge.features_of(dataset, ids)?);
    Reference::of(judge, dataset, &look, cache).unwrap()
}

fn reference<'j>(judge: &'j Judge, dataset: &Dataset) -> Reference<'j> {
    of(judge, dataset, &Cache(None))
}

impl Reference<'_> {
    /// Scores of samples that the judge is shown.
    pub(crate) fn quality(&self, pixels: &[u8], scale: f64) -> Result<Quality, Error> {
        self.score(&self.judge.features(pixels, SIDE)?, scale)
    }
}

/// The floor of as many samples, which the data has.
fn floor(reference: &Reference, samples: usize) -> Quality {
    reference.floor(samples).unwrap().unwrap()
}

/// The kernel distance, its error, precision and recall.
fn of_rows(scores: &Scores) -> [f64; 4] {
    [scores.kernel, scores.kernel_error, scores.precision, scores.recall].map(Option::unwrap)
}

/// `pixels` with normal noise, in units of the whole range.
fn noisy(pixels: &[u8], deviation: f32) -> Vec<u8> {
    let mut rng = Stream::new(0, "test/noise").at(&[]);
    let mut spoil = |pixel: u8| f32::from(pixel) + 255.0 * deviation * rng.sample::<f32, _>(StandardNormal);
    let spoilt = pixels.iter().map(|&pixel| spoil(pixel).round().clamp(0.0, 255.0) as u8);
    spoilt.collect()
}

#[test]
fn the_data_itself_is_at_distance_0_and_covers_itself() {
    let dataset = emoji_of(SIDE);
    for judge in &judges(&dataset) {
        let real = bytes(&dataset, dataset.train());
        let scores = reference(judge, &dataset).quality(&real, 1.0).unwrap().scores;
        assert!(scores.frechet < 1e-8, "{scores:?}");
        // Unbiased, so that it is below 0 where the sets are not only of one law but equal.
        let [kernel, _, precision, recall] = of_rows(&scores);
        assert!(kernel < 0.0, "{scores:?}");
        assert_eq!((precision, recall), (1.0, 1.0));
    }
}

#[test]
fn noise_raises_every_distance_and_lowers_recall() {
    let dataset = emoji_of(SIDE);
    let real = bytes(&dataset, &dataset.held_out()[..360]);
    for judge in &judges(&dataset) {
        let reference = reference(judge, &dataset);
        let score = |deviation| reference.quality(&noisy(&real, deviation), 1.0).unwrap().scores;
        let (floor, little, much) = (floor(&reference, 360).scores, score(0.1), score(0.3));
        let said = format!("{floor:?} {little:?} {much:?}");
        let [kernel, error, _, recall] = of_rows(&floor);
        let [little_kernel, ..] = of_rows(&little);
        let [much_kernel, much_error, _, much_recall] = of_rows(&much);
        assert!(kernel.abs() < 3.0 * error, "{said}");
        assert!(little.frechet > 1.5 * floor.frechet, "{said}");
        assert!(
            much.frechet > 5.0 * floor.frechet && much.frechet > 2.0 * little.frechet,
            "{said}"
        );
        assert!(little_kernel > kernel + 2.0 * error, "{said}");
        assert!(
            much_kernel > 5.0 * much_error && much_kernel > 2.0 * little_kernel,
            "{said}"
        );
        assert!(much_recall < recall - 0.3, "{said}");
    }
}

#[test]
fn repeated_images_are_as_precise_and_cover_little() {
    let dataset = emoji_of(SIDE);
    // Forty real images, nine times each.
    let few = bytes(&dataset, &dataset.held_out()[..40]).repeat(9);
    for judge in &judges(&dataset) {
        let reference = reference(judge, &dataset);
        let floor = floor(&reference, 360).scores;
        let collapsed = reference.quality(&few, 1.0).unwrap().scores;
        let [_, _, precision, recall] = of_rows(&collapsed);
        assert!(precision > of_rows(&floor)[2] - 0.1, "{collapsed:?}");
        assert!(recall < 0.1, "{collapsed:?}");
        assert!(collapsed.frechet > 5.0 * floor.frechet, "{collapsed:?}");
    }
}

#[test]
fn the_floor_is_the_score_of_held_out_images_as_far_as_they_go() {
    let dataset = emoji_of(SIDE);
    let judges = judges(&dataset);
    let reference = reference(&judges[1], &dataset);
    let held_out = dataset.held_out().len();
    let found = floor(&reference, held_out);
    let scored = reference.quality(&bytes(&dataset, dataset.held_out()), 1.0).unwrap();
    assert_eq!((found.samples, scored.samples), (held_out, held_out));
    assert!((found.scores.frechet - scored.scores.frechet).abs() < 1e-9);
    let [of_floor, of_scored] = [&found, &scored].map(|quality| of_rows(&quality.scores));
    assert!((of_floor[0] - of_scored[0]).abs() < 1e-9);
    assert_eq!(of_floor[2], of_scored[2]);
    // With more, training images against the rest of them, and at most half.
    assert_eq!(floor(&reference, held_out + 1).samples, held_out + 1);
    let most = floor(&reference, 1_000_000);
    assert_eq!(most.samples, dataset.train().len() / 2);
    let [kernel, error, ..] = of_rows(&most.scores);
    assert!(kernel.abs() < 3.0 * error, "{most:?}");
}

#[test]
fn the_kernel_alone_is_the_kernel_of_all_scores() {
    let dataset = emoji_of(SIDE);
    let judges = judges(&dataset);
    let references = judges.iter().map(|judge| reference(judge, &dataset));
    let samples = noisy(&bytes(&dataset, &dataset.held_out()[..20]), 0.2);
    for reference in references {
        let quality = reference.quality(&samples, 2.0).unwrap();
        let seen = reference.judge.features(&samples, SIDE).unwrap();
        let alone = reference.kernel(&seen).unwrap().unwrap();
        assert_eq!(quality.judge, reference.judge.name());
        assert_eq!((quality.scale, quality.samples), (2.0, 20));
        assert_eq!(
            (quality.scores.kernel, quality.scores.kernel_error),
            (Some(alone.value), Some(alone.standard_error))
        );
    }
}

#[test]
fn more_samples_than_data_and_too_few_are_both_answered() {
    let dataset = emoji_of(SIDE);
    let judges = judges(&dataset);
    let reference = reference(&judges[1], &dataset);
    let many = noisy(&bytes(&dataset, dataset.train()).repeat(2), 0.1);
    let found = reference.quality(&many, 1.0).unwrap();
    assert_eq!(found.samples, 2 * dataset.train().len());
    assert!((0.5..=1.0).contains(&of_rows(&found.scores)[2]), "{found:?}");
    let refused = reference.quality(&many[..2 * IMAGE], 1.0).unwrap_err().to_string();
    assert!(
        refused.contains("untrained") && refused.contains("at least 3"),
        "{refused}"
    );
    let ragged = reference.quality(&many[..IMAGE + 1], 1.0).unwrap_err().to_string();
    assert!(ragged.contains("16 x 16"), "{ragged}");
}

#[test]
fn what_is_cached_is_the_same_to_the_bit_and_is_used() {
    let dataset = emoji_of(SIDE);
    let judges = judges(&dataset);
    let judge = &judges[1];
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache(Some(folder.path().into()));
    let of = |cache: &Cache| of(judge, &dataset, cache);
    let fresh = of(&cache);
    let again = of(&cache);
    assert_eq!((&fresh.real, &fresh.held_out), (&again.real, &again.held_out));

    // Another reference under this one's key is taken for it: nothing is computed where a file is.
    let key = key(judge, &dataset);
    let keep = |training: &Features| {
        let held_out = rows(fresh.held_out.as_ref().unwrap());
        cache.write(
            &key,
            &[("training".into(), rows(training)), ("held_out".into(), held_out)].into(),
        );
    };
    let noise = noisy(&bytes(&dataset, dataset.train()), 0.2);
    let forged = judge.features(&noise, SIDE).unwrap();
    keep(&forged);
    assert_eq!(of(&cache).real.features, Some(forged));

    // A damaged file is not, nor one of other shapes; and it is put right.
    let file = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(of(&cache).real, fresh.real);
    keep(&judge.features_of(&dataset, &dataset.train()[1..]).unwrap());
    assert_eq!(of(&cache).real, fresh.real);
    assert_eq!(of(&cache).real, fresh.real);
}

#[test]
fn another_judge_or_other_data_has_another_key() {
    let (dataset, large) = (emoji_of(SIDE), emoji_of(32));
    let judges = judges(&dataset);
    let keys = [
        key(&judges[0], &dataset),
        key(&judges[1], &dataset),
        key(&judges[1], &large),
    ];
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[test]
fn labels_come_as_often_as_in_the_data_from_the_first_on() {
    let dataset = emoji_of(SIDE);
    let counts = dataset.train_counts();
    let total: usize = counts.iter().sum();
    for count in [0, 1, 9, 100, 360, total] {
        let labels = labels_as_in_data(&dataset, count);
        assert_eq!(labels.len(), count);
        for length in [count / 3, count] {
            for (class, &of_class) in counts.iter().enumerate() {
                let found = labels[..length].iter().filter(|&&label| label == class).count();
                let ideal = (of_class * length) as f64 / total as f64;
                assert!(
                    (found as f64 - ideal).abs() < 1.6,
                    "{class} of {length}: {found}, {ideal}"
                );
            }
        }
    }
    let all = labels_as_in_data(&dataset, total);
    let found: Vec<usize> = (0..counts.len())
        .map(|c| all.iter().filter(|&&label| label == c).count())
        .collect();
    assert_eq!(found, counts);
}

#[test]
fn what_is_left_goes_to_the_largest_remainders() {
    // 10 in proportion 5 : 3 : 1: 5.56, 3.33, 1.11.
    assert_eq!(quotas(&[5, 3, 1], 10), [6, 3, 1]);
    assert_eq!(quotas(&[1, 1, 1], 2), [1, 1, 0]);
    assert_eq!(quotas(&[0, 4], 3), [0, 3]);
}
