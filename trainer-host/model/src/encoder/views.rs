//! Random views of an image: what the features learn to be invariant to.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_distr::StandardNormal;
use sextant_recipe::ViewConfig;

/// A view of an image, and the same view before noise.
pub(super) struct View {
    /// Pixels that the network sees, `[3, side, side]`.
    pub noisy: Vec<f32>,
    /// Pixels that a token shall know of its patch, `[3, side, side]`.
    pub clean: Vec<f32>,
}

/// Draws a view of the standardised image `[3, side, side]`; `white` is the value of its background.
pub(super) fn view(image: &[f32], side: usize, white: f32, config: &ViewConfig, rng: &mut impl Rng) -> View {
    let mut clean = warp(image, side, white, config, rng);
    recolour(&mut clean, side * side, config, rng);
    let noise = rng.sample_iter::<f32, _>(StandardNormal);
    let noisy = clean
        .iter()
        .zip(noise)
        .map(|(value, draw)| value + config.noise * draw)
        .collect();
    View { noisy, clean }
}

/// Crops, rotates and mirrors in one bilinear resampling.
fn warp(image: &[f32], side: usize, white: f32, config: &ViewConfig, rng: &mut impl Rng) -> Vec<f32> {
    let area = rng.random_range(config.area..=1.0f32);
    let aspect = (rng.random_range(-1.0..=1.0f32) * 0.2).exp();
    let (height, width) = ((area * aspect).sqrt().min(1.0), (area / aspect).sqrt().min(1.0));
    let angle = (rng.random_range(-1.0..=1.0f32) * config.rotation).to_radians();
    let mirror = if chance(rng, config.mirror) { -1.0 } else { 1.0 };
    // Centre of the crop, in [-1, 1] where the crop would still fit unrotated.
    let centre_y = rng.random_range(-1.0..=1.0f32) * (1.0 - height);
    let centre_x = rng.random_range(-1.0..=1.0f32) * (1.0 - width);
    let (sin, cos) = angle.sin_cos();

    let half = side as f32 / 2.0;
    let mut warped = vec![0.0; image.len()];
    for row in 0..side {
        for column in 0..side {
            let v = ((row as f32 + 0.5) / half - 1.0) * height;
            let u = ((column as f32 + 0.5) / half - 1.0) * width * mirror;
            let y = (centre_y + v * cos - u * sin + 1.0) * half - 0.5;
            let x = (centre_x + v * sin + u * cos + 1.0) * half - 0.5;
            for (channel, plane) in image.chunks_exact(side * side).enumerate() {
                warped[(channel * side + row) * side + column] = bilinear(plane, side, y, x, white);
            }
        }
    }
    warped
}

/// True with this probability. One draw in every case: `random_bool(1.0)` takes none and would shift what follows.
fn chance(rng: &mut impl Rng, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

/// The plane's value at (y, x), with `white` around it.
fn bilinear(plane: &[f32], side: usize, y: f32, x: f32, white: f32) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (down, right) = (y - top, x - left);
    let at = |row: f32, column: f32| {
        let inside = row >= 0.0 && column >= 0.0 && (row as usize) < side && (column as usize) < side;
        if inside {
            plane[row as usize * side + column as usize]
        } else {
            white
        }
    };
    (at(top, left) * (1.0 - right) + at(top, left + 1.0) * right) * (1.0 - down)
        + (at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right) * down
}

/// Shuffles the channels, greys, and changes gain and offset.
fn recolour(image: &mut [f32], area: usize, config: &ViewConfig, rng: &mut impl Rng) {
    let mut order = [0, 1, 2];
    if chance(rng, config.shuffle) {
        order.shuffle(rng);
    }
    let grey = chance(rng, config.grey);
    let mut jitter = || rng.random_range(-1.0..=1.0f32) * config.colour;
    let curve: [(f32, f32); 3] = std::array::from_fn(|_| (1.0 + jitter(), jitter()));
    for place in 0..area {
        let mut colour = order.map(|channel| image[channel * area + place]);
        if grey {
            colour = [colour.iter().sum::<f32>() / 3.0; 3];
        }
        for (channel, (gain, offset)) in curve.into_iter().enumerate() {
            image[channel * area + place] = colour[channel] * gain + offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_data::Stream;

    const STILL: ViewConfig = ViewConfig {
        area: 1.0,
        rotation: 0.0,
        mirror: 0.0,
        shuffle: 0.0,
        grey: 0.0,
        colour: 0.0,
        noise: 0.0,
    };

    fn ramp() -> Vec<f32> {
        (0..3 * 16).map(|i| i as f32).collect()
    }

    fn draw(config: &ViewConfig) -> View {
        view(&ramp(), 4, 0.0, config, &mut Stream::new(0, "test").at(&[]))
    }

    #[test]
    fn should_mirror_rows() {
        // Aspect is drawn even for whole crops, so a mirrored view is compared with the unmirrored one.
        let (plain, mirrored) = (draw(&STILL).clean, draw(&ViewConfig { mirror: 1.0, ..STILL }).clean);
        for (row, other) in plain.chunks(4).zip(mirrored.chunks(4)) {
            let reversed: Vec<f32> = other.iter().rev().copied().collect();
            assert!(row.iter().zip(&reversed).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn should_make_grey_images_grey() {
        let grey = draw(&ViewConfig { grey: 1.0, ..STILL }).clean;
        assert_eq!(grey[..16], grey[16..32]);
        assert_eq!(grey[..16], grey[32..]);
    }

    #[test]
    fn should_add_noise_to_one_of_the_two_only() {
        let quiet = draw(&STILL);
        assert_eq!(quiet.noisy, quiet.clean);
        let noisy = draw(&ViewConfig { noise: 0.5, ..STILL });
        assert_eq!(noisy.clean, quiet.clean);
        assert_ne!(noisy.noisy, noisy.clean);
    }

    #[test]
    fn should_fill_with_white_beyond_the_border() {
        assert_eq!(bilinear(&[1.0; 4], 2, -5.0, 0.0, 9.0), 9.0);
        assert_eq!(bilinear(&[1.0; 4], 2, 0.0, -0.5, 9.0), 5.0);
    }
}
