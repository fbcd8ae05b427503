//! Tokens as colours: their first three principal components, scaled and turned so that pictures can be compared.
//!
//! - What all images share at a place of the grid (above all the position table) is taken off first: it would be the
//!   largest component of the shallow depths, and shows nothing of an image.
//! - Each component is brought to variance 1. A component beyond the rank stays 0, which is a flat colour.
//! - Components are defined up to sign, and nearly up to a rotation where their variances are close. So the three are
//!   turned together, as a solid body, towards one reference on the same tokens, the images' own colours (orthogonal
//!   Procrustes, Schönemann 1966): features that hold colours look like the image, at every depth, time and network. A
//!   turn loses nothing of the three. Where features hold no colours it is as good as any other.
//! - Of each colour the 2nd and 98th percentile over all fitted tokens become 0 and 255, and what lies beyond is cut off.

use nalgebra::Matrix3;

use sextant_stats::measure::{Features, MeasureError, components};

/// Share of the values below and above which a colour is cut off.
const CUT: f64 = 0.02;

/// Three coordinates a token.
pub type Coordinates = Vec<[f64; 3]>;

/// `tokens` `[images * places, D]`, image by image, less the mean over the images at every place.
pub fn without_places(tokens: &Features, places: usize) -> Result<Features, MeasureError> {
    let image = places * tokens.width();
    let mut mean = vec![0.0; image];
    let images = tokens.values().chunks_exact(image);
    let count = images.len() as f64;
    for values in images {
        mean.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += value / count);
    }
    let values = tokens.values().chunks_exact(image).flat_map(|values| {
        let pairs = values.iter().zip(&mean);
        pairs.map(|(value, mean)| value - mean)
    });
    Features::new(values.collect(), tokens.width())
}

/// The first three principal components of `tokens`, of variance 1 each, and the share of the variance that they hold.
pub fn coordinates(tokens: &Features) -> Result<(Coordinates, f64), MeasureError> {
    let found = components(tokens, tokens.width().min(3))?;
    let scaled = found.coordinates.rows().map(|row| {
        let mut place = [0.0; 3];
        for ((place, value), variance) in place.iter_mut().zip(row).zip(&found.variances) {
            *place = if *variance > 0.0 { value / variance.sqrt() } else { 0.0 };
        }
        place
    });
    Ok((scaled.collect(), found.explained))
}

/// `coordinates` turned (and mirrored, where that fits better) so that they lie as near as they can to `reference`, the
/// same tokens' coordinates elsewhere.
pub fn turned(coordinates: &Coordinates, reference: &Coordinates) -> Coordinates {
    let mut products = Matrix3::zeros();
    for (own, other) in coordinates.iter().zip(reference) {
        products += Matrix3::from_fn(|row, column| own[row] * other[column]);
    }
    let decomposed = products.svd(true, true);
    let (Some(u), Some(v_t)) = (decomposed.u, decomposed.v_t) else {
        return coordinates.clone();
    };
    let turn = u * v_t;
    let turned = coordinates
        .iter()
        .map(|own| [0, 1, 2].map(|column| (0..3).map(|row| own[row] * turn[(row, column)]).sum()));
    turned.collect()
}

/// Red, green and blue of every token.
pub fn colours(coordinates: &Coordinates) -> Vec<[u8; 3]> {
    let ranges = [0, 1, 2].map(|channel| range(coordinates.iter().map(|place| place[channel]).collect()));
    let colour = |place: &[f64; 3]| {
        [0, 1, 2].map(|channel| {
            let [low, high] = ranges[channel];
            match high > low {
                // A float beyond 0..=255 becomes the nearest of the two.
                true => ((place[channel] - low) / (high - low) * 255.0).round() as u8,
                false => 128,
            }
        })
    };
    coordinates.iter().map(colour).collect()
}

/// The least and the greatest value, a share of [`CUT`] on each side left out.
fn range(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return [0.0; 2];
    };
    let cut = (CUT * last as f64).round() as usize;
    [values[cut], values[last - cut]]
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    fn normals(seed: u64, count: usize) -> Vec<f64> {
        let draws = ChaCha8Rng::seed_from_u64(seed);
        draws.sample_iter(StandardNormal).take(count).collect()
    }

    fn points(seed: u64, count: usize) -> Coordinates {
        let values = normals(seed, 3 * count);
        values
            .chunks_exact(3)
            .map(|place| [place[0], place[1], place[2]])
            .collect()
    }

    fn distance(left: &Coordinates, right: &Coordinates) -> f64 {
        let pairs = left.iter().flatten().zip(right.iter().flatten());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn what_images_share_at_a_place_is_taken_off() {
        // Two images of two places, width 1.
        let tokens = Features::new(vec![100.0, 7.0, 102.0, 7.0], 1).unwrap();
        let rest = without_places(&tokens, 2).unwrap();
        assert_eq!(rest.values(), [-1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn coordinates_have_variance_1_whatever_the_scale() {
        let scales = [30.0, 1.0, 0.01, 5.0];
        let values = normals(1, 160).into_iter().enumerate();
        let tokens = Features::new(values.map(|(at, v)| 7.0 + v * scales[at % 4]).collect(), 4).unwrap();
        let (found, explained) = coordinates(&tokens).unwrap();
        assert!(explained > 0.99 && explained < 1.0, "{explained}");
        for channel in 0..3 {
            let variance = found.iter().map(|place| place[channel].powi(2)).sum::<f64>() / 39.0;
            assert!((variance - 1.0).abs() < 1e-9, "{variance}");
        }
    }

    #[test]
    fn what_has_no_variance_is_a_flat_colour() {
        let tokens = Features::new(vec![0.3; 24], 2).unwrap();
        let (found, explained) = coordinates(&tokens).unwrap();
        assert_eq!(explained, 0.0);
        let turned = turned(&found, &points(1, 12));
        assert_eq!(colours(&turned), vec![[128; 3]; 12]);
    }

    #[test]
    fn a_turned_or_mirrored_picture_is_turned_back() {
        let reference = points(2, 50);
        let (sin, cos) = 0.7f64.sin_cos();
        for mirror in [1.0, -1.0] {
            let moved: Coordinates = reference
                .iter()
                .map(|[x, y, z]| [mirror * (cos * x - sin * z), *y, sin * x + cos * z])
                .collect();
            assert!(distance(&moved, &reference) > 1.0);
            assert!(distance(&turned(&moved, &reference), &reference) < 1e-9);
        }
    }

    #[test]
    fn turning_changes_no_distance_and_comes_no_nearer_a_second_time() {
        let (own, reference) = (points(3, 30), points(4, 30));
        let once = turned(&own, &reference);
        let length = |place: &[f64; 3]| place.iter().map(|value| value * value).sum::<f64>();
        for (before, after) in own.iter().zip(&once) {
            assert!((length(before) - length(after)).abs() < 1e-9);
        }
        assert!(distance(&turned(&once, &reference), &once) < 1e-9);
    }

    #[test]
    fn a_sign_that_a_solver_chose_shows_nowhere() {
        let (own, reference) = (points(5, 64), points(6, 64));
        let flipped: Coordinates = own.iter().map(|[x, y, z]| [-z, *y, *x]).collect();
        let shown = [own, flipped].map(|own| colours(&turned(&own, &reference)));
        let pairs = shown[0].iter().flatten().zip(shown[1].iter().flatten());
        assert!(pairs.into_iter().all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn an_outlier_does_not_darken_the_rest() {
        let mut places: Coordinates = (0..=100).map(|at| [f64::from(at), -f64::from(at), 5.0]).collect();
        let plain = colours(&places);
        assert_eq!((plain[2], plain[98]), ([0, 255, 128], [255, 0, 128]));
        assert_eq!((plain[0], plain[50]), ([0, 255, 128], [128, 128, 128]));
        places[100][0] = 1e9;
        assert_eq!(colours(&places), plain);
    }
}
