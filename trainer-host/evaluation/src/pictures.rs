//! Sample grids over training, from the checkpoints that are kept.

use crate::Error;
use sextant_data::Dataset;
use sextant_recipe::{Recipe, Weights};
use sextant_records::RunFolder;
use sextant_records::evaluation::EvaluationFolder;
use sextant_train::checkpoint::{self, SavedTensors};
use sextant_train::{Ranks, sample, trained};

/// Draws the grid of every earlier checkpoint of the last phase that is still there, as the final one is drawn: same noise,
/// labels and sampler. `grids/step-000400.png`; one that is there already is kept. `due` is asked before each, with its step.
pub fn grids(
    recipe: &Recipe,
    dataset: &Dataset,
    run: &RunFolder,
    folder: &EvaluationFolder,
    device: &burn::tensor::Device,
    mut due: impl FnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(phase) = recipe.phases.last() else {
        return Ok(());
    };
    for saved in checkpoint::list(&run.phase(&phase.name)) {
        let name = format!("grids/step-{:06}.png", saved.step);
        if saved.step >= phase.steps || folder.path().join(&name).exists() {
            continue;
        }
        due(saved.step)?;
        let network = trained(recipe, dataset, &saved, Weights::Ema, device)?;
        // Each is of a network of its own, and hardly more than one pass.
        let drawn = sample::grid(recipe, &network, dataset, device, &Ranks::default());
        let (_, pixels) = drawn.map_err(|error| error.of_network(&saved.file(Weights::Ema)))?;
        let png = sample::grid_png(&pixels, dataset.picture_side()?, recipe.evaluation.columns)?;
        folder.write_bytes(&name, &png)?;
    }
    Ok(())
}
