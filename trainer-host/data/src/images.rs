//! A set of labelled 8-bit images in memory, before standardisation.

use super::error::DataError;

/// Labelled RGB images with the groups of near-duplicates that a split must keep together.
#[derive(Debug, Clone)]
pub struct Images {
    /// `[N, size, size, 3]`, row-major.
    pub pixels: Vec<u8>,
    /// Height and width.
    pub size: usize,
    /// Class of each image, an index into `class_names`.
    pub labels: Vec<i64>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Finer class of each image, an index into `subclass_names`.
    pub sublabels: Vec<i64>,
    /// Names of the finer classes.
    pub subclass_names: Vec<String>,
    /// Images with the same number are near-duplicates.
    pub groups: Vec<u64>,
    /// A name for each image.
    pub names: Vec<String>,
}

impl Images {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The same images, box-filtered down to `size`: each pixel is the rounded mean of the square it covers.
    ///
    /// `size` must divide the present size.
    pub fn shrunk(mut self, size: usize) -> Result<Self, DataError> {
        if size == 0 || !self.size.is_multiple_of(size) {
            return Err(DataError::Size {
                wanted: size,
                available: (1..=self.size)
                    .filter(|s| self.size.is_multiple_of(*s) && *s >= 8)
                    .collect(),
            });
        }
        if size != self.size {
            self.pixels = box_filter(&self.pixels, self.size, self.size / size);
            self.size = size;
        }
        Ok(self)
    }
}

/// Shrinks `[N, from, from, 3]` by the whole factor `factor`.
fn box_filter(pixels: &[u8], from: usize, factor: usize) -> Vec<u8> {
    let to = from / factor;
    let area = (factor * factor) as u32;
    let mut shrunk = Vec::with_capacity(pixels.len() / (factor * factor));
    for image in pixels.chunks_exact(from * from * 3) {
        for (row, column, channel) in positions(to) {
            let sum: u32 = (0..factor * factor)
                .map(|i| {
                    let (y, x) = (row * factor + i / factor, column * factor + i % factor);
                    u32::from(image[(y * from + x) * 3 + channel])
                })
                .sum();
            shrunk.push(((sum + area / 2) / area) as u8);
        }
    }
    shrunk
}

/// Every (row, column, channel) of a square RGB image, in memory order.
fn positions(size: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..size * size * 3).map(move |i| (i / (size * 3), i / 3 % size, i % 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkerboard() -> Images {
        let pixels = positions(4)
            .map(|(row, column, channel)| ((row + column) % 2 * 100 + channel) as u8)
            .collect();
        Images {
            pixels,
            size: 4,
            labels: vec![0],
            class_names: vec!["board".into()],
            sublabels: vec![0],
            subclass_names: vec!["board".into()],
            groups: vec![0],
            names: vec!["checkerboard".into()],
        }
    }

    #[test]
    fn should_average_each_square_per_channel() {
        let shrunk = checkerboard().shrunk(2).unwrap();
        assert_eq!(shrunk.size, 2);
        assert_eq!(shrunk.pixels, [50, 51, 52].repeat(4));
    }

    #[test]
    fn should_keep_the_images_at_their_own_size() {
        assert_eq!(checkerboard().shrunk(4).unwrap().pixels, checkerboard().pixels);
    }

    #[test]
    fn should_refuse_a_size_that_does_not_divide() {
        assert!(checkerboard().shrunk(3).is_err());
        assert!(checkerboard().shrunk(0).is_err());
        assert!(checkerboard().shrunk(8).is_err());
    }
}
