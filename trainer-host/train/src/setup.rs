//! A phase before its first step: network, teacher, sources and their geometry.

use burn::tensor::Device;
use sextant_data::{self as data, Codec, Dataset, Stream};
use sextant_guidance::{GuidanceGeometry, NetworkShape, SearchPath, Sources};
use sextant_model::autoencoder::Autoencoder;
use sextant_model::device;
use sextant_model::encoder::Target;
use sextant_model::precision::held_in;
use sextant_model::{Sit, SitConfig, frozen_copy, parameter_ids};
use sextant_recipe::{
    DataConfig, DiffusionRecipe, Import, Init, KeyError, OptimiserRecipe, Phase, Place, Recipe, Take, Weights,
};
use sextant_records::checkpoint::Saved;

use super::checkpoint::SavedTensors;
use super::encoders::Encoders;
use super::import::{self, Teachers};
use super::validation::{ValidationBatch, validation_set};
use super::worker::{TrainModule, Worker};
use super::{Error, Run};

/// The phases before one.
#[derive(Clone, Copy)]
pub(super) enum Earlier<'a> {
    /// They ended with these checkpoints.
    Trained(&'a [Saved]),
    /// None was run: their networks are as this one begins.
    NotRun,
}

impl Earlier<'_> {
    /// The end of the phase at `place`; none where it was not run.
    fn end_of(&self, place: usize) -> Option<&Saved> {
        match self {
            Self::Trained(ends) => Some(&ends[place]),
            Self::NotRun => None,
        }
    }
}

impl Run {
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

    /// The worker of a phase before its first step.
    ///
    /// # Errors
    /// A source that cannot be loaded, an earlier phase's network that does not fit.
    pub(super) fn worker(&self, phase: &Phase, index: usize, earlier: Earlier, seed: u64) -> Result<Worker, Error> {
        let device = self.options.device.clone().autodiff();
        let sources = self.sources(phase)?;
        let compute = &self.recipe.compute;
        let mut student = self.new_network(seed, &device)?.computing_in(compute.precision);
        let before = match &phase.init {
            Init::Fresh => None,
            Init::File(file) => {
                student = import::load(&file.import(), student, file.take)?;
                None
            }
            Init::Continue => earlier.end_of(index - 1),
        };
        if let Some(before) = before {
            student = before.load(Weights::Model, student)?;
        }
        let teacher = match &phase.teacher {
            None => None,
            Some(teacher) => {
                let mut teacher = match teacher.import() {
                    Some(import) => self.imported_teacher(phase, &import)?,
                    None => {
                        let mut phases = self.recipe.phases[..index].iter();
                        let place = phases.position(|earlier| Some(&earlier.name) == teacher.phase.as_ref());
                        let place =
                            place.ok_or_else(|| Error::UnknownPhase(teacher.phase.clone().unwrap_or_default()))?;
                        let network = frozen_copy(&student);
                        match earlier.end_of(place) {
                            Some(saved) => saved.load(teacher.weights.unwrap_or_default(), network)?,
                            None => network,
                        }
                    }
                };
                // Blocks that nobody reads would only take memory.
                if let Some(deepest) = sources.blocks_asked() {
                    tracing::info!(
                        "the teacher keeps {deepest} of its {} blocks: nothing deeper is read",
                        teacher.blocks.len()
                    );
                    teacher.blocks.truncate(deepest);
                }
                Some(held_in(teacher, compute.frozen).computing_in(compute.frozen))
            }
        };
        let module = TrainModule {
            sources: sources.init_parameters(seed, &device),
            student,
        };
        let (optimiser, diffusion) = (&self.recipe.optimiser, self.recipe.diffusion.clone());
        let device = self.options.device.clone();
        let encoders = Encoders {
            autoencoder: self.autoencoder.clone(),
            target: (self.target.clone()).filter(|target| sources.reads_from(0, &target.names())),
        };
        let mut worker =
            Worker::new(module, sources, teacher, optimiser, diffusion, seed, device).with_encoders(encoders);
        worker = worker.recomputing(compute.recompute);
        if compute.averages == Place::Cpu {
            let cpu = device::open("cpu").map_err(|e| KeyError(format!("compute.averages: {e}")))?;
            worker = worker.averaging_on(&cpu);
        }
        if self.recipe.ranks.sharded {
            worker = worker.sharded(&self.options.ranks);
        }
        if let Some(before) = before {
            worker = worker.with_averages(before)?;
        }
        Ok(worker)
    }

    /// The frozen network of a file that teaches in `phase`.
    pub(super) fn imported_teacher(&self, phase: &Phase, file: &Import) -> Result<Sit, Error> {
        let config = self.teachers.get(&phase.name).unwrap_or(&self.model);
        let device = self.options.device.clone().inner();
        let network = Sit::init(config, &mut Stream::new(0, "replaced").at(&[]), &device)?;
        import::load(file, frozen_copy(&network), Take::All)
    }

    /// The sources of a phase, planned anew.
    pub(super) fn sources(&self, phase: &Phase) -> Result<Sources, Error> {
        let target = self.target.iter();
        let given = target.flat_map(|target| target.encoder.fields(target.grid));
        let fields: Vec<_> = fields(&self.dataset).into_iter().chain(given).collect();
        let Recipe {
            optimiser, diffusion, ..
        } = &self.recipe;
        let teacher = self.teachers.get(&phase.name);
        let optimiser = &self.options.ranks.cut(optimiser);
        let geometry = geometry(optimiser, diffusion, &self.model, teacher, phase, &fields);
        load_sources(phase, &self.options.plugins, &geometry)
    }

    pub(super) fn new_network(&self, seed: u64, device: &Device) -> Result<Sit, Error> {
        let mut weights = Stream::new(seed, "student/init").at(&[]);
        Ok(Sit::init(&self.model, &mut weights, device)?)
    }

    /// # Errors
    /// A held-out image that cannot be read.
    pub(super) fn validation(&self) -> Result<Vec<ValidationBatch>, Error> {
        let Recipe {
            evaluation, diffusion, ..
        } = &self.recipe;
        Ok(validation_set(&self.dataset, evaluation, diffusion)?)
    }
}

/// The data of a recipe. Where it names an autoencoder, pixels are latents of it, and there are pictures of latents; both are made on
/// `device`.
///
/// # Errors
/// Data or an autoencoder that cannot be read, or do not fit each other.
pub fn dataset(config: &DataConfig, device: &Device) -> Result<Dataset, Error> {
    Ok(encoded(config, device)?.0)
}

/// [`dataset`], and the autoencoder that the recipe names.
fn encoded(config: &DataConfig, device: &Device) -> Result<(Dataset, Option<Autoencoder>), Error> {
    let dataset = data::load(config)?;
    let Some(name) = config.vae() else {
        return Ok((dataset, None));
    };
    let device = &device.clone().inner();
    let autoencoder = Autoencoder::named(name, device)?;
    let dataset = match dataset.codec() {
        Codec::Latents { .. } => autoencoder.decoding(name, dataset, device),
        Codec::Pixels(_) => autoencoder.encoding(name, dataset, device),
    };
    Ok((dataset?, Some(autoencoder)))
}

/// True for pixels of which the latents are few enough to be encoded once, before a training, and kept.
pub(super) fn keeps_latents(config: &DataConfig) -> bool {
    matches!(config, DataConfig::Emoji { vae: Some(_), .. })
}

/// The network of a checkpoint with these weights, ready to draw samples from.
///
/// # Errors
/// Weights that cannot be read or do not fit the recipe.
pub fn trained(
    recipe: &Recipe,
    dataset: &Dataset,
    saved: &Saved,
    weights: Weights,
    device: &Device,
) -> Result<Sit, Error> {
    let network = Sit::init(
        &network(recipe, dataset)?,
        &mut Stream::new(0, "replaced").at(&[]),
        device,
    )?;
    saved.load(weights, frozen_copy(&network))
}

/// What a recipe stands on, read before any plugin.
pub(super) struct Ground {
    pub dataset: Dataset,
    /// The autoencoder that the recipe names.
    pub autoencoder: Option<Autoencoder>,
    pub model: SitConfig,
    /// The teachers that come from files.
    pub teachers: Teachers,
    /// The encoder whose features sources may read.
    pub encoder: Option<Target>,
    /// Name and shape of the batch fields: the data's, and those that the encoder adds.
    pub fields: Vec<(String, Vec<usize>)>,
}

impl Ground {
    /// Reads data and encoder, and checks the network against them.
    ///
    /// # Errors
    /// Data or an encoder that cannot be read, a model that does not fit them.
    pub fn read(recipe: &Recipe, device: &Device) -> Result<Self, Error> {
        let (dataset, autoencoder) = encoded(&recipe.data, device)?;
        Self::on(dataset, autoencoder, recipe, device)
    }

    /// Reads the encoder, and checks the network against it and `dataset`, of which `autoencoder` makes latents or pictures.
    ///
    /// # Errors
    /// An encoder that cannot be read, a model that does not fit.
    pub fn on(
        dataset: Dataset,
        autoencoder: Option<Autoencoder>,
        recipe: &Recipe,
        device: &Device,
    ) -> Result<Self, Error> {
        let model = network(recipe, &dataset)?;
        check_no_decay(&recipe.optimiser, &model, device)?;
        let teachers = import::check(recipe, &model)?;
        let encoder = recipe.encoder.as_ref();
        let encoder = encoder.map(|encoder| Target::load(encoder, device)).transpose()?;
        let added = encoder.iter().flat_map(|encoder| encoder.fields(model.grid()));
        Ok(Self {
            fields: fields(&dataset).into_iter().chain(added).collect(),
            dataset,
            autoencoder,
            model,
            teachers,
            encoder,
        })
    }

    /// The sources of every phase, planned.
    ///
    /// # Errors
    /// A source that cannot be loaded, or does not fit.
    pub fn sources(&self, recipe: &Recipe, search: &SearchPath) -> Result<Vec<Sources>, Error> {
        let of = |phase: &Phase| load_sources(phase, search, &self.geometry(recipe, phase));
        recipe.phases.iter().map(of).collect()
    }

    fn geometry(&self, recipe: &Recipe, phase: &Phase) -> GuidanceGeometry {
        let (optimiser, diffusion) = (&recipe.optimiser, &recipe.diffusion);
        geometry(
            optimiser,
            diffusion,
            &self.model,
            self.teachers.get(&phase.name),
            phase,
            &self.fields,
        )
    }
}

/// Checks that `optimiser.no_decay` means parameters of this network.
fn check_no_decay(optimiser: &OptimiserRecipe, model: &SitConfig, device: &Device) -> Result<(), Error> {
    if optimiser.no_decay.is_empty() {
        return Ok(());
    }
    // The names do not depend on the widths.
    let narrow = SitConfig {
        hidden_size: 4,
        num_heads: 1,
        ..model.clone()
    };
    let network = Sit::init(&narrow, &mut Stream::new(0, "names").at(&[]), device)?;
    for (i, end) in optimiser.no_decay.iter().enumerate() {
        if parameter_ids(&network, |name| name.ends_with(end)).is_empty() {
            let reason = format!(
                "optimiser.no_decay.{i}: no parameter's name ends with {end:?}; names are such as blocks.0.attn.qkv.bias"
            );
            return Err(KeyError(reason).into());
        }
    }
    Ok(())
}

/// Name and shape of the batch fields that a data set has.
fn fields(dataset: &Dataset) -> Vec<(String, Vec<usize>)> {
    let fields = dataset.fields();
    fields.map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect()
}

fn network(recipe: &Recipe, dataset: &Dataset) -> Result<SitConfig, Error> {
    let [channels, side, _] = dataset.shape();
    let classes = dataset.class_names().len();
    Ok(SitConfig::of(&recipe.model, side, channels, classes)?)
}

fn load_sources(phase: &Phase, search: &SearchPath, geometry: &GuidanceGeometry) -> Result<Sources, Error> {
    Sources::load(&phase.guidance, search, geometry).map_err(|source| Error::Sources {
        phase: phase.name.clone(),
        source: Box::new(source),
    })
}

/// Geometry that the sources of a recipe's last phase plan for. Reads data and encoder, but no plugin.
///
/// # Errors
/// Data or an encoder that cannot be read, a model that does not fit them.
pub fn planned_geometry(recipe: &Recipe, device: &Device) -> Result<GuidanceGeometry, Error> {
    let phase = recipe.phases.last();
    let phase = phase.ok_or(Error::NoPhase)?;
    Ok(Ground::read(recipe, device)?.geometry(recipe, phase))
}

/// Geometry that the sources of a phase plan for; `teacher` is that of one from a file, an earlier phase's is the student's.
pub fn geometry(
    optimiser: &OptimiserRecipe,
    diffusion: &DiffusionRecipe,
    model: &SitConfig,
    teacher: Option<&SitConfig>,
    phase: &Phase,
    fields: &[(String, Vec<usize>)],
) -> GuidanceGeometry {
    let shape = |config: &SitConfig| NetworkShape {
        depth: config.depth,
        width: config.hidden_size,
        heads: config.num_heads,
        grid: [config.grid(); 2],
    };
    let network = shape(model);
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
        teacher: phase.teacher.as_ref().map(|_| shape(teacher.unwrap_or(model))),
        ema: network,
        fields: fields.to_vec(),
    }
}
