//! Search for copies of training images among samples, in the pixels themselves.
//!
//! Distances are root mean square differences of pixels on the scale 0 to 1. A sample is a copy if both hold:
//! it lies as near to a training image as only one in twenty held-out images does ([`Originals`]), and three times nearer than
//! to the second nearest (Yoon et al. 2023, "Diffusion Probabilistic Models Generalize when They Fail to Memorize"). The first
//! alone would call a plain image a copy, since plain images are near to each other; the second alone an odd one out. Held-out
//! images are judged by the same rule: what it calls copies among them is its error.
//!
//! The second nearest is one of another group of near-duplicates: a copy of an image that the data has in five tints is one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use crate::Error;
use sextant_data::Dataset;
use sextant_records::evaluation::{Copies, CopyRule};
use sextant_records::median;
use sextant_stats::measure::{Features, MeasureError, Neighbour, Originals};
use sextant_train::sample::grid_png;

/// The share of held-out images whose distance a copy stays within.
const QUANTILE: f64 = 0.05;

/// A copy's distance to the nearest training image, in distances to the second nearest, is at most this.
const RATIO: f64 = 1.0 / 3.0;

/// Samples in the picture, and how many stand beside each other.
const SHOWN: usize = 12;
const SHOWN_ACROSS: usize = 3;

/// Findings, in numbers and as a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundCopies {
    /// The numbers.
    pub copies: Copies,
    /// The dozen samples with the smallest ratio, copies first, each beside its nearest and its second nearest training image,
    /// row by row; as PNG.
    pub neighbours_png: Vec<u8>,
}

/// A row's nearest training image and the nearest of another group.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    /// Places in the training part.
    ids: [usize; 2],
    distance: f64,
    ratio: f64,
}

/// Looks for training images in samples, RGB bytes `[N, side, side, 3]` of the data's size, drawn at `scale`.
///
/// # Errors
/// Bytes that are no whole images, fewer than 19 held-out images, a training part of one image only.
pub fn copies(pixels: &[u8], scale: f64, dataset: &Dataset) -> Result<FoundCopies, Error> {
    copies_in(&|each| each(pixels), scale, dataset)
}

/// Hands over samples in order, some at a time; may be asked more than once.
pub type Images<'a> = dyn Fn(&mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> + 'a;

/// [`copies`] among samples that need not be in memory all at once.
///
/// # Errors
/// As there, and those of `images`.
pub fn copies_in(images: &Images, scale: f64, dataset: &Dataset) -> Result<FoundCopies, Error> {
    let failed = |e: MeasureError| Error::Input(format!("copies of training images: {e}"));
    let of = |ids: &[usize]| dataset.shown(ids);
    let training = of(dataset.train())?;
    let len = 3 * dataset.picture_side()?.pow(2);
    let rows = |pixels: &[u8]| rows(pixels, len).map_err(failed);
    // Enough neighbours that one is of another group.
    let enough = largest_group(dataset) + 1;
    let (training_rows, held_out) = (rows(&training)?, rows(&of(dataset.held_out())?)?);
    let pairs = |near: &[Vec<Neighbour>]| near.iter().map(|near| pair(near, dataset)).collect::<Vec<_>>();
    let originals = Originals::new(&training_rows, &held_out, QUANTILE, enough).map_err(failed)?;
    let of_held_out = pairs(&originals.held_out);
    let mut of_samples = Vec::new();
    images(&mut |pixels| {
        of_samples.extend(pairs(&originals.near(&rows(pixels)?)));
        Ok(())
    })?;
    let rule = CopyRule {
        distance: originals.threshold,
        quantile: QUANTILE,
        ratio: RATIO,
    };
    let is_copy = |pair: &Pair| pair.distance <= rule.distance && pair.ratio <= rule.ratio;
    let share = |pairs: &[Pair]| pairs.iter().filter(|pair| is_copy(pair)).count() as f64 / pairs.len() as f64;
    let copies = Copies {
        samples: of_samples.len(),
        scale,
        fraction: share(&of_samples),
        held_out_fraction: share(&of_held_out),
        distance: median(of_samples.iter().map(|pair| pair.distance)),
        held_out_distance: median(of_held_out.iter().map(|pair| pair.distance)),
        ratio: median(of_samples.iter().map(|pair| pair.ratio)),
        held_out_ratio: median(of_held_out.iter().map(|pair| pair.ratio)),
        rule,
    };

    let mut suspects: Vec<usize> = (0..of_samples.len()).collect();
    let suspicion = |&sample: &usize| (!is_copy(&of_samples[sample]), of_samples[sample].ratio);
    // Ratios are at least 0 and no NaN.
    suspects.sort_by(|a, b| suspicion(a).partial_cmp(&suspicion(b)).unwrap_or(Ordering::Equal));
    suspects.truncate(SHOWN);
    let (mut shown, mut first) = (BTreeMap::new(), 0);
    images(&mut |pixels| {
        let images = (first..).zip(pixels.chunks_exact(len));
        let suspect = images.filter(|(sample, _)| suspects.contains(sample));
        shown.extend(suspect.map(|(sample, image)| (sample, image.to_vec())));
        first += pixels.len() / len;
        Ok(())
    })?;
    Ok(FoundCopies {
        copies,
        neighbours_png: picture(&shown, &training, &suspects, &of_samples, dataset)?,
    })
}

/// Images of `len` bytes as rows, scaled so that their Euclidean distance is the root mean square difference.
fn rows(pixels: &[u8], len: usize) -> Result<Features, MeasureError> {
    let scale = 255.0 * (len as f64).sqrt();
    Features::new(pixels.iter().map(|&pixel| f64::from(pixel) / scale).collect(), len)
}

/// The most training images that a group has.
fn largest_group(dataset: &Dataset) -> usize {
    let mut sizes = HashMap::new();
    let members = dataset.train().iter().map(|&id| dataset.group(id));
    members.for_each(|group| *sizes.entry(group).or_insert(0) += 1);
    sizes.into_values().max().unwrap_or(1)
}

/// The nearest, and the nearest of another group; where all are of one group, the second nearest.
fn pair(neighbours: &[Neighbour], dataset: &Dataset) -> Pair {
    let group = |place: usize| dataset.group(dataset.train()[place]);
    let first = neighbours[0];
    let other = neighbours.iter().find(|other| group(other.index) != group(first.index));
    let second = *other.unwrap_or(&neighbours[1]);
    Pair {
        ids: [first.index, second.index],
        distance: first.distance,
        ratio: if second.distance > 0.0 {
            first.distance / second.distance
        } else {
            1.0
        },
    }
}

/// Triples of sample, nearest and second nearest, with an empty place between two that stand beside each other.
fn picture(
    samples: &BTreeMap<usize, Vec<u8>>,
    training: &[u8],
    suspects: &[usize],
    pairs: &[Pair],
    dataset: &Dataset,
) -> Result<Vec<u8>, Error> {
    let side = dataset.picture_side()?;
    let len = 3 * side.pow(2);
    let original = |place: usize| &training[place * len..(place + 1) * len];
    let mut cells: Vec<u8> = Vec::new();
    for (shown, &sample) in suspects.iter().enumerate() {
        if shown % SHOWN_ACROSS > 0 {
            cells.extend(vec![255; len]);
        }
        cells.extend(&samples[&sample]);
        pairs[sample]
            .ids
            .iter()
            .for_each(|&place| cells.extend(original(place)));
    }
    Ok(grid_png(&cells, side, 4 * SHOWN_ACROSS - 1)?)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::fixture::{bytes, emoji_of};
    use super::*;
    use sextant_data::Stream;
    use sextant_train::sample::GRID_SCALE;

    fn measured(samples: &[u8], dataset: &Dataset) -> Copies {
        copies(samples, 1.5, dataset).unwrap().copies
    }

    /// Each pixel moved by at most `most`.
    fn shaken(mut pixels: Vec<u8>, most: i16) -> Vec<u8> {
        let mut rng = Stream::new(0, "test/shaken").at(&[]);
        for pixel in &mut pixels {
            *pixel = (i16::from(*pixel) + rng.random_range(-most..=most)).clamp(0, 255) as u8;
        }
        pixels
    }

    #[test]
    fn planted_copies_are_found_among_new_images() {
        let dataset = emoji_of(16);
        // Members of the largest group of near-duplicates are copies as others are.
        let mut sizes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for &id in dataset.train() {
            sizes.entry(dataset.group(id)).or_default().push(id);
        }
        let largest = sizes.into_values().max_by_key(Vec::len).unwrap();
        let mut copied = largest[..4].to_vec();
        copied.extend(dataset.train().iter().step_by(100).take(16));
        let new = &dataset.held_out()[..60];
        let samples = [
            bytes(&dataset, new),
            bytes(&dataset, &copied),
            shaken(bytes(&dataset, &copied), 4),
        ]
        .concat();

        let found = measured(&samples, &dataset);
        assert_eq!((found.samples, found.scale), (100, 1.5));
        assert!((0.40..=0.42).contains(&found.fraction), "{found:?}");
        let rule = found.rule;
        assert_eq!((rule.quantile, rule.ratio), (QUANTILE, RATIO));
        assert!(
            0.0 < rule.distance && rule.distance < found.held_out_distance,
            "{found:?}"
        );
        let only_new = measured(&bytes(&dataset, new), &dataset);
        assert!(only_new.fraction <= 0.02, "{only_new:?}");
        assert!(only_new.held_out_fraction <= 0.02, "{only_new:?}");
        assert!(
            found.distance < only_new.distance && found.ratio < only_new.ratio,
            "{found:?} {only_new:?}"
        );
    }

    #[test]
    fn plain_images_are_near_to_the_data_and_no_copies() {
        let dataset = emoji_of(16);
        let plain = [180u8, 200, 220, 240].map(|grey| vec![grey; 16 * 16 * 3]).concat();
        assert_eq!(measured(&plain, &dataset).fraction, 0.0);
    }

    #[test]
    fn distances_are_of_pixels_from_0_to_1() {
        let dataset = emoji_of(16);
        let sample = bytes(&dataset, &dataset.train()[500..501]);
        // Every value a fifth of the range away.
        let beside = |value: &u8| if *value > 127 { *value - 51 } else { *value + 51 };
        let near = measured(&sample.iter().map(beside).collect::<Vec<_>>(), &dataset);
        assert!(near.distance <= 0.2 + 1e-12, "{near:?}");
        let exact = measured(&sample, &dataset);
        assert_eq!((exact.distance, exact.ratio, exact.fraction), (0.0, 0.0, 1.0));
    }

    #[test]
    fn the_picture_shows_the_most_suspicious_beside_their_neighbours() {
        let dataset = emoji_of(16);
        let original = dataset.train()[700];
        let samples = [bytes(&dataset, &dataset.held_out()[..14]), bytes(&dataset, &[original])].concat();
        let png = copies(&samples, 1.0, &dataset).unwrap().neighbours_png;
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        let size = (11 * 17 + 1, 4 * 17 + 1);
        assert_eq!(picture.dimensions(), (size.0 * GRID_SCALE, size.1 * GRID_SCALE));
        let cell = |column: u32| -> Vec<u8> {
            let place = |x: u32, y: u32| [column * 17 + 1 + x, 1 + y].map(|at| at * GRID_SCALE);
            let at = |x, y| picture.get_pixel(place(x, y)[0], place(x, y)[1]).0;
            (0..16).flat_map(|y| (0..16).flat_map(move |x| at(x, y))).collect()
        };
        assert_eq!(cell(0), bytes(&dataset, &[original]));
        assert_eq!(cell(1), cell(0));
        assert_ne!(cell(2), cell(0));
        assert!(cell(3).iter().all(|&value| value == 255));
        let one = copies(&samples[..16 * 16 * 3], 1.0, &dataset).unwrap().neighbours_png;
        assert!(image::load_from_memory(&one).is_ok());
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let dataset = emoji_of(16);
        for bytes in [0, 5] {
            let message = copies(&vec![0; bytes], 1.0, &dataset).unwrap_err().to_string();
            assert!(message.contains("copies of training images"), "{message}");
        }
    }
}
