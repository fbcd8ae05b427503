//! Images as networks around the student see them.

/// 8-bit RGB images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// Height and width.
    pub side: usize,
    /// `[N, side, side, 3]`, row-major.
    pub pixels: Vec<u8>,
}

impl Pictures {
    /// Number of images N.
    pub fn len(&self) -> usize {
        self.pixels.len() / (3 * self.side * self.side).max(1)
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The pixels by channel, 0 to 255: `[N, 3, side, side]`.
    pub fn planes(&self) -> Vec<f32> {
        let mut planes = Vec::with_capacity(self.pixels.len());
        for image in self.pixels.chunks_exact(3 * self.side * self.side) {
            for channel in 0..3 {
                planes.extend(image[channel..].iter().step_by(3).map(|&pixel| f32::from(pixel)));
            }
        }
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_take_channels_apart_image_by_image() {
        let pictures = Pictures {
            side: 1,
            pixels: vec![1, 2, 3, 4, 5, 6],
        };
        assert_eq!(pictures.planes(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let wide = Pictures {
            side: 2,
            pixels: (0..12).collect(),
        };
        assert_eq!(wide.len(), 1);
        assert_eq!(wide.planes()[..5], [0.0, 3.0, 6.0, 9.0, 1.0]);
    }
}
