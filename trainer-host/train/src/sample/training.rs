//! Sample grids while a phase is trained.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use sextant_data::Dataset;
use sextant_model::{Sit, frozen_copy};
use sextant_recipe::{Recipe, Weights};
use sextant_records::{make_folder, write_whole};

use super::{Drawing, grid_png, labels, pass};
use crate::{Error, Ranks};

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
    /// Draws both grids, of which each rank draws some passes; the first writes `PHASE-step-000500-ema.png`, from the moving average, and
    /// `…-model.png`, from the trained weights, and answers both.
    ///
    /// # Errors
    /// Samples that cannot be drawn, a picture that cannot be written, a fault of other ranks.
    pub fn draw(
        &self,
        step: u64,
        average: &Sit,
        student: &Sit,
        ranks: &Ranks,
    ) -> Result<Vec<(Weights, Vec<u8>)>, Error> {
        let networks = [(Weights::Ema, average.clone()), (Weights::Model, frozen_copy(student))];
        let drawing = Drawing::of(&self.recipe);
        let labels = labels(self.dataset.class_names().len(), self.recipe.evaluation.samples);
        let passes = labels.len().div_ceil(drawing.batch);
        let mut drawn: Vec<Vec<u8>> = Vec::new();
        ranks.share(
            networks.len() * passes,
            |at| {
                let (_, network) = &networks[at / passes];
                pass(network, &drawing, at % passes, &labels, &self.dataset, &self.device)
            },
            |images| {
                drawn.push(images.to_vec());
                Ok(())
            },
        )?;
        let grids = networks.iter().zip(drawn.chunks(passes.max(1)));
        ranks
            .led(|| {
                let written =
                    grids.map(|((weights, _), drawn)| Ok((*weights, self.picture(step, *weights, &drawn.concat())?)));
                written.collect()
            })
            .map(Option::unwrap_or_default)
    }

    fn picture(&self, step: u64, weights: Weights, pixels: &[u8]) -> Result<Vec<u8>, Error> {
        let png = grid_png(pixels, self.side, self.recipe.evaluation.columns)?;
        make_folder(&self.folder)?;
        let path = self.folder.join(format!("{}-step-{step:06}-{weights}.png", self.phase));
        write_whole(&path, &png)?;
        Ok(png)
    }
}
