//! Sample grids while a phase is trained.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use sextant_data::Dataset;
use sextant_model::{Sit, frozen_copy};
use sextant_recipe::{Recipe, Weights};
use sextant_records::{make_folder, write_whole};

use super::{grid, grid_png};
use crate::Error;

/// Draws the recipe's grid of samples from a network that is still trained, always with the same noise and labels.
pub struct TrainingSamples {
    /// The recipe, whose sampler and seed they are drawn with.
    pub recipe: Recipe,
    /// The data, for its classes and pixels.
    pub dataset: Arc<Dataset>,
    /// The device, without autodiff.
    pub device: Device,
    /// Height and width of a picture of the data.
    pub side: usize,
    /// Folder for the pictures.
    pub folder: PathBuf,
    /// Name of the phase, with which their names begin.
    pub phase: String,
}

impl TrainingSamples {
    /// Writes `PHASE-step-000500-ema.png`, from the moving average, and `…-model.png`, from the trained weights; answers both.
    ///
    /// # Errors
    /// Samples that cannot be drawn, a picture that cannot be written.
    pub fn draw(&self, step: u64, average: &Sit, student: &Sit) -> Result<[(Weights, Vec<u8>); 2], Error> {
        let model = frozen_copy(student);
        Ok([
            (Weights::Ema, self.picture(step, Weights::Ema, average)?),
            (Weights::Model, self.picture(step, Weights::Model, &model)?),
        ])
    }

    fn picture(&self, step: u64, weights: Weights, network: &Sit) -> Result<Vec<u8>, Error> {
        let (_, pixels) = grid(&self.recipe, network, &self.dataset, &self.device)?;
        let png = grid_png(&pixels, self.side, self.recipe.evaluation.columns)?;
        make_folder(&self.folder)?;
        let path = self.folder.join(format!("{}-step-{step:06}-{weights}.png", self.phase));
        write_whole(&path, &png)?;
        Ok(png)
    }
}
