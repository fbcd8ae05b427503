//! The square that a training sees of an image.

use image::RgbImage;

use super::resample::{Filter, resize};

/// Scales an image so that its shorter side is `size`, and cuts out the middle: `size` x `size`.
///
/// Bit for bit what `center_crop_arr` of guided-diffusion does with Pillow: while the shorter side is at least twice `size`, both are
/// halved with a box filter; then the image is resized with the bicubic filter, and cropped. Images that are too small are enlarged. A
/// `size` of 0 counts as 1.
pub fn centre_crop(mut image: RgbImage, size: u32) -> RgbImage {
    let size = size.max(1) as usize;
    let sides = |image: &RgbImage| [image.width() as usize, image.height() as usize];
    while sides(&image).iter().all(|&side| side >= 2 * size) {
        let half = sides(&image).map(|side| side / 2);
        image = resize(&image, Filter::Box, half, [0, 0], half);
    }
    let sides = sides(&image);
    let scale = size as f64 / sides[0].min(sides[1]) as f64;
    // Python rounds halves to even.
    let scaled = sides.map(|side| (side as f64 * scale).round_ties_even() as usize);
    let corner = scaled.map(|side| (side - size) / 2);
    // What is cut off is not computed: a strip of one pixel's width would become huge.
    resize(&image, Filter::Bicubic, scaled, corner, [size, size])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::decode;

    macro_rules! fixture {
        ($name:literal) => {
            decode(include_bytes!(concat!(
                "../../../../tests/fixtures/images/",
                $name
            )))
            .unwrap()
        };
    }

    #[test]
    fn crops_are_those_of_the_published_preprocessing() {
        let image = fixture!("crop.png");
        assert_eq!(image.dimensions(), (151, 98));
        let expected = [
            // Halved twice.
            (16, fixture!("crop.16.png")),
            (31, fixture!("crop.31.png")),
            // Halved to this size, so that nothing is left to resize.
            (49, fixture!("crop.49.png")),
            // Enlarged.
            (110, fixture!("crop.110.png")),
        ];
        for (size, expected) in expected {
            assert!(centre_crop(image.clone(), size) == expected, "size {size}");
        }
    }

    #[test]
    fn a_strip_of_one_pixel_fills_the_square() {
        let strip = RgbImage::from_fn(60_000, 1, |x, _| image::Rgb([if x < 30_000 { 0 } else { 200 }; 3]));
        let square = centre_crop(strip, 64);
        assert_eq!(square.dimensions(), (64, 64));
        let [dark, bright] = [2, 61].map(|x| square.get_pixel(x, 9).0);
        assert!(
            dark.iter().all(|&value| value < 10) && bright.iter().all(|&value| value > 190),
            "{dark:?} {bright:?}"
        );
        assert_eq!(centre_crop(RgbImage::new(1, 1), 8).dimensions(), (8, 8));
    }
}
