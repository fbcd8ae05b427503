//! A grid of images as one PNG.

use std::io::Cursor;

use image::{ImageFormat, RgbImage, imageops};

use crate::Error;

/// Pixels between two images, before scaling.
const GAP: u32 = 1;
/// Factor by which a grid is enlarged, so that small images can be looked at as they are.
pub const GRID_SCALE: u32 = 3;

/// Lays out `pixels` (`[N, side, side, 3]`) row by row, `columns` a row, as an encoded PNG.
///
/// # Errors
/// A failure of the encoder.
pub fn grid_png(pixels: &[u8], side: usize, columns: usize) -> Result<Vec<u8>, Error> {
    let images: Vec<&[u8]> = pixels.chunks_exact(side * side * 3).collect();
    let columns = columns.clamp(1, images.len().max(1));
    let rows = images.len().div_ceil(columns);
    let cell = side as u32 + GAP;
    let mut grid = RgbImage::from_pixel(
        columns as u32 * cell + GAP,
        rows as u32 * cell + GAP,
        image::Rgb([255, 255, 255]),
    );
    for (i, image) in images.iter().enumerate() {
        let image = RgbImage::from_raw(side as u32, side as u32, image.to_vec())
            .ok_or_else(|| Error::Pixels("an image of the grid has the wrong size".into()))?;
        let (x, y) = ((i % columns) as u32 * cell + GAP, (i / columns) as u32 * cell + GAP);
        imageops::replace(&mut grid, &image, x.into(), y.into());
    }
    let (width, height) = (grid.width() * GRID_SCALE, grid.height() * GRID_SCALE);
    let grid = imageops::resize(&grid, width, height, imageops::FilterType::Nearest);
    let mut png = Cursor::new(Vec::new());
    grid.write_to(&mut png, ImageFormat::Png)
        .map_err(|e| Error::Pixels(format!("the grid's PNG cannot be encoded: {e}")))?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_row_by_row_with_gaps() {
        let pixels: Vec<u8> = (0..3u8).flat_map(|i| [i * 100; 2 * 2 * 3]).collect();
        let png = grid_png(&pixels, 2, 2).unwrap();
        let grid = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(grid.dimensions(), (7 * GRID_SCALE, 7 * GRID_SCALE));
        let at = |x: u32, y: u32| grid.get_pixel(x * GRID_SCALE, y * GRID_SCALE).0[0];
        assert_eq!(
            [at(0, 0), at(1, 1), at(4, 1), at(1, 4), at(4, 4)],
            [255, 0, 100, 200, 255]
        );
    }
}
