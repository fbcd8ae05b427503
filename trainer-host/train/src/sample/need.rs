//! The memory that samples need at least, known before they are drawn.

use serde::Serialize;
use sextant_recipe::Recipe;

use super::GRID_SCALE;
use crate::Error;
use crate::memory::Gigabytes;

/// Bytes that the images of a setting need at the same time, at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SamplesNeed {
    /// The key of the recipe, or the option.
    pub key: &'static str,
    /// Its value.
    pub count: usize,
    /// Bytes of one image of them.
    pub image: u64,
}

impl SamplesNeed {
    /// A grid of so many images of `[channels, side, side]`.
    pub fn of_grid(key: &'static str, count: usize, shape: [usize; 3]) -> Self {
        // The images, the grid, and the enlarged one beside it.
        let image = pixels(shape) * (2 + u64::from(GRID_SCALE * GRID_SCALE));
        Self { key, count, image }
    }

    /// All that a recipe draws, images of `[channels, side, side]`.
    pub fn of(recipe: &Recipe, shape: [usize; 3]) -> Vec<Self> {
        let pixels = pixels(shape);
        // The search for copies compares them as numbers of 8 bytes.
        let compared = pixels * (1 + 8);
        let need = |key, count, image| Self { key, count, image };
        let evaluation = &recipe.evaluation;
        let mut needs = vec![Self::of_grid("evaluation.samples", evaluation.samples, shape)];
        if let Some(quality) = &evaluation.quality {
            needs.push(need("evaluation.quality.samples", quality.samples, compared));
            needs.push(need("evaluation.quality.sweep_samples", quality.sweep_samples, pixels));
        }
        needs
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.image.saturating_mul(self.count as u64)
    }

    /// Compares them with the memory that is free.
    ///
    /// # Errors
    /// Images that do not fit; says how many would.
    pub fn check(&self, free: u64) -> Result<(), Error> {
        match self.bytes() <= free {
            true => Ok(()),
            false => Err(Error::SamplesMemory {
                key: self.key,
                count: self.count,
                needed: Gigabytes(self.bytes()).to_string(),
                available: Gigabytes(free).to_string(),
                most: free / self.image.max(1),
            }),
        }
    }
}

/// Bytes of an image's pixels.
fn pixels(shape: [usize; 3]) -> u64 {
    shape.iter().product::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn samples_that_cannot_be_held_name_their_key_and_how_many_can() {
        let text = "data = { kind = \"emoji\", size = 8 }\nmodel = { patch_size = 2, hidden_size = 16, depth = 2, num_heads = 2 }\n\
                    phases = [{ name = \"train\", steps = 1 }]\nevaluation = { samples = 100, quality = { samples = 2000 } }";
        let recipe = sextant_recipe::parse_resolved(Path::new("recipe.toml"), text).unwrap();
        let [grid, scored, sweep] = &SamplesNeed::of(&recipe, [3, 8, 8])[..] else {
            panic!("three settings")
        };
        assert_eq!(grid.bytes(), 100 * 192 * 11);
        assert_eq!((scored.bytes(), sweep.count), (2000 * 192 * 9, 180));
        assert!(scored.check(2000 * 192 * 9).is_ok());
        let refusal = scored.check(1000 * 192 * 9).unwrap_err();
        let words =
            "evaluation.quality.samples is 2000: its images alone need 3.5 MB, and 1.7 MB are free; at most 1000 fit";
        assert_eq!(refusal.to_string(), words);
        assert!(!refusal.is_failure(), "bad input");
    }
}
