//! All guidance sources of a phase: what the training loop sees.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use sextant_plugin_api::abi::Network;
use serde::{Deserialize, Serialize};

use super::buffers::Buffers;
use super::config::{SourceConfig, check_name};
use super::error::GuidanceError;
use super::geometry::GuidanceGeometry;
use super::instance::Instance;
use super::library::Library;
use super::parameters::SourceParams;
use super::plan::SourcePlan;
use super::search::{SearchPath, is_path};
use super::step::{GuidanceStep, Services, SourceLoss};

/// The sources of a phase, ready to guide; one set a replica.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    config: SourceConfig,
    plan: SourcePlan,
    instance: Instance,
}

/// What a run records of a library that it loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryRecord {
    /// Instance name.
    pub source: String,
    /// The plugin's own name.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// Version of the contract that it was built with.
    pub abi: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Where it was found.
    pub path: String,
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
            let settings = serde_json::to_value(&config.config).map_err(|error| GuidanceError::Setting {
                source_name: name.clone(),
                key: "config",
                reason: format!("cannot be handed over: {error}"),
            })?;
            let mut instance = Instance::create(&library, &name, &settings)?;
            let plan = instance.plan(geometry)?;
            sources.push(Source { config, plan, instance });
        }
        Ok(Self { sources })
    }

    /// Whether there is no source at all.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Instance names, in the order of the recipe.
    pub fn names(&self) -> Vec<&str> {
        self.sources.iter().map(|source| source.instance.name()).collect()
    }

    /// Names and plans, in the order of the recipe.
    pub fn plans(&self) -> impl Iterator<Item = (&str, &SourcePlan)> {
        self.sources.iter().map(|source| (source.instance.name(), &source.plan))
    }

    /// Depths at which the student's tokens are needed, ascending: 0 is the embedding.
    pub fn student_depths(&self) -> Vec<usize> {
        let depths = self.sources.iter().flat_map(|source| source.plan.depths(Network::Student));
        depths.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a source needs the student's output.
    pub fn needs_output(&self) -> bool {
        self.sources.iter().any(|source| source.plan.needs_output())
    }

    /// Whether a source needs the teacher at any step.
    pub fn needs_teacher(&self) -> bool {
        self.needs_teacher_from(0)
    }

    /// Whether a source needs the teacher at any step from `step` on: where not, the teacher can be let go.
    pub fn needs_teacher_from(&self, step: u64) -> bool {
        self.needs_from(Network::Teacher, step)
    }

    /// Whether a source reads the moving average at any step.
    pub fn needs_ema(&self) -> bool {
        self.needs_from(Network::Ema, 0)
    }

    fn needs_from(&self, network: Network, step: u64) -> bool {
        self.sources
            .iter()
            .any(|source| source.plan.needs(network) && source.config.active_from(step))
    }

    /// Names of the batch fields that sources read, sorted.
    pub fn fields(&self) -> Vec<String> {
        let fields = self.sources.iter().flat_map(|source| source.plan.fields.iter().cloned());
        fields.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Names of the sources that are called at `step`.
    pub fn active_at(&self, step: u64) -> Vec<&str> {
        let active = self.sources.iter().filter(|source| source.config.active_at(step));
        active.map(|source| source.instance.name()).collect()
    }

    /// What was loaded, for the run's record.
    pub fn libraries(&self) -> Vec<LibraryRecord> {
        self.sources
            .iter()
            .map(|source| {
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
            })
            .collect()
    }

    /// The sources' parameters at their beginning. On a device with autodiff, the trainable ones require gradients.
    pub fn init_parameters(&self, seed: u64, device: &Device) -> SourceParams {
        let mut params = SourceParams::default();
        for source in &self.sources {
            params.add(source.instance.name(), &source.plan.parameters, seed, device);
        }
        params
    }

    /// The sources' buffers at their beginning.
    pub fn init_buffers(&self, seed: u64, device: &Device) -> Buffers {
        let mut buffers = Buffers::default();
        for source in &self.sources {
            buffers.add(source.instance.name(), &source.plan.buffers, seed, device);
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
        for Source { config, plan, instance } in &mut self.sources {
            if !config.active_at(step.index) {
                continue;
            }
            let name = instance.name().to_owned();
            let (values, state) = (params.tensors(&name), buffers.tensors(&name));
            if values.len() != plan.parameters.len() || state.len() != plan.buffers.len() {
                return Err(GuidanceError::Missing {
                    source_name: name,
                    step: step.index,
                    what: "its own parameters and buffers".into(),
                });
            }
            let answer = instance.guide(plan, &step, values, state, &mut services)?;
            let metrics = answer.metrics.into_iter();
            let buffers = answer.buffers.into_iter();
            losses.push(SourceLoss {
                name,
                coefficient: config.coefficient_at(step.index),
                loss: answer.loss,
                denoising_weight: answer.denoising_weight,
                metrics: metrics.map(|(index, value)| (plan.metrics[index].clone(), value)).collect(),
                buffers: buffers.map(|(index, value)| (plan.buffers[index].name.clone(), value)).collect(),
            });
        }
        Ok(losses)
    }
}

/// The recipe's name; else the plugin's; where that cannot be an instance's name, the file's.
fn instance_name(config: &SourceConfig, library: &Library) -> String {
    if let Some(name) = &config.name {
        return name.clone();
    }
    if !is_path(&config.plugin) && check_name(&config.plugin).is_ok() {
        return config.plugin.clone();
    }
    if check_name(library.name()).is_ok() {
        return library.name().to_owned();
    }
    let stem = Path::new(&config.plugin).file_stem().unwrap_or_default().to_string_lossy();
    stem.chars().map(|c| if check_name(&c.to_string()).is_ok() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::TensorData;
    use sextant_plugin_api::{
        Buffer, Condition, Error, Geometry, Guidance, GuidanceSource, Init, Plan, Step, describe_guidance,
        descriptor,
    };

    use super::super::fixture::{StepFixture, geometry, scripted};
    use super::*;

    /// A source that uses everything, written as an author would.
    struct Everything(Config);

    #[derive(serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        depth: u32,
        field: String,
        panic: bool,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { depth: 2, field: "features".into(), panic: false }
        }
    }

    impl GuidanceSource for Everything {
        type Config = Config;

        fn new(config: Config) -> Result<Self, Error> {
            Ok(Self(config))
        }

        fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
            Ok(Plan::new()
                .tap(self.0.depth)
                .teacher(2)
                .field(self.0.field.clone())
                .parameter("head.weight", [6, 8], Init::XavierUniform)
                .buffer(Buffer::new("seen", [1], Init::Constant(0.0)))
                .metric("mean"))
        }

        fn guide(&self, step: &Step) -> Result<Guidance, Error> {
            assert!(!self.0.panic, "asked to");
            let h = step.tap(self.0.depth)?.linear(step.parameter("head.weight")?, None);
            let z = step.field("features")?;
            let rows = [1u32, 2];
            let x_t = step.x_t().gather(0, &rows);
            let t = step.t().gather(0, &rows);
            let conditions = [Condition::Own; 2];
            let teacher = step.forward(sextant_plugin_api::Network::Teacher, x_t, t, &[2], &rows, &conditions)?.remove(0);
            let near = (h - z).square().mean_per_sample();
            let weight = teacher.square().mean_per_sample().scatter(0, &rows, step.batch());
            let loss = near * weight;
            Ok(Guidance::new(loss.clone())
                .metric("mean", loss.mean(&[0]))
                .buffer("seen", step.buffer("seen")? + 1.0))
        }
    }

    describe_guidance!(Everything, name = "everything");

    fn library() -> Library {
        // SAFETY: written by the public API, which keeps the contract.
        #[allow(unsafe_code)]
        unsafe { Library::in_process(&*descriptor::<Everything>()) }.unwrap()
    }

    fn config(text: &str) -> SourceConfig {
        toml::from_str(&format!("plugin = \"everything\"\n{text}")).unwrap()
    }

    fn load(texts: &[&str], geometry: &GuidanceGeometry) -> Result<Sources, GuidanceError> {
        Sources::with_libraries(texts.iter().map(|text| (config(text), library())).collect(), geometry)
    }

    #[test]
    fn should_say_what_its_sources_need() {
        let sources = load(&["", "name = \"b\"\nstart_step = 5\nstop_step = 9\nconfig.depth = 0"], &geometry()).unwrap();
        assert_eq!(sources.names(), ["everything", "b"]);
        assert_eq!(sources.student_depths(), [0, 2]);
        assert_eq!(sources.fields(), ["features"]);
        assert!(sources.needs_teacher() && !sources.needs_ema() && !sources.needs_output());
        assert_eq!(sources.active_at(4), ["everything"]);
        assert_eq!(sources.active_at(5), ["everything", "b"]);
        let stopping = load(&["stop_step = 9"], &geometry()).unwrap();
        assert!(stopping.needs_teacher_from(8) && !stopping.needs_teacher_from(9));
        assert_eq!(sources.libraries()[1].plugin, "everything");
        fn sendable<T: Send>(_: T) {}
        sendable(sources);
    }

    #[test]
    fn should_guide_with_every_active_source() {
        let mut sources = load(&["coefficient = 2.0", "name = \"late\"\nstart_step = 5"], &geometry()).unwrap();
        let device = Device::flex().autodiff();
        let (params, mut buffers) = (sources.init_parameters(1, &device), sources.init_buffers(1, &device));
        assert_eq!(params.named().keys().collect::<Vec<_>>(), ["everything.head.weight", "late.head.weight"]);
        let mut fixture = StepFixture::new();
        for (index, names) in [(4, vec!["everything"]), (5, vec!["everything", "late"])] {
            let tap = fixture.taps[&2].clone();
            let (step, services) = fixture.parts(index);
            let losses = sources.guide(step, &params, &buffers, services).unwrap();
            assert_eq!(losses.iter().map(|loss| loss.name.as_str()).collect::<Vec<_>>(), names);
            let first = &losses[0];
            assert_eq!(first.coefficient, 2.0);
            let values: Vec<f32> = first.loss.to_data().try_to_vec().unwrap();
            // Samples 0 and 3 have no teacher's weight.
            assert!(values[0] == 0.0 && values[1] > 0.0 && values[2] > 0.0 && values[3] == 0.0, "{values:?}");
            assert_eq!(first.metrics[0].0, "mean");
            let mean = first.metrics[0].1.to_data().try_to_vec::<f32>().unwrap()[0];
            assert!((mean - values.iter().sum::<f32>() / 4.0).abs() < 1e-6);
            let mut gradients = first.loss.clone().sum().backward();
            assert!(tap.grad(&gradients).is_some());
            let of_params = burn::optim::GradientsParams::from_module(&mut gradients, &params);
            assert_eq!(of_params.len(), 1);
            buffers.commit(&losses);
        }
        let seen = buffers.named().unwrap();
        assert_eq!(seen["everything.seen"], TensorData::from([2f32]));
        assert_eq!(seen["late.seen"], TensorData::from([1f32]));
        assert_eq!((fixture.counters.rows, fixture.counters.calls), (6, 3));
    }

    #[test]
    fn should_turn_a_panic_of_a_source_into_an_error() {
        let mut sources = load(&["config.panic = true"], &geometry()).unwrap();
        let device = Device::flex().autodiff();
        let (params, buffers) = (sources.init_parameters(1, &device), sources.init_buffers(1, &device));
        let mut fixture = StepFixture::new();
        let (step, services) = fixture.parts(7);
        let error = sources.guide(step, &params, &buffers, services).unwrap_err().to_string();
        assert!(error.contains("asked to") && error.contains("step 7") && error.contains("\"everything\""), "{error}");
    }

    #[test]
    fn should_name_the_source_and_the_setting_at_fault() {
        let mut poor = geometry();
        poor.fields.clear();
        let mut alone = geometry();
        alone.teacher = None;
        for (error, part) in [
            (load(&["", ""], &geometry()), "occurs twice"),
            (load(&["config.dpeth = 1"], &geometry()), "dpeth"),
            (load(&["config.depth = 4"], &geometry()), "depth 4 of the student"),
            (load(&["config.field = \"dino\""], &geometry()), "fields of the data: features"),
            (load(&[""], &poor), "fields of the data: none"),
            (load(&[""], &alone), "set `teacher`"),
            (load(&["coefficient = nan"], &geometry()), "coefficient is NaN"),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("\"everything\""), "{part} in {error}");
        }
        let missing = Sources::load(&[SourceConfig::new("nowhere")], &SearchPath::only(vec![]), &geometry());
        assert!(missing.unwrap_err().to_string().contains("\"nowhere\" is not installed"));
    }

    #[test]
    fn should_miss_a_teacher_that_is_not_given() {
        let mut sources = load(&[""], &geometry()).unwrap();
        let device = Device::flex().autodiff();
        let (params, buffers) = (sources.init_parameters(1, &device), sources.init_buffers(1, &device));
        let mut fixture = StepFixture::new();
        let (step, mut services) = fixture.parts(0);
        services.teacher = None;
        let error = sources.guide(step, &params, &buffers, services).unwrap_err().to_string();
        assert!(error.contains("the teacher"), "{error}");
    }

    #[test]
    fn should_draw_the_same_beginning_for_the_same_seed() {
        let sources = load(&[""], &geometry()).unwrap();
        let draw = |seed| sources.init_parameters(seed, &Device::flex().autodiff()).named();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn should_not_create_a_source_without_its_consent() {
        let (library, _) = scripted(|_, _| Ok(()));
        let error = Sources::with_libraries(vec![(SourceConfig::new("scripted"), library)], &geometry()).unwrap_err();
        assert!(matches!(error, GuidanceError::Create { .. }), "{error}");
        let empty = Sources::with_libraries(vec![], &geometry()).unwrap();
        assert!(empty.is_empty() && BTreeMap::<String, TensorData>::new() == empty.init_parameters(1, &Device::flex()).named());
    }
}
