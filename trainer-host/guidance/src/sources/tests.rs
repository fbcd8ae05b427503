use burn::tensor::TensorData;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Buffer, Condition, Error, Geometry, Guidance, GuidanceSource, Init, PathKind, Plan, PredictionKind, SettingMeaning,
    Step, describe_guidance, descriptor,
};

use super::*;
use crate::fixture::{StepFixture, geometry, scripted};
use sextant_recipe::{Path, Prediction};

/// A source that uses everything, written as an author would.
struct Everything(Config);

#[derive(serde::Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    depth: u32,
    field: String,
    panic: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: 2,
            field: "features".into(),
            panic: false,
        }
    }
}

impl GuidanceSource for Everything {
    type Config = Config;

    fn coefficient(config: &Config) -> Option<f64> {
        Some(f64::from(config.depth) / 8.0)
    }

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let prediction = geometry.prediction.ok_or("no prediction")?;
        let path = geometry.path.ok_or("no path")?;
        Ok(Plan::new()
            .setting("prediction", f64::from(prediction as u32), SettingMeaning::Plain)
            .setting("path", f64::from(path as u32), SettingMeaning::FeatureGuidance)
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
        let teacher = step
            .forward(sextant_plugin_api::Network::Teacher, x_t, t, &[2], &rows, &conditions)?
            .remove(0);
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
    unsafe { Library::in_process(descriptor::<Everything>()) }.unwrap()
}

fn config(text: &str) -> SourceConfig {
    toml::from_str(&format!("plugin = \"everything\"\n{text}")).unwrap()
}

fn load(texts: &[&str], geometry: &GuidanceGeometry) -> Result<Sources, GuidanceError> {
    Sources::with_libraries(texts.iter().map(|text| (config(text), library())).collect(), geometry)
}

/// Sources with their parameters, their buffers and a step.
struct Bench(Sources, SourceParams, Buffers, StepFixture);

impl Bench {
    fn new(texts: &[&str]) -> Self {
        let (sources, device) = (load(texts, &geometry()).unwrap(), Device::flex().autodiff());
        let (params, buffers) = (sources.init_parameters(1, &device), sources.init_buffers(1, &device));
        Self(sources, params, buffers, StepFixture::new())
    }

    fn guide(&mut self, index: u64, change: impl FnOnce(&mut Services<'_>)) -> Result<Vec<SourceLoss>, String> {
        let (step, mut services) = self.3.parts(index);
        change(&mut services);
        let losses = self.0.guide(step, &self.1, &self.2, services);
        losses.map_err(|error| error.to_string())
    }
}

#[test]
fn should_say_what_its_sources_need() {
    let second = "name = \"b\"\nstart_step = 5\nstop_step = 9\nconfig.depth = 0";
    let sources = load(&["", second], &geometry()).unwrap();
    assert_eq!(sources.names(), ["everything", "b"]);
    assert_eq!(sources.student_depths(), [0, 2]);
    assert_eq!(sources.fields(), ["features"]);
    let none = |plan: &SourcePlan| !plan.needs(Network::Ema) && !plan.needs_output(Network::Student);
    assert!(sources.needs_teacher_from(0) && sources.plans().all(|(_, plan)| none(plan)));
    assert_eq!(sources.active_at(4), ["everything"]);
    assert_eq!(sources.active_at(5), ["everything", "b"]);
    assert_eq!(sources.active_intervals(12), [0..5, 5..9, 9..12]);
    assert_eq!(sources.active_intervals(6), [0..5, 5..6]);
    assert_eq!(sources.deepest_asked(), Some(2));
    assert_eq!(sources.trainable_count(), 2 * 6 * 8);
    let stopping = load(&["stop_step = 9"], &geometry()).unwrap();
    assert!(stopping.needs_teacher_from(8) && !stopping.needs_teacher_from(9));
    assert_eq!(sources.libraries()[1].plugin, "everything");
    fn sendable<T: Send>(_: T) {}
    sendable(sources);
}

#[test]
fn should_tell_prediction_and_path_and_take_settings() {
    use PredictionKind as Kind;
    for (prediction, path, told) in [
        (Prediction::Velocity, Path::Linear, (Kind::Velocity, PathKind::Linear)),
        (Prediction::Data, Path::Cosine, (Kind::Data, PathKind::Cosine)),
        (Prediction::Noise, Path::Linear, (Kind::Noise, PathKind::Linear)),
    ] {
        let mut geometry = geometry();
        (geometry.prediction, geometry.path) = (prediction, path);
        let sources = load(&[""], &geometry).unwrap();
        let (_, plan) = sources.plans().next().unwrap();
        let names: Vec<&str> = plan.settings.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(names, ["prediction", "path"]);
        let of = |meaning| plan.setting(meaning).unwrap() as u32;
        assert_eq!(of(SettingMeaning::Plain), told.0 as u32);
        assert_eq!(of(SettingMeaning::FeatureGuidance), told.1 as u32);
    }
}

#[test]
fn should_leave_nothing_to_the_library_that_it_tells() {
    let given = "name = \"b\"\ncoefficient = 2.0\nstop_step = 9\nconfig.depth = 0";
    let sources = load(&["", given], &geometry()).unwrap();
    let whole = |text: &str| config(&format!("{text}\nconfig.field = \"features\"\nconfig.panic = false"));
    let wanted = [whole("coefficient = 0.25\nconfig.depth = 2"), whole(given)];
    assert_eq!(sources.resolved_configs(), wanted, "what was given stays");
    // What it states is a function of the configuration.
    let deeper = load(&["config.depth = 1"], &geometry()).unwrap();
    assert_eq!(deeper.resolved_configs()[0].coefficient, Some(0.125));
    // And what was resolved once is so for ever.
    let libraries = wanted.iter().map(|config| (config.clone(), library()));
    let again = Sources::with_libraries(libraries.collect(), &geometry()).unwrap();
    assert_eq!(again.resolved_configs(), wanted);
}

#[test]
fn should_guide_with_the_coefficient_that_a_source_states() {
    let losses = Bench::new(&["", "name = \"given\"\ncoefficient = 3.0"]).guide(0, |_| ());
    let coefficients: Vec<f64> = losses.unwrap().iter().map(|loss| loss.coefficient).collect();
    assert_eq!(coefficients, [0.25, 3.0]);
}

#[test]
fn should_guide_with_every_active_source() {
    let mut bench = Bench::new(&["coefficient = 2.0", "name = \"late\"\nstart_step = 5"]);
    let named: Vec<String> = bench.1.named().into_keys().collect();
    assert_eq!(named, ["everything.head.weight", "late.head.weight"]);
    for (index, names) in [(4, vec!["everything"]), (5, vec!["everything", "late"])] {
        let tap = bench.3.taps[&2].clone();
        let losses = bench.guide(index, |_| ()).unwrap();
        assert_eq!(losses.iter().map(|loss| loss.name.as_str()).collect::<Vec<_>>(), names);
        let first = &losses[0];
        assert_eq!(first.coefficient, 2.0);
        let values: Vec<f32> = first.loss.to_data().try_to_vec().unwrap();
        // Samples 0 and 3 have no teacher's weight.
        assert!(
            values[0] == 0.0 && values[1] > 0.0 && values[2] > 0.0 && values[3] == 0.0,
            "{values:?}"
        );
        assert_eq!(first.metrics[0].0, "mean");
        let mean = first.metrics[0].1.to_data().try_to_vec::<f32>().unwrap()[0];
        assert!((mean - values.iter().sum::<f32>() / 4.0).abs() < 1e-6);
        let mut gradients = first.loss.clone().sum().backward();
        assert!(tap.grad(&gradients).is_some());
        let of_params = burn::optim::GradientsParams::from_module(&mut gradients, &bench.1);
        assert_eq!(of_params.len(), 1);
        bench.2.commit(&losses);
    }
    let seen = bench.2.named().unwrap();
    assert_eq!(seen["everything.seen"], TensorData::from([2f32]));
    assert_eq!(seen["late.seen"], TensorData::from([1f32]));
    assert_eq!((bench.3.counters.rows, bench.3.counters.calls), (6, 3));
}

#[test]
fn should_turn_a_panic_of_a_source_into_an_error() {
    let error = Bench::new(&["config.panic = true"]).guide(7, |_| ()).unwrap_err();
    for part in ["asked to", "step 8", "\"everything\""] {
        assert!(error.contains(part), "{part} in {error}");
    }
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
        (
            load(&["config.field = \"dino\""], &geometry()),
            "fields of the data: features",
        ),
        (load(&[""], &poor), "fields of the data: none"),
        (load(&[""], &alone), "set `teacher`"),
        (load(&["coefficient = nan"], &geometry()), "coefficient is NaN"),
    ] {
        let error = error.unwrap_err().to_string();
        let named = error.contains("\"everything\"");
        assert!(named && error.contains(part), "{part} in {error}");
    }
    let missing = Sources::load(&[SourceConfig::new("nowhere")], &SearchPath::only(vec![]), &geometry());
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("\"nowhere\" is not installed"), "{missing}");
}

#[test]
fn should_miss_a_teacher_that_is_not_given() {
    let error = Bench::new(&[""]).guide(0, |services| services.teacher = None);
    let error = error.unwrap_err();
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
    assert!(empty.is_empty() && empty.init_parameters(1, &Device::flex()).named().is_empty());
}
