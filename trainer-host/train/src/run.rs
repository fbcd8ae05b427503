//! A run: its phases one after another, then samples and a result.

use std::sync::Arc;

use burn::tensor::Device;
use sextant_data::{Dataset, StepLoader};
use sextant_guidance::plan::Network;
use sextant_guidance::{self as guidance, SearchPath, Sources};
use sextant_interrupt as interrupt;
use sextant_model::autoencoder::{self, Autoencoder};
use sextant_model::encoder;
use sextant_model::{Sit, SitConfig, device, frozen_copy};
use sextant_recipe::{EncodingTime, KeyError, Phase, Place, Recipe, Weights};
use sextant_records::checkpoint::Saved;
use sextant_records::journal::Journal;
use sextant_records::{EncoderCost, FileError, NetworkFile, RunFolder, RunInfo, RunResult};

use super::checkpoint::{self, SavedTensors, State};
use super::encoders::Target;
use super::import::Teachers;
use super::phase::{Ending, PhaseSettings, Training};
use super::plan::RunPlan;
use super::progress::{ProgressMode, RunProgress};
use super::reduce::Ranks;
use super::resume::explained;
use super::sample::TrainingSamples;
use super::setup::{Earlier, Ground, keeps_latents, trained};
use super::warning::{self, Warning};
use super::{Error, memory};

/// Settings of a run beside its recipe.
#[derive(Clone)]
pub struct Options {
    /// The device that it computes on.
    pub device: Device,
    /// The device as the user named it.
    pub device_name: String,
    /// Search path of plugins.
    pub plugins: SearchPath,
    /// The way in which progress is shown.
    pub progress: ProgressMode,
    /// Name of the run on the screen.
    pub label: String,
    /// Its place among the runs that it is one of; none where it is alone.
    pub among: Option<RunProgress>,
    /// Makes warnings errors.
    pub strict: bool,
    /// The ranks that share each batch.
    pub ranks: Ranks,
}

impl Options {
    /// Says what part of the evaluation begins.
    pub fn evaluating(&self, what: &str) {
        match &self.among {
            Some(run) => run.evaluating(what),
            None if matches!(self.progress, ProgressMode::Auto | ProgressMode::Lines) => {
                interrupt::say(&format!("{}  evaluating: {what}", self.label));
            }
            None => {}
        }
    }
}

/// A recipe that fits its data, model and plugins: everything that can be wrong before the first step has been looked at.
pub struct Run {
    pub(super) recipe: Recipe,
    pub(super) options: Options,
    pub(super) dataset: Arc<Dataset>,
    /// Encodes the batches, where the data are pixels and the recipe names it.
    pub(super) autoencoder: Option<Autoencoder>,
    pub(super) model: SitConfig,
    /// The encoder that gives fields for the images of a batch, in its step.
    pub(super) target: Option<Target>,
    /// The teachers that come from files.
    pub(super) teachers: Teachers,
    /// Without its warnings.
    info: RunInfo,
    pub(super) plan: RunPlan,
    warnings: Vec<Warning>,
    /// Cost of the encoder whose features a source reads.
    pub(super) encoder: Option<EncoderCost>,
}

impl Run {
    /// Reads data, encoder and plugins and checks each phase's plan. Writes nothing. What the recipe left to its plugins (their
    /// coefficients, and the defaults of their own keys) stands in the recipe that the run has.
    ///
    /// # Errors
    /// Whatever in the recipe cannot work here, with the key at fault.
    pub fn prepare(recipe: Recipe, options: Options) -> Result<Self, Error> {
        let ground = Ground::read(&recipe, &options.device)?;
        Self::on(ground, recipe, options)
    }

    /// As [`Run::prepare`], with other data than the recipe's: it is asked for those that a step is timed on.
    ///
    /// # Errors
    /// As [`Run::prepare`].
    pub fn prepare_on(dataset: Dataset, recipe: Recipe, options: Options) -> Result<Self, Error> {
        let ground = Ground::on(dataset, None, &recipe, &options.device)?;
        Self::on(ground, recipe, options)
    }

    fn on(ground: Ground, mut recipe: Recipe, options: Options) -> Result<Self, Error> {
        options.ranks.check(&recipe.optimiser)?;
        // As a rank's micro-batches are.
        let cut = Recipe {
            optimiser: options.ranks.cut(&recipe.optimiser),
            ..recipe.clone()
        };
        let planned = ground.sources(&cut, &options.plugins)?;
        if recipe.compute.averages == Place::Cpu {
            let mut plans = planned.iter().flat_map(Sources::plans);
            if let Some((name, _)) = plans.find(|(_, plan)| plan.needs(Network::Ema)) {
                let reason = format!(
                    "compute.averages is \"cpu\", but the source {name} asks the moving average in its steps: use \"device\""
                );
                return Err(KeyError(reason).into());
            }
        }
        if recipe.ranks.sharded && options.ranks.count() > 1 {
            let mut plans = planned.iter().flat_map(Sources::plans);
            if let Some((name, _)) = plans.find(|(_, plan)| plan.needs(Network::Ema)) {
                let reason = format!(
                    "ranks.sharded is true, so that each rank has a part of the moving average, but the source {name} asks all of it in \
                     its steps: use false"
                );
                return Err(KeyError(reason).into());
            }
        }
        let mut plugins = Vec::new();
        let mut read: Vec<String> = Vec::new();
        for (phase, sources) in recipe.phases.iter_mut().zip(&planned) {
            phase.guidance = sources.resolved_configs();
            read.extend(sources.fields());
            for library in sources.libraries() {
                if !plugins.contains(&library) {
                    plugins.push(library);
                }
            }
        }
        let plan = RunPlan::of(&recipe, &ground, &planned, options.ranks.count());
        let Ground {
            mut dataset,
            autoencoder,
            model,
            teachers,
            encoder,
            ..
        } = ground;
        if keeps_latents(&recipe.data) {
            dataset = dataset.with_moments()?;
        }
        let plans: Vec<Vec<_>> = planned.iter().map(|sources| sources.plans().collect()).collect();
        let mut warnings = warning::of_training(&cut, &plans, dataset.held_out().len());
        // Encoding the whole set costs seconds: only where a source reads it.
        let grid = model.grid();
        let encoder = encoder.filter(|encoder| encoder.fields(grid).iter().any(|(name, _)| read.contains(name)));
        let (mut cost, mut target) = (None, None);
        if let (Some(encoder), Some(asked)) = (encoder, &recipe.encoder) {
            cost = Some(encoder_cost(&encoder, asked.when, dataset.len(), grid));
            let encoder = encoder.held_in(recipe.compute.frozen);
            target = Target::place(encoder, asked.when, &mut dataset, grid, &read, &options.device)?;
        }
        warnings.extend(warning::of_encoding(&recipe, &planned, &dataset, target.as_ref()));
        let info = RunInfo {
            sextant: env!("CARGO_PKG_VERSION").into(),
            burn: env!("SEXTANT_BURN_VERSION").into(),
            abi: guidance::contract_version(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            device: options.ranks.describe(device::describe(&options.device), &recipe.ranks),
            data: dataset.fingerprint().into(),
            encoded_by: dataset.encoder_fingerprint().map(str::to_owned),
            plugins,
            files: NetworkFile::all(&recipe, |key, name| match key {
                "data.vae" => autoencoder::LAYOUT.weights_file(name),
                _ => encoder::weights_file(name),
            })?,
            ..RunInfo::default()
        };
        Ok(Self {
            recipe,
            options,
            autoencoder: autoencoder.filter(|_| dataset.is_encoded()),
            dataset: Arc::new(dataset),
            model,
            teachers,
            info,
            plan,
            warnings,
            encoder: cost,
            target,
        })
    }

    /// Shares with these ranks what comes after the training.
    pub fn with_ranks(mut self, ranks: Ranks) -> Self {
        self.options.ranks = ranks;
        self
    }

    /// Adds warnings of what comes after the training.
    pub fn warn(&mut self, warnings: Vec<Warning>) {
        self.warnings.extend(warnings);
    }

    /// Settings that are possible and hardly meant.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The network's geometry.
    pub fn network(&self) -> &SitConfig {
        &self.model
    }

    /// The data.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Content of `run.json`.
    pub fn info(&self) -> RunInfo {
        RunInfo {
            warnings: self.warnings.iter().map(Warning::to_string).collect(),
            ..self.info.clone()
        }
    }

    /// Refuses a training that this machine cannot hold; answers a warning about one that it may not hold.
    ///
    /// # Errors
    /// Names the phase, with its estimate.
    pub fn check_memory(&self) -> Result<Option<Warning>, Error> {
        let checked = self.plan.check(&self.options.device, self.options.ranks.count_here())?;
        Ok(checked.map(Warning::Memory))
    }

    /// Refuses samples of the run's end or of its evaluation that this machine cannot hold.
    ///
    /// # Errors
    /// Names the key, with what its images need.
    pub fn check_samples(&self) -> Result<(), Error> {
        self.plan.check_samples()
    }

    /// The options that it runs with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The sources of the last phase, planned anew.
    ///
    /// # Errors
    /// A library that is not what it was when the run was prepared.
    pub fn last_sources(&self) -> Result<Sources, Error> {
        self.sources(self.last_phase()?)
    }

    /// The frozen network that the last phase's sources may ask for, from a run that has it; none without one.
    ///
    /// # Errors
    /// A checkpoint that is not there or does not fit.
    pub fn teacher(&self, folder: &RunFolder) -> Result<Option<Sit>, Error> {
        let phase = self.last_phase()?;
        let Some(teacher) = &phase.teacher else {
            return Ok(None);
        };
        if let Some(import) = teacher.import() {
            return self.imported_teacher(phase, &import).map(Some);
        }
        let earlier = teacher.phase.as_deref().unwrap_or_default();
        let saved = folder
            .latest(earlier)
            .ok_or_else(|| FileError::new(folder.path(), format!("has no checkpoint of phase {earlier:?}")))?;
        let network = self.new_network(0, &self.options.device.clone().inner())?;
        Ok(Some(
            saved.load(teacher.weights.unwrap_or_default(), frozen_copy(&network))?,
        ))
    }

    pub(super) fn last_phase(&self) -> Result<&Phase, Error> {
        let phase = self.recipe.phases.last();
        phase.ok_or(Error::NoPhase)
    }

    /// Runs, or goes on with, what is left of the run in `folder`. An error other than an interrupt is left there as
    /// `failed.json`.
    ///
    /// # Errors
    /// The error that stopped it; the last good step is on disk.
    pub fn execute(&self, folder: &RunFolder) -> Result<RunResult, Error> {
        folder.forget_failure()?;
        let ended = self.carry_out(folder);
        memory::expect(None);
        let ended = ended.map_err(|error| explained(error, folder, &self.recipe, &self.options, &[]));
        ended.inspect_err(|error| {
            if !error.is_interrupt() {
                folder.note_failure(error);
            }
        })
    }

    fn carry_out(&self, folder: &RunFolder) -> Result<RunResult, Error> {
        match folder.result() {
            Some(result) if !self.lost_its_end(folder) => return self.with_grid(folder, result),
            Some(_) => folder.forget_result()?,
            None => {}
        }
        self.note_others(folder)?;
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        memory::reset_peak();
        self.options.ranks.begin(&self.recipe, folder)?;
        let saved = self.train(folder)?;
        let result = self.conclude(folder, &saved)?;
        folder.finish(&result)?;
        Ok(result)
    }

    /// True if the checkpoint after the last step was taken away, as is advised where it is damaged, and older ones are left to go
    /// on from. Where none is left the result stands: disks are cleared so.
    pub fn lost_its_end(&self, folder: &RunFolder) -> bool {
        let newest = |phase: &Phase| folder.latest(&phase.name).map(|saved| saved.step < phase.steps);
        self.recipe.phases.last().and_then(newest) == Some(true)
    }

    /// The result with its sample grid, where that was taken away since it is to be drawn in another way.
    fn with_grid(&self, folder: &RunFolder, mut result: RunResult) -> Result<RunResult, Error> {
        let saved = folder.latest(&self.last_phase()?.name);
        if let Some(saved) = saved.filter(|_| !folder.samples().join("final.png").exists()) {
            let ema = trained(&self.recipe, &self.dataset, &saved, Weights::Ema, &self.options.device)?;
            // The others do not know of this run.
            result.sample_labels = self.draw_grid(folder, &saved, &ema, &Ranks::default())?;
            folder.finish(&result)?;
        }
        Ok(result)
    }

    /// A resumed run may meet other libraries than it began with, or other devices: that is for a person to know, and for the record.
    fn note_others(&self, folder: &RunFolder) -> Result<(), Error> {
        let Ok(before) = folder.info() else { return Ok(()) };
        let mut others = Vec::new();
        for library in &self.info.plugins {
            let known = before.latest(library).filter(|known| known.sha256 != library.sha256);
            if let Some(known) = known {
                tracing::warn!(
                    "{}: plugin {} is another file than before (SHA-256 {} then, {} now)",
                    folder.path().display(),
                    library.plugin,
                    known.sha256,
                    library.sha256
                );
                others.push(library.clone());
            }
        }
        let (then, now) = (before.latest_device(), &self.info.device);
        if then != now {
            tracing::info!("it goes on with: {now}; before: {then}");
        }
        let done = |phase: &Phase| folder.latest(&phase.name).map_or(0, |saved| saved.step);
        let going_on = self.recipe.phases.iter().find(|phase| done(phase) < phase.steps);
        match going_on {
            Some(phase) if !others.is_empty() || then != now => {
                let place = sextant_records::Place {
                    phase: phase.name.clone(),
                    step: done(phase),
                };
                Ok(folder.note_others(&place, &others, now)?)
            }
            _ => Ok(()),
        }
    }

    /// Takes part in what is left of the training, as another rank than the first, and in the samples of its end.
    ///
    /// # Errors
    /// The error that stopped it, of whichever rank.
    pub(super) fn take_part(&self, folder: &RunFolder) -> Result<(), Error> {
        let saved = self.train(folder)?;
        self.end(folder, saved.last().ok_or(Error::NoPhase)?)?;
        Ok(())
    }

    /// Trains all phases, one after another, each to its end.
    fn train(&self, folder: &RunFolder) -> Result<Vec<Saved>, Error> {
        let mut saved = Vec::new();
        for index in 0..self.recipe.phases.len() {
            saved.push(self.phase(folder, index, &saved)?);
        }
        Ok(saved)
    }

    /// Trains one phase to its end, from its latest checkpoint if it has one.
    fn phase(&self, folder: &RunFolder, index: usize, earlier: &[Saved]) -> Result<Saved, Error> {
        let (phase, ranks) = (&self.recipe.phases[index], &self.options.ranks);
        let of_phase = folder.phase(&phase.name);
        // Of the first rank, which writes them: other hosts may see a checkpoint later.
        let latest = ranks.said_step(|| folder.latest(&phase.name).map(|saved| saved.step))?;
        let latest = latest.map(|step| checkpoint::place(&of_phase, step));
        let ready = self.ready(folder, index, earlier, latest.as_ref());
        let (mut training, loader) = match (ranks.agreed_at_leisure(ready)?, latest) {
            (Some(ready), _) => ready,
            (None, Some(saved)) => return Ok(saved),
            (None, None) => return Err(Error::Untrained(phase.name.clone())),
        };
        match training.run(loader.iter())? {
            Ending::Finished(saved) => Ok(saved),
            Ending::Interrupted(saved) => Err(Error::Interrupted {
                phase: phase.name.clone(),
                step: saved.step,
            }),
            Ending::Failed { saved, step, reason } => Err(Error::Step {
                phase: phase.name.clone(),
                step,
                reason: match reason.is_out_of_memory() {
                    true => format!("{reason}\n{}", self.plan.phases[index].estimate()),
                    false => reason.to_string(),
                },
                last_good: saved.step,
                checkpoint: saved.folder,
            }),
        }
    }

    /// A phase that goes on after its checkpoint `latest`, with the batches that are left of it; none where all of it is done.
    fn ready(
        &self,
        folder: &RunFolder,
        index: usize,
        earlier: &[Saved],
        latest: Option<&Saved>,
    ) -> Result<Option<(Training, StepLoader)>, Error> {
        let (phase, ranks) = (&self.recipe.phases[index], &self.options.ranks);
        if latest.is_some() && ranks.leads() {
            // Whoever wrote it may have been killed before it removed others.
            checkpoint::remove_oldest(&folder.phase(&phase.name), self.recipe.output.keep)?;
        }
        if let Some(saved) = latest.filter(|s| s.step >= phase.steps)
            && saved.state()?.due.is_none()
        {
            return Ok(None);
        }
        let last = index + 1 == self.recipe.phases.len();
        let seed = self.phase_seed(index);
        let mut worker = self.worker(phase, index, Earlier::Trained(earlier), seed)?;
        let mut state = State::default();
        if let Some(saved) = latest {
            state = saved.state()?;
            // Of a step that was to be the last, and is not any more.
            state.validation = None;
            worker = worker.restore(saved, &state)?;
        }
        let label = match self.recipe.phases.len() {
            1 => self.options.label.clone(),
            _ => format!("{} · {}", self.options.label, phase.name),
        };
        let progress = match &self.options.among {
            Some(run) => run.start(&label, state.step, phase.steps),
            None => self.options.progress.start(&label, state.step, phase.steps),
        };
        let settings = PhaseSettings {
            phase: phase.name.clone(),
            steps: phase.steps,
            optimiser: self.recipe.optimiser.clone(),
            output: self.recipe.output.clone(),
            validate_every: last.then_some(self.recipe.evaluation.every),
            folder: folder.phase(&phase.name),
        };
        tracing::info!("{label}: from step {} to {}, seed {seed}", state.step, phase.steps);
        memory::expect(Some(format!(
            "phase {:?}: {}",
            phase.name,
            self.plan.phases[index].estimate()
        )));
        let loader = self.loader(phase, seed, state.step);
        let loader = loader.with_pictures(worker.steps_with_pictures(phase.steps));
        let loader = loader.with_slice(ranks.slice(self.recipe.optimiser.batch));
        // The line of a step after which something is still due is written anew.
        let logged = state.step - u64::from(state.due.is_some());
        let mut training = Training::new(settings, worker, state, progress)
            .with_ranks(ranks.clone())
            .with_validation(if last { self.validation()? } else { Vec::new() });
        if ranks.leads() {
            training = training.with_journal(Journal::open(folder, &phase.name, logged)?);
        }
        if let Ok(side) = self.dataset.picture_side() {
            training = training.with_samples(TrainingSamples {
                recipe: self.recipe.clone(),
                dataset: self.dataset.clone(),
                device: self.options.device.clone(),
                side,
                folder: folder.samples(),
                phase: phase.name.clone(),
            });
        }
        Ok(Some((training, loader)))
    }

    pub(super) fn loader(&self, phase: &Phase, seed: u64, from: u64) -> StepLoader {
        let loader = StepLoader::new(
            self.dataset.clone(),
            seed,
            self.recipe.optimiser.batch,
            from..phase.steps,
            self.recipe.diffusion.clone(),
            self.model.null_class() as i64,
        );
        match phase.shuffle_labels {
            true => loader.with_labels(self.dataset.shuffled_labels(self.recipe.seed)),
            false => loader,
        }
    }
}

/// The cost of an encoder that sees `images` images before a training, or none before it.
fn encoder_cost(encoder: &encoder::Target, when: EncodingTime, images: usize, grid: usize) -> EncoderCost {
    EncoderCost {
        parameters: encoder.parameter_count() as u64,
        training_operations: encoder.training_operations(),
        encoding_operations: match when {
            EncodingTime::Before => encoder.encoding_operations(images, grid),
            EncodingTime::Step => 0.0,
        },
    }
}
