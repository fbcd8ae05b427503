//! Whether samples are copies of training images, in the pixels themselves.
//!
//! Distances are root mean square differences of pixels on the scale 0 to 1. A sample is a copy if both hold:
//! it lies as near to a training image as only one in twenty held-out images does ([`memorisation`]), and three times nearer than
//! to the second nearest (Yoon et al. 2023, "Diffusion Probabilistic Models Generalize when They Fail to Memorize"). The first
//! alone would call a plain image a copy, since plain images are near to each other; the second alone an odd one out. Held-out
//! images are judged by the same rule: what it calls copies among them is its error.
//!
//! The second nearest is one of another group of near-duplicates: a copy of an image that the data has in five tints is one.

use super::result::Copies;
use crate::data::Dataset;
use crate::error::Error;
use crate::measure::{Features, MeasureError, Nearness, memorisation};
use crate::sample::grid_png;

/// The share of held-out images whose distance a copy stays within.
const QUANTILE: f64 = 0.05;

/// A copy's distance to the nearest training image, in distances to the second nearest, is at most this.
const RATIO: f64 = 1.0 / 3.0;

/// Samples in the picture, and how many stand beside each other.
const SHOWN: usize = 12;
const SHOWN_ACROSS: usize = 3;

/// What was found, in numbers and as a picture.
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
    let failed = |e: MeasureError| Error::Input(format!("copies of training images: {e}"));
    let of = |ids: &[usize]| dataset.to_pixels(&dataset.gather(ids));
    let training = of(dataset.train());
    let rows = |pixels: &[u8]| rows(pixels, dataset.sample_len()).map_err(failed);
    // Enough neighbours that one is of another group.
    let enough = largest_group(dataset) + 1;
    let (samples, held_out) = (rows(pixels)?, rows(&of(dataset.held_out()))?);
    let found = memorisation(&samples, &rows(&training)?, &held_out, QUANTILE, enough).map_err(failed)?;

    let pairs = |near: &[Nearness]| near.iter().map(|near| pair(near, dataset)).collect::<Vec<_>>();
    let (of_samples, of_held_out) = (pairs(&found.samples), pairs(&found.held_out));
    let is_copy = |pair: &Pair| pair.distance <= found.threshold && pair.ratio <= RATIO;
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
    };

    let mut suspects: Vec<usize> = (0..of_samples.len()).collect();
    let suspicion = |&sample: &usize| (!is_copy(&of_samples[sample]), of_samples[sample].ratio);
    suspects.sort_by(|a, b| {
        let (a, b) = (suspicion(a), suspicion(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    suspects.truncate(SHOWN);
    Ok(FoundCopies {
        copies,
        neighbours_png: picture(pixels, &training, &suspects, &of_samples, dataset)?,
    })
}

/// Images of `len` bytes as rows, scaled so that their Euclidean distance is the root mean square difference.
fn rows(pixels: &[u8], len: usize) -> Result<Features, MeasureError> {
    let scale = 255.0 * (len as f64).sqrt();
    Features::new(pixels.iter().map(|&pixel| f64::from(pixel) / scale).collect(), len)
}

/// The most training images that a group has.
fn largest_group(dataset: &Dataset) -> usize {
    let mut sizes = std::collections::HashMap::new();
    let members = dataset.train().iter().map(|&id| dataset.groups()[id]);
    members.for_each(|group| *sizes.entry(group).or_insert(0) += 1);
    sizes.into_values().max().unwrap_or(1)
}

/// The nearest, and the nearest of another group; where all are of one group, the second nearest.
fn pair(near: &Nearness, dataset: &Dataset) -> Pair {
    let group = |place: usize| dataset.groups()[dataset.train()[place]];
    let neighbours = &near.neighbours;
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

/// The middle value; of an even number the mean of the middle two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len().is_multiple_of(2) {
        true => (values[middle - 1] + values[middle]) / 2.0,
        false => values[middle],
    }
}

/// Triples of sample, nearest and second nearest, with an empty place between two that stand beside each other.
fn picture(
    pixels: &[u8],
    training: &[u8],
    suspects: &[usize],
    pairs: &[Pair],
    dataset: &Dataset,
) -> Result<Vec<u8>, Error> {
    let len = dataset.sample_len();
    let image = |set: &[u8], place: usize| set[place * len..(place + 1) * len].to_vec();
    let mut cells: Vec<u8> = Vec::new();
    for (shown, &sample) in suspects.iter().enumerate() {
        if shown % SHOWN_ACROSS > 0 {
            cells.extend(vec![255; len]);
        }
        cells.extend(image(pixels, sample));
        pairs[sample]
            .ids
            .iter()
            .for_each(|&place| cells.extend(image(training, place)));
    }
    grid_png(&cells, dataset.shape()[1], 4 * SHOWN_ACROSS - 1)
}
