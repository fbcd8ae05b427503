//! The end of a run: samples, the validation loss, and what it cost.

use std::path::{Path, PathBuf};

use sextant_model::Sit;
use sextant_recipe::Weights;
use sextant_records::checkpoint::Saved;
use sextant_records::{RunFolder, RunResult, journal, make_folder, median, write_whole};

use super::checkpoint::SavedTensors;
use super::setup::trained;
use super::validation::validation_loss;
use super::{Error, Ranks, Run, memory, sample};

impl Run {
    /// Draws `samples/final.*` with these ranks; the labels of its images, where this is the one that writes them.
    pub(super) fn draw_grid(
        &self,
        folder: &RunFolder,
        saved: &Saved,
        ema: &Sit,
        ranks: &Ranks,
    ) -> Result<Vec<usize>, Error> {
        let Ok(side) = self.dataset.picture_side() else {
            if ranks.leads() {
                tracing::warn!(
                    "{}: no samples are drawn, since pictures of latents need their decoder; name its folder with data.vae",
                    self.options.label
                );
            }
            return Ok(Vec::new());
        };
        let drawn = sample::grid(&self.recipe, ema, &self.dataset, &self.options.device, ranks);
        let (labels, pixels) = drawn.map_err(|error| error.of_network(&saved.file(Weights::Ema)))?;
        if ranks.leads() {
            let columns = self.recipe.evaluation.columns;
            write_samples(&folder.samples(), "final", &pixels, side, columns)?;
        }
        Ok(labels)
    }

    /// The network at the end of the last phase, and the labels of the samples that all ranks draw of it.
    pub(super) fn end(&self, folder: &RunFolder, last: &Saved) -> Result<(Sit, Vec<usize>), Error> {
        let ranks = &self.options.ranks;
        let ema = trained(&self.recipe, &self.dataset, last, Weights::Ema, &self.options.device);
        let ema = ranks.agreed_at_leisure(ema)?;
        let labels = self.draw_grid(folder, last, &ema, ranks)?;
        Ok((ema, labels))
    }

    /// Samples, validation and the cost.
    pub(super) fn conclude(&self, folder: &RunFolder, saved: &[Saved]) -> Result<RunResult, Error> {
        let (last, earlier) = saved.split_last().ok_or(Error::NoPhase)?;
        let (ema, labels) = self.end(folder, last)?;
        let phase = self.last_phase()?;
        let mut state = last.state()?;
        let lines = journal::read(&folder.metrics());
        let final_line = lines
            .iter()
            .rev()
            .find(|l| l.phase == phase.name && l.values.contains_key("denoising"));
        let guidance_loss = final_line.map(guidance_losses).unwrap_or_default();
        let validation = match state.validation.take() {
            Some(measured) => measured,
            // It was measured by other settings. The others are not asked any more.
            None => validation_loss(&ema, &self.validation()?)?,
        };
        if !validation.is_finite() {
            return Err(Error::Diverged(format!(
                "{}: the validation loss of this network is {}; a lower optimiser.lr may help",
                last.file(Weights::Ema).display(),
                validation.mean
            )));
        }
        let mut earlier_phases_seconds = 0.0;
        for saved in earlier {
            earlier_phases_seconds += saved.state()?.seconds.step;
        }
        let sources = self.sources(phase)?;
        Ok(RunResult {
            steps: last.step,
            validation_loss: validation.mean,
            validation_by_time: validation.by_time,
            guidance_loss,
            seconds_per_step: median(state.step_seconds.iter().copied().map(f64::from)),
            seconds: state.seconds,
            teacher: state.teacher,
            peak_memory_bytes: memory::peak_bytes(),
            student_parameters: self.model.trainable_count() as u64,
            guidance_parameters: sources.trainable_count() as u64,
            clipped_share: state.clipped_share(),
            earlier_phases_seconds,
            sample_labels: labels,
            cost: self.cost(saved),
        })
    }
}

/// Writes `NAME.png` and `NAME.npz`.
///
/// # Errors
/// A file that cannot be written.
pub fn write_samples(folder: &Path, name: &str, pixels: &[u8], side: usize, columns: usize) -> Result<PathBuf, Error> {
    make_folder(folder)?;
    let png = folder.join(format!("{name}.png"));
    write_whole(&folder.join(format!("{name}.npz")), &sample::npz(pixels, side)?)?;
    write_whole(&png, &sample::grid_png(pixels, side, columns)?)?;
    Ok(png)
}

fn guidance_losses(line: &journal::Line) -> std::collections::BTreeMap<String, f64> {
    line.values
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("guidance.")?.to_owned(), *value)))
        .collect()
}
