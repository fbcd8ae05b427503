//! Samples that lie in memory: the embedded emoji.

use super::base::{Sample, SampleStore};
use crate::error::DataError;

/// 8-bit RGB images in memory, without fields.
#[derive(Debug)]
pub(crate) struct InMemory {
    /// `[N, size, size, 3]`.
    pub pixels: Vec<u8>,
    /// Height and width.
    pub size: usize,
}

impl SampleStore for InMemory {
    fn shape(&self) -> [usize; 3] {
        [3, self.size, self.size]
    }

    fn sample(&self, id: usize, flipped: bool) -> Result<Sample, DataError> {
        let length = 3 * self.size * self.size;
        let mut pixels = self.pixels[id * length..(id + 1) * length].to_vec();
        if flipped {
            mirror(&mut pixels, self.size);
        }
        Ok(Sample::Pixels(pixels))
    }

    fn picture_side(&self) -> Result<usize, DataError> {
        Ok(self.size)
    }

    fn resident_bytes(&self) -> u64 {
        self.pixels.len() as u64
    }
}

/// Turns an RGB image `[H, width, 3]` left to right.
pub(super) fn mirror(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(3 * width) {
        for column in 0..width / 2 {
            for channel in 0..3 {
                row.swap(3 * column + channel, 3 * (width - 1 - column) + channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_mirror_pixels_and_keep_their_channels() {
        let mut row = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        mirror(&mut row, 3);
        assert_eq!(row, [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }
}
