//! A run: its phases one after another, then samples and a result.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;

use super::checkpoint::{Saved, State, Tensors};
use super::journal::{self, Journal};
use super::launch::{Launch, learner};
use super::progress::{ProgressMode, Stage};
use super::quiet::Quiet;
use super::strategy::{Ending, Plan};
use super::{
    Feed, GuideCost, Replica, RunFolder, RunInfo, RunResult, Trainee, ValidationBatch, memory, validation_loss,
    validation_set,
};
use crate::data::{self, Dataset, StepLoader, Stream};
use crate::device;
use crate::encoder::{self, Encoder};
use crate::error::Error;
use crate::guidance::{self, GuidanceGeometry, NetworkShape, SearchPath, Sources};
use crate::model::{Sit, SitConfig, apply, frozen_copy};
use crate::recipe::{DiffusionRecipe, Init, OptimiserRecipe, Phase, Recipe, TeacherRecipe, TeacherWeights};
use crate::sample;

/// What a run needs beside its recipe.
#[derive(Clone)]
pub struct Options {
    /// Where it computes.
    pub device: Device,
    /// The device as the user named it.
    pub device_name: String,
    /// Where plugins are searched.
    pub plugins: SearchPath,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// What the run is called on the screen.
    pub label: String,
    /// Its place among the runs that it is one of; none where it is alone.
    pub stage: Option<Stage>,
    /// Stops it from outside.
    pub interrupter: Interrupter,
}

impl Options {
    /// Says what part of the evaluation begins.
    pub fn evaluating(&self, what: &str) {
        match &self.stage {
            Some(stage) => stage.evaluating(what),
            None if self.progress == ProgressMode::Auto => eprintln!("{}  evaluating: {what}", self.label),
            None => {}
        }
    }
}

/// A recipe that fits its data, model and plugins: everything that can be wrong before the first step has been looked at.
pub struct Run {
    pub(super) recipe: Recipe,
    options: Options,
    pub(super) dataset: Arc<Dataset>,
    pub(super) model: SitConfig,
    info: RunInfo,
    /// What the guide cost whose features a source reads.
    pub(super) guide: Option<GuideCost>,
}

impl Run {
    /// Reads data, guide and plugins and checks each phase's plan. Writes nothing. What the recipe left to its plugins (their
    /// coefficients, and the defaults of their own keys) stands in the recipe that the run has.
    ///
    /// # Errors
    /// Whatever in the recipe cannot work here, with the key at fault.
    pub fn prepare(mut recipe: Recipe, options: Options) -> Result<Self, Error> {
        let mut dataset = data::load(&recipe.data)?;
        let model = network(&recipe, &dataset)?;
        let guide = guide(&recipe, &options.device)?;
        let fields = guide_fields(guide.as_ref());
        let mut plugins = Vec::new();
        let mut guided = false;
        for phase in &mut recipe.phases {
            let geometry = geometry(&recipe.optimiser, &recipe.diffusion, &model, phase, &fields);
            let sources = load_sources(phase, &options.plugins, &geometry)?;
            phase.guidance = sources.resolved_configs();
            guided |= sources.fields().iter().any(|field| field == encoder::FEATURES);
            for library in sources.libraries() {
                if !plugins.contains(&library) {
                    plugins.push(library);
                }
            }
        }
        // Encoding the whole set costs seconds: only where a source reads it.
        let guide = guide.filter(|_| guided);
        if let Some(guide) = &guide {
            guide.add_features(&mut dataset, &options.device)?;
        }
        let guide = guide.map(|guide| GuideCost {
            parameters: guide.parameter_count() as u64,
            training_operations: Some(guide.training_operations()),
            encoding_operations: guide.encoding_operations(dataset.len()),
        });
        let info = RunInfo {
            sextant: env!("CARGO_PKG_VERSION").into(),
            burn: "0.22.1".into(),
            abi: guidance::contract_version(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            device: device::describe(&options.device_name, &options.device),
            data: dataset.fingerprint().into(),
            plugins,
        };
        Ok(Self {
            recipe,
            options,
            dataset: Arc::new(dataset),
            model,
            info,
            guide,
        })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The data.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// What `run.json` says.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// What it runs with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The sources of the last phase, planned anew.
    ///
    /// # Errors
    /// Where a library is not what it was when the run was prepared.
    pub fn last_sources(&self) -> Result<Sources, Error> {
        self.sources(self.last_phase()?)
    }

    /// The frozen network that the last phase's sources may ask for, from a run that has it; none without one.
    ///
    /// # Errors
    /// Where its checkpoint is not there or does not fit.
    pub fn teacher(&self, folder: &RunFolder) -> Result<Option<Sit>, Error> {
        let Some(teacher) = &self.last_phase()?.teacher else {
            return Ok(None);
        };
        let saved = folder
            .latest(&teacher.phase)
            .ok_or_else(|| Error::file(folder.path(), format!("has no checkpoint of phase {:?}", teacher.phase)))?;
        let network = self.new_network(0, &self.options.device.clone().inner())?;
        Ok(Some(apply(frozen_copy(&network), &teacher_weights(teacher, &saved)?)?))
    }

    fn last_phase(&self) -> Result<&Phase, Error> {
        let phase = self.recipe.phases.last();
        phase.ok_or_else(|| Error::Input("the recipe has no phase".into()))
    }

    /// Runs, or goes on with, what is left of the run in `folder`. An error other than an interrupt is left there as
    /// `failed.json`.
    ///
    /// # Errors
    /// What stopped it; the last good step is on disk.
    pub fn execute(&self, folder: &RunFolder) -> Result<RunResult, Error> {
        folder.forget_failure()?;
        self.carry_out(folder).inspect_err(|error| folder.note_failure(error))
    }

    fn carry_out(&self, folder: &RunFolder) -> Result<RunResult, Error> {
        if let Some(result) = folder.result() {
            let result = self.with_bill(folder, result)?;
            return self.with_grid(folder, result);
        }
        self.notice_other_plugins(folder);
        memory::reset_peak();
        let mut saved = Vec::new();
        for index in 0..self.recipe.phases.len() {
            saved.push(self.phase(folder, index, &saved)?);
        }
        let result = self.conclude(folder, &saved)?;
        folder.finish(&result)?;
        Ok(result)
    }

    /// The result with a bill, where an earlier version wrote it without. Kept if the checkpoints were there to count with.
    fn with_bill(&self, folder: &RunFolder, mut result: RunResult) -> Result<RunResult, Error> {
        if result.bill.is_none() {
            let phases = self.recipe.phases.iter();
            let saved: Vec<Saved> = phases.map_while(|phase| folder.latest(&phase.name)).collect();
            let bill = self.bill(&saved);
            result.bill = Some(bill);
            if bill.operations.is_some() {
                folder.finish(&result)?;
            }
        }
        Ok(result)
    }

    /// The result with its sample grid, where that was taken away since it is to be drawn in another way.
    fn with_grid(&self, folder: &RunFolder, mut result: RunResult) -> Result<RunResult, Error> {
        let saved = folder.latest(&self.last_phase()?.name);
        if let Some(saved) = saved.filter(|_| !folder.samples().join("final.png").exists()) {
            let ema = average(&self.recipe, &self.dataset, &saved, &self.options.device)?;
            result.sample_labels = self.draw_grid(folder, &ema)?;
            folder.finish(&result)?;
        }
        Ok(result)
    }

    /// A resumed run may meet other libraries than it began with: that is for a person to know.
    fn notice_other_plugins(&self, folder: &RunFolder) {
        let Ok(before) = folder.info() else { return };
        for plugin in &self.info.plugins {
            let known = before.plugins.iter().find(|p| p.plugin == plugin.plugin);
            if let Some(known) = known.filter(|known| known.sha256 != plugin.sha256) {
                tracing::warn!(
                    "{}: plugin {} is another file than when the run began (SHA-256 {} then, {} now)",
                    folder.path().display(),
                    plugin.plugin,
                    known.sha256,
                    plugin.sha256
                );
            }
        }
    }

    /// Trains one phase to its end, from its latest checkpoint if it has one.
    fn phase(&self, folder: &RunFolder, index: usize, earlier: &[Saved]) -> Result<Saved, Error> {
        let phase = &self.recipe.phases[index];
        let latest = folder.latest(&phase.name);
        if let Some(saved) = latest.as_ref().filter(|s| s.step >= phase.steps) {
            return Ok(saved.clone());
        }
        let last = index + 1 == self.recipe.phases.len();
        let seed = self.phase_seed(index);
        let mut setup = self.setup(phase, index, earlier, seed)?;
        let mut state = State::default();
        if let Some(saved) = &latest {
            state = saved.state()?;
            setup.replica.restore(saved, &state)?;
            let sources = saved.sources_of(&setup.replica.sources.names())?;
            setup.model = Trainee {
                student: apply(setup.model.student, &saved.student()?)?,
                sources: setup.model.sources.load_named(&sources)?,
            };
        }
        let mut learner = learner(setup.model, &self.recipe.optimiser);
        if let Some(saved) = &latest {
            learner.load_optim(saved.optimiser()?);
            learner.load_scheduler(saved.schedule()?);
        }
        let replica = Arc::new(Mutex::new(setup.replica));
        let mut loader = StepLoader::new(
            self.dataset.clone(),
            seed,
            self.recipe.optimiser.batch,
            state.step..phase.steps,
        );
        if phase.shuffle_labels {
            loader = loader.with_labels(self.dataset.shuffled_labels(self.recipe.seed));
        }
        let null_class = self.model.null_class() as i64;
        let feed = Feed::new(loader, self.recipe.diffusion.clone(), null_class, replica.clone());
        let label = match self.recipe.phases.len() {
            1 => self.options.label.clone(),
            _ => format!("{} · {}", self.options.label, phase.name),
        };
        let progress = match &self.options.stage {
            Some(stage) => stage.start(&label, &phase.name, state.step, phase.steps),
            None => self.options.progress.start(&label, state.step, phase.steps),
        };
        let journal = Journal::open(folder, &phase.name, state.step)?;
        let plan = Plan {
            phase: phase.name.clone(),
            steps: phase.steps,
            optimiser: self.recipe.optimiser.clone(),
            output: self.recipe.output.clone(),
            validate_every: last.then_some(self.recipe.evaluation.every),
            folder: folder.phase(&phase.name),
        };
        let launch = Launch {
            learner,
            plan,
            feed: Arc::new(feed),
            valid: if last { self.validation() } else { Vec::new() },
            device: self.options.device.clone(),
            interrupter: self.options.interrupter.clone(),
            renderer: self.renderer(),
            label,
        };
        tracing::info!(
            "{}: from step {} to {}, seed {seed}",
            launch.label,
            state.step,
            phase.steps
        );
        let ending = launch.run(replica, state, |strategy| strategy.with_journal(journal), progress);
        self.ended(ending, phase, folder)
    }

    fn ended(&self, ending: Ending, phase: &Phase, folder: &RunFolder) -> Result<Saved, Error> {
        let name = phase.name.clone();
        match ending {
            Ending::Finished(saved) => Ok(saved),
            Ending::Interrupted(saved) => Err(Error::Interrupted {
                phase: name,
                step: saved.step,
                run: folder.path().into(),
            }),
            Ending::Failed { saved, step, reason } => {
                let saved = saved
                    .map_err(|e| Error::Training(format!("{reason}\nand then no checkpoint could be written: {e}")))?;
                Err(Error::Step {
                    phase: name,
                    step,
                    reason,
                    last_good: saved.step,
                    checkpoint: saved.folder,
                })
            }
            Ending::Lost(reason) => Err(Error::Training(reason)),
        }
    }

    /// The last phase draws from the run's seed, so that it is the same for all variants of a comparison; an earlier
    /// one from a seed of its own.
    pub(super) fn phase_seed(&self, index: usize) -> u64 {
        use rand::Rng;
        if index + 1 == self.recipe.phases.len() {
            return self.recipe.seed;
        }
        let name = &self.recipe.phases[index].name;
        Stream::new(self.recipe.seed, &format!("phase/{name}")).at(&[]).random()
    }

    pub(super) fn setup(&self, phase: &Phase, index: usize, earlier: &[Saved], seed: u64) -> Result<Setup, Error> {
        let device = self.options.device.clone().autodiff();
        let sources = self.sources(phase)?;
        let mut student = self.new_network(seed, &device)?;
        let mut ema = frozen_copy(&student);
        if phase.init == Init::Continue {
            let before = &earlier[index - 1];
            student = apply(student, &before.student()?)?;
            ema = apply(ema, &before.ema()?)?;
        }
        let teacher = match &phase.teacher {
            None => None,
            Some(teacher) => {
                let place = self.recipe.phases[..index].iter().position(|p| p.name == teacher.phase);
                let saved =
                    &earlier[place.ok_or_else(|| Error::Input(format!("there is no phase {:?}", teacher.phase)))?];
                Some(apply(frozen_copy(&student), &teacher_weights(teacher, saved)?)?)
            }
        };
        let params = sources.init_parameters(seed, &device);
        let buffers = sources.init_buffers(seed, &device.clone().inner());
        let replica = Replica::new(
            ema,
            teacher,
            sources,
            buffers,
            self.recipe.diffusion.clone(),
            seed,
            self.options.device.clone(),
        );
        Ok(Setup {
            model: Trainee {
                student,
                sources: params,
            },
            replica,
        })
    }

    /// The sources of a phase, planned anew.
    fn sources(&self, phase: &Phase) -> Result<Sources, Error> {
        let fields = self.dataset.fields().iter();
        let fields: Vec<_> = fields
            .map(|(name, field)| (name.clone(), field.shape.clone()))
            .collect();
        let Recipe {
            optimiser, diffusion, ..
        } = &self.recipe;
        let geometry = geometry(optimiser, diffusion, &self.model, phase, &fields);
        load_sources(phase, &self.options.plugins, &geometry)
    }

    fn new_network(&self, seed: u64, device: &Device) -> Result<Sit, Error> {
        let mut weights = Stream::new(seed, "student/init").at(&[]);
        Sit::init(&self.model, &mut weights, device).map_err(Error::Input)
    }

    fn validation(&self) -> Vec<ValidationBatch> {
        validation_set(&self.dataset, &self.recipe.evaluation, &self.recipe.diffusion)
    }

    fn renderer(&self) -> Box<dyn MetricsRenderer> {
        #[cfg(feature = "tui")]
        if self.options.progress == ProgressMode::Dashboard {
            use burn::train::renderer::tui::TuiMetricsRendererWrapper;
            return Box::new(TuiMetricsRendererWrapper::new(self.options.interrupter.clone(), None));
        }
        Box::new(Quiet)
    }

    /// Draws `samples/final.*`; the labels of its images.
    fn draw_grid(&self, folder: &RunFolder, ema: &Sit) -> Result<Vec<usize>, Error> {
        let (labels, pixels) = sample::grid(&self.recipe, ema, &self.dataset, &self.options.device)?;
        let (side, columns) = (self.dataset.shape()[1], self.recipe.evaluation.columns);
        write_samples(&folder.samples(), "final", &pixels, side, columns)?;
        Ok(labels)
    }

    /// Samples, validation and the bill.
    fn conclude(&self, folder: &RunFolder, saved: &[Saved]) -> Result<RunResult, Error> {
        let (last, earlier) = saved
            .split_last()
            .ok_or_else(|| Error::Training("no phase ran".into()))?;
        let ema = average(&self.recipe, &self.dataset, last, &self.options.device)?;
        let labels = self.draw_grid(folder, &ema)?;
        let phase = self.last_phase()?;
        let mut state = last.state()?;
        let lines = journal::read(&folder.metrics());
        let final_line = lines
            .iter()
            .rev()
            .find(|l| l.phase == phase.name && l.values.contains_key("denoising"));
        let guidance_loss = final_line.map(guidance_losses).unwrap_or_default();
        let validation = state.validation.take().unwrap_or_else(|| {
            let model = Trainee {
                student: ema,
                sources: Default::default(),
            };
            validation_loss(&model, self.validation().into_iter())
        });
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
            seconds_per_step: median(&state.step_seconds),
            seconds: state.seconds,
            teacher: state.teacher,
            peak_memory_bytes: memory::peak_bytes(),
            student_parameters: self.model.trainable_count() as u64,
            guidance_parameters: sources.trainable_count() as u64,
            clipped_share: state.clipped.0 / (state.clipped.1 as f64).max(1.0),
            earlier_phases_seconds,
            sample_labels: labels,
            bill: Some(self.bill(saved)),
        })
    }
}

fn teacher_weights(teacher: &TeacherRecipe, saved: &Saved) -> Result<Tensors, Error> {
    match teacher.weights {
        TeacherWeights::Model => saved.student(),
        TeacherWeights::Ema => saved.ema(),
    }
}

/// The moving average of a checkpoint, ready to draw samples from.
///
/// # Errors
/// Where its weights cannot be read or do not fit the recipe.
pub fn average(recipe: &Recipe, dataset: &Dataset, saved: &Saved, device: &Device) -> Result<Sit, Error> {
    let network = Sit::init(
        &network(recipe, dataset)?,
        &mut Stream::new(0, "replaced").at(&[]),
        device,
    );
    Ok(apply(frozen_copy(&network.map_err(Error::Input)?), &saved.ema()?)?)
}

fn network(recipe: &Recipe, dataset: &Dataset) -> Result<SitConfig, Error> {
    let [channels, side, _] = dataset.shape();
    let classes = dataset.class_names().len();
    recipe.model.geometry(side, channels, classes).map_err(Error::Input)
}

/// Writes `NAME.png` and `NAME.npz`.
///
/// # Errors
/// Where they cannot be written.
pub fn write_samples(folder: &Path, name: &str, pixels: &[u8], side: usize, columns: usize) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let png = folder.join(format!("{name}.png"));
    super::checkpoint::write_whole(&folder.join(format!("{name}.npz")), &sample::npz(pixels, side)?)?;
    super::checkpoint::write_whole(&png, &sample::grid_png(pixels, side, columns)?)?;
    Ok(png)
}

fn guidance_losses(line: &journal::Line) -> std::collections::BTreeMap<String, f64> {
    line.values
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("guidance.")?.to_owned(), *value)))
        .collect()
}

fn median(values: &[f32]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => (f64::from(sorted[(n - 1) / 2]) + f64::from(sorted[n / 2])) / 2.0,
    }
}

/// A phase before its first step.
pub(super) struct Setup {
    pub model: Trainee,
    pub replica: Replica,
}

fn load_sources(phase: &Phase, search: &SearchPath, geometry: &GuidanceGeometry) -> Result<Sources, Error> {
    Sources::load(&phase.guidance, search, geometry).map_err(|e| Error::Input(format!("phase {:?}: {e}", phase.name)))
}

fn guide(recipe: &Recipe, device: &Device) -> Result<Option<Encoder>, Error> {
    let guide = recipe.guide.as_ref().map(|guide| encoder::guide(guide, device));
    Ok(guide.transpose()?)
}

/// Name and shape of the batch fields that a guide adds to the data.
fn guide_fields(guide: Option<&Encoder>) -> Vec<(String, Vec<usize>)> {
    let fields = guide.map(|guide| (encoder::FEATURES.to_owned(), guide.shape().to_vec()));
    fields.into_iter().collect()
}

/// What the sources of a recipe's last phase plan for. Reads data and guide, but no plugin.
///
/// # Errors
/// Where data or guide cannot be read, or the model does not fit them.
pub fn planned_geometry(recipe: &Recipe, device: &Device) -> Result<GuidanceGeometry, Error> {
    let dataset = data::load(&recipe.data)?;
    let model = network(recipe, &dataset)?;
    let fields = guide_fields(guide(recipe, device)?.as_ref());
    let phase = recipe.phases.last();
    let phase = phase.ok_or_else(|| Error::Input("the recipe has no phase".into()))?;
    Ok(geometry(&recipe.optimiser, &recipe.diffusion, &model, phase, &fields))
}

/// What the sources of a phase plan for.
pub fn geometry(
    optimiser: &OptimiserRecipe,
    diffusion: &DiffusionRecipe,
    model: &SitConfig,
    phase: &Phase,
    fields: &[(String, Vec<usize>)],
) -> GuidanceGeometry {
    let network = NetworkShape {
        depth: model.depth,
        width: model.hidden_size,
        heads: model.num_heads,
        grid: [model.grid(); 2],
    };
    GuidanceGeometry {
        batch: optimiser.batch / optimiser.accumulation,
        channels: model.in_channels,
        height: model.input_size,
        width: model.input_size,
        patch: model.patch_size,
        classes: model.num_classes,
        prediction: diffusion.prediction,
        path: diffusion.path,
        student: network,
        teacher: phase.teacher.as_ref().map(|_| network),
        ema: network,
        fields: fields.to_vec(),
    }
}
