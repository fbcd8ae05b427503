//! All guidance sources of a phase: what the training loop sees.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use burn::tensor::Device;
use sextant_plugin_api::abi::{DType, Network};
use sextant_recipe::{SourceConfig, USUAL_COEFFICIENT, check_name, is_library_path};
use sextant_records::LibraryRecord;

use super::buffers::Buffers;
use super::error::GuidanceError;
use super::geometry::GuidanceGeometry;
use super::instance::Instance;
use super::library::Library;
use super::parameters::SourceParams;
use super::plan::SourcePlan;
use super::search::SearchPath;
use super::step::{GuidanceStep, Services, SourceLoss};
use super::watchdog::Watchdog;

/// The sources of a phase, ready to guide; one set a replica.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
    watchdog: Watchdog,
}

#[derive(Debug)]
struct Source {
    config: SourceConfig,
    plan: SourcePlan,
    instance: Instance,
}

impl Sources {
    /// Opens, verifies, configures, plans and checks every source, in the order of the recipe.
    pub fn load(
        configs: &[SourceConfig],
        search: &SearchPath,
        geometry: &GuidanceGeometry,
    ) -> Result<Self, GuidanceError> {
        let opened = configs.iter().map(|config| {
            config.validate()?;
            let path = search.resolve(&config.plugin)?;
            let library = match &config.sha256 {
                Some(pinned) => Library::open_pinned(&path, pinned, config.name.as_ref().unwrap_or(&config.plugin)),
                None => Library::open(&path),
            }?;
            Ok((config.clone(), library))
        });
        let opened = opened.collect::<Result<Vec<_>, GuidanceError>>()?;
        Self::with_libraries(opened, geometry)
    }

    /// As [`load`](Self::load), with libraries that are open already.
    pub fn with_libraries(
        opened: Vec<(SourceConfig, Library)>,
        geometry: &GuidanceGeometry,
    ) -> Result<Self, GuidanceError> {
        let mut names = BTreeSet::new();
        let mut sources = Vec::with_capacity(opened.len());
        for (config, library) in opened {
            config.validate()?;
            let name = instance_name(&config, &library);
            if !names.insert(name.clone()) {
                return Err(GuidanceError::Setting {
                    source_name: name.clone(),
                    key: "name",
                    reason: format!("\"{name}\" occurs twice: give each of the sources a `name` of its own"),
                });
            }
            let (config, settings) = resolved(config, &library, &name)?;
            let mut instance = Instance::create(&library, &name, &settings)?;
            let plan = instance.plan(geometry)?;
            // Parameters, checkpoints and the order of a step's lists all follow the plan.
            if instance.plan(geometry)? != plan {
                return Err(GuidanceError::Plan {
                    source_name: name,
                    reason:
                        "its plan changes from one call to the next, for the same geometry: a plan must be a function \
                             of the configuration and the geometry alone"
                            .into(),
                });
            }
            sources.push(Source { config, plan, instance });
        }
        let names = sources.iter().map(|source| source.instance.name().to_owned());
        Ok(Self {
            watchdog: Watchdog::new(names.collect()),
            sources,
        })
    }

    /// True if there is no source at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Instance names, in the order of the recipe.
    pub fn names(&self) -> Vec<&str> {
        self.plans().map(|(name, _)| name).collect()
    }

    /// Names and plans, in the order of the recipe.
    pub fn plans(&self) -> impl Iterator<Item = (&str, &SourcePlan)> {
        self.sources.iter().map(|source| (source.instance.name(), &source.plan))
    }

    /// The recipe's tables with what they left to the libraries: the coefficient that a source states, and its own keys at
    /// the defaults that its schema tells. A recipe with these trains the same when a library's defaults have changed.
    pub fn resolved_configs(&self) -> Vec<SourceConfig> {
        self.sources.iter().map(|source| source.config.clone()).collect()
    }

    /// Depths at which the student's tokens are needed, ascending: 0 is the embedding.
    pub fn student_depths(&self) -> Vec<usize> {
        self.sorted(|plan| plan.depths(Network::Student))
    }

    /// Depths of the student's blocks whose attention probabilities are needed, ascending.
    pub fn attention_depths(&self) -> Vec<usize> {
        self.sorted(SourcePlan::attention_depths)
    }

    /// Names of the batch fields that sources read, sorted.
    pub fn fields(&self) -> Vec<String> {
        self.sorted(|plan| plan.fields.clone())
    }

    /// Names of the batch fields that the sources read which are called at `step`, sorted.
    pub fn fields_at(&self, step: u64) -> Vec<String> {
        let active = self.sources.iter().filter(|source| source.config.active_at(step));
        let named: BTreeSet<&String> = active.flat_map(|source| &source.plan.fields).collect();
        named.into_iter().cloned().collect()
    }

    /// Tells whether a source reads one of these `fields` at any step from `step` on.
    pub fn reads_from(&self, step: u64, fields: &[String]) -> bool {
        let reads = |source: &Source| source.plan.fields.iter().any(|field| fields.contains(field));
        self.sources
            .iter()
            .any(|source| source.config.active_from(step) && reads(source))
    }

    /// Everything that the plans name of one kind, sorted, each once.
    fn sorted<T: Ord>(&self, of: impl Fn(&SourcePlan) -> Vec<T>) -> Vec<T> {
        let named: BTreeSet<T> = self.plans().flat_map(|(_, plan)| of(plan)).collect();
        named.into_iter().collect()
    }

    /// Tells whether a source needs the teacher at any step from `step` on: where not, the teacher can be let go.
    pub fn needs_teacher_from(&self, step: u64) -> bool {
        let needs = |source: &Source| source.plan.needs(Network::Teacher) && source.config.active_from(step);
        self.sources.iter().any(needs)
    }

    /// Names of the sources that are called at `step`.
    pub fn active_at(&self, step: u64) -> Vec<&str> {
        let active = self.sources.iter().filter(|source| source.config.active_at(step));
        active.map(|source| source.instance.name()).collect()
    }

    /// The steps `0..steps`, cut where a source begins or ends to be called.
    pub fn active_intervals(&self, steps: u64) -> Vec<Range<u64>> {
        let configs = self.sources.iter().map(|source| &source.config);
        let ends = configs.flat_map(|config| std::iter::once(config.start_step).chain(config.stop_step));
        let cuts: BTreeSet<u64> = ends.filter(|end| *end < steps).chain([0, steps]).collect();
        let cuts: Vec<u64> = cuts.into_iter().collect();
        cuts.windows(2).map(|ends| ends[0]..ends[1]).collect()
    }

    /// Tells whether a source may ask for the output of a frozen network.
    pub fn asks_for_outputs(&self) -> bool {
        self.plans()
            .any(|(_, plan)| plan.needs_output(Network::Teacher) || plan.needs_output(Network::Ema))
    }

    /// The deepest block of a frozen network that a source may ask for, if any does.
    pub fn deepest_asked(&self) -> Option<usize> {
        let depths =
            |(_, plan): (&str, &SourcePlan)| [plan.depths(Network::Teacher), plan.depths(Network::Ema)].concat();
        self.plans().flat_map(depths).max()
    }

    /// The blocks that a frozen network needs, from the first on, for what sources may ask of it; none where it needs them all.
    pub fn blocks_asked(&self) -> Option<usize> {
        self.deepest_asked().filter(|_| !self.asks_for_outputs())
    }

    /// Number of scalars of the sources' parameters that are optimised, from their plans.
    pub fn trainable_count(&self) -> usize {
        let parameters = self.plans().flat_map(|(_, plan)| &plan.parameters);
        let trainable = parameters.filter(|parameter| parameter.trainable);
        trainable
            .map(|parameter| parameter.shape.iter().product::<usize>())
            .sum()
    }

    /// Shape of every parameter of the sources, from their plans, and whether it is optimised.
    pub fn parameter_shapes(&self) -> impl Iterator<Item = (&[usize], bool)> {
        let parameters = self.sources.iter().flat_map(|source| &source.plan.parameters);
        parameters.map(|parameter| (parameter.shape.as_slice(), parameter.trainable))
    }

    /// Bytes of the sources' buffers, from their plans.
    pub fn buffer_bytes(&self) -> u64 {
        let buffers = self.sources.iter().flat_map(|source| &source.plan.buffers);
        let bytes = buffers.map(|buffer| {
            let value = match buffer.dtype {
                DType::Int => 8,
                DType::Bool => 1,
                _ => 4,
            };
            value * buffer.shape.iter().product::<usize>() as u64
        });
        bytes.sum()
    }

    /// The most tensors that each source has held at once in a step so far, all sources added up.
    pub fn handle_slots(&self) -> usize {
        self.sources.iter().map(|source| source.instance.handle_slots()).sum()
    }

    /// The libraries that were loaded, for the run's record.
    pub fn libraries(&self) -> Vec<LibraryRecord> {
        let record = |source: &Source| {
            let library = source.instance.library();
            let (major, minor) = library.abi();
            LibraryRecord {
                source: source.instance.name().to_owned(),
                plugin: library.name().to_owned(),
                version: library.version().to_owned(),
                abi: format!("{major}.{minor}"),
                sha256: library.sha256().to_owned(),
                path: library.path().display().to_string(),
            }
        };
        self.sources.iter().map(record).collect()
    }

    /// The sources' parameters at their beginning. On a device with autodiff, the trainable ones require gradients.
    pub fn init_parameters(&self, seed: u64, device: &Device) -> SourceParams {
        let mut params = SourceParams::default();
        for (name, plan) in self.plans() {
            params.add(name, &plan.parameters, seed, device);
        }
        params
    }

    /// The sources' buffers at their beginning.
    pub fn init_buffers(&self, seed: u64, device: &Device) -> Buffers {
        let mut buffers = Buffers::default();
        for (name, plan) in self.plans() {
            buffers.add(name, &plan.buffers, seed, device);
        }
        buffers
    }

    /// Calls every source that is active at the step, in the order of the recipe. The first error ends it.
    pub fn guide(
        &mut self,
        step: GuidanceStep<'_>,
        params: &SourceParams,
        buffers: &Buffers,
        mut services: Services<'_>,
    ) -> Result<Vec<SourceLoss>, GuidanceError> {
        let mut losses = Vec::new();
        for (place, Source { config, plan, instance }) in self.sources.iter_mut().enumerate() {
            if !config.active_at(step.batch.step) {
                continue;
            }
            let name = instance.name().to_owned();
            let (values, state) = (params.tensors(&name), buffers.tensors(&name));
            if values.len() != plan.parameters.len() || state.len() != plan.buffers.len() {
                return Err(GuidanceError::Missing {
                    source_name: name,
                    step: step.batch.step,
                    what: "its own parameters and buffers".into(),
                });
            }
            let inside = self.watchdog.watch(place, step.batch.step);
            let answer = instance.guide(plan, &step, values, state, &mut services)?;
            drop(inside);
            let metrics = answer.metrics.into_iter();
            let buffers = answer.buffers.into_iter();
            losses.push(SourceLoss {
                name,
                coefficient: config.coefficient_at(step.batch.step),
                loss: answer.loss,
                denoising_weight: answer.denoising_weight,
                metrics: metrics
                    .map(|(index, value)| (plan.metrics[index].clone(), value))
                    .collect(),
                buffers: buffers
                    .map(|(index, value)| (plan.buffers[index].name.clone(), value))
                    .collect(),
            });
        }
        Ok(losses)
    }
}

/// A source's table with nothing left to its library, as far as the library tells; and its own keys as they are handed over.
fn resolved(
    mut config: SourceConfig,
    library: &Library,
    name: &str,
) -> Result<(SourceConfig, serde_json::Value), GuidanceError> {
    for (key, default) in library.config_defaults() {
        config.config.entry(key).or_insert(default);
    }
    let settings = serde_json::to_value(&config.config).map_err(|error| GuidanceError::Setting {
        source_name: name.to_owned(),
        key: "config",
        reason: format!("cannot be handed over: {error}"),
    })?;
    if config.coefficient.is_none() {
        config.coefficient = Some(library.coefficient(&settings)?.unwrap_or(USUAL_COEFFICIENT));
    }
    Ok((config, settings))
}

/// The recipe's name; else the plugin's; where that cannot be an instance's name, the file's.
fn instance_name(config: &SourceConfig, library: &Library) -> String {
    if let Some(name) = &config.name {
        return name.clone();
    }
    if !is_library_path(&config.plugin) && check_name(&config.plugin).is_ok() {
        return config.plugin.clone();
    }
    if check_name(library.name()).is_ok() {
        return library.name().to_owned();
    }
    let stem = Path::new(&config.plugin).file_stem().unwrap_or_default();
    let allowed = |c: char| if check_name(&c.to_string()).is_ok() { c } else { '_' };
    stem.to_string_lossy().chars().map(allowed).collect()
}
