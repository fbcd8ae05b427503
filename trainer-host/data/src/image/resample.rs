//! Resizing as Pillow does it: filters that widen when an image shrinks, and arithmetic in whole numbers.
//!
//! Each output value is a weighted mean of the input values under the filter. Weights are 22-bit fractions; columns are filtered
//! first, the result is rounded to 8 bits, then rows are. So results are equal to Pillow's to the bit (`Resample.c`).

use image::RgbImage;

/// Bits of a weight behind the point: 32, less 8 of a pixel and 2 for sums above it.
const FRACTION: u32 = 22;

/// The shape of a filter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filter {
    /// The mean over a pixel.
    Box,
    /// Keys' cubic with a = -1/2.
    Bicubic,
}

impl Filter {
    /// Half of its width, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let distance = x.abs();
        match self {
            Self::Box if x > -0.5 && x <= 0.5 => 1.0,
            Self::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The input pixels that make one output pixel.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Window {
    /// Of the output pixel `place` when `from` pixels become `to`.
    fn new(filter: Filter, from: usize, to: usize, place: usize) -> Self {
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let support = filter.support() * widened;
        let centre = (place as f64 + 0.5) * scale;
        // Conversions cut off, at 0 below.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end)
            .map(|pixel| filter.at((pixel as f64 - centre + 0.5) / widened))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / sum * f64::from(1 << FRACTION)).round() as i32;
        Self {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    }

    fn end(&self) -> usize {
        self.first + self.weights.len()
    }
}

/// Resizes to `scaled` (columns, rows), of which `size` from `corner` on are computed.
pub(super) fn resize(
    image: &RgbImage,
    filter: Filter,
    scaled: [usize; 2],
    corner: [usize; 2],
    size: [usize; 2],
) -> RgbImage {
    let [width, height] = [image.width() as usize, image.height() as usize];
    let windows = |axis: usize, from| -> Vec<Window> {
        (corner[axis]..corner[axis] + size[axis])
            .map(|place| Window::new(filter, from, scaled[axis], place))
            .collect()
    };
    let (columns, rows) = (windows(0, width), windows(1, height));
    let first = rows.first().map_or(0, |window| window.first);
    let end = rows.last().map_or(0, Window::end);
    let needed = &image.as_raw()[first * width * 3..end * width * 3];
    let narrowed = filter_columns(needed, width, &columns);
    let pixels = filter_rows(&narrowed, 3 * columns.len(), first, &rows);
    RgbImage::from_raw(size[0] as u32, size[1] as u32, pixels).expect("rows times columns times channels")
}

fn filter_columns(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut filtered = Vec::with_capacity(pixels.len() / width * windows.len());
    for row in pixels.chunks_exact(3 * width) {
        let (row, _) = row.as_chunks::<3>();
        for window in windows {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[window.first..window.end()].iter().zip(&window.weights) {
                for channel in 0..3 {
                    sums[channel] += i32::from(pixel[channel]) * weight;
                }
            }
            filtered.extend_from_slice(&sums.map(rounded));
        }
    }
    filtered
}

/// `pixels` begins at row `first` of the image, and has `length` values a row.
fn filter_rows(pixels: &[u8], length: usize, first: usize, windows: &[Window]) -> Vec<u8> {
    let mut filtered = Vec::with_capacity(windows.len() * length);
    let mut sums = vec![HALF; length];
    for window in windows {
        sums.fill(HALF);
        let rows = pixels[(window.first - first) * length..].chunks_exact(length);
        for (row, weight) in rows.zip(&window.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        filtered.extend(sums.iter().copied().map(rounded));
    }
    filtered
}

/// One half, which rounds what is cut off afterwards.
const HALF: i32 = 1 << (FRACTION - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}
