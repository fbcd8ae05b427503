//! The source under check.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;

use super::case::Case;
use super::field::FieldShape;
use crate::Error;
use sextant_guidance::{GuidanceError, GuidanceGeometry, Library, NetworkShape, SourcePlan, Sources};
use sextant_recipe::{Prediction, SourceConfig};

/// Depths of networks that are tried, until the plan accepts one.
const DEPTHS: [usize; 7] = [4, 8, 12, 16, 24, 28, 32];

/// Instance name of the source in every case: it keys draws and parameters.
pub(super) const NAME: &str = "subject";

/// Settings of a check.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The source's own configuration, as a recipe's `config` table.
    pub config: toml::Table,
    /// The name of the device, as `--device` takes it.
    pub device: String,
    /// Batch fields beside the [default ones](FieldShape::defaults); one of the same name replaces it.
    pub fields: Vec<FieldShape>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: toml::Table::new(),
            device: "cpu".into(),
            fields: Vec::new(),
        }
    }
}

/// A library with a configuration, on a device, with the data that it is offered.
#[derive(Clone)]
pub struct PluginUnderTest {
    library: Library,
    config: SourceConfig,
    device: Device,
    fields: Vec<FieldShape>,
    plan: SourcePlan,
    depth: usize,
    pulse: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl PluginUnderTest {
    /// Opens the library at `path` and looks for a geometry that its plan accepts.
    ///
    /// # Errors
    /// A library that cannot be loaded, or refuses its configuration or every geometry; a device that is not there.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, Error> {
        Self::new(Library::open(path)?, settings)
    }

    /// The same with a library that is open already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn new(library: Library, settings: Settings) -> Result<Self, Error> {
        let device = sextant_model::device::open(&settings.device)?.autodiff();
        let mut fields = settings.fields;
        for default in FieldShape::defaults() {
            if fields.iter().all(|field| field.name != default.name) {
                fields.push(default);
            }
        }
        let config = SourceConfig {
            name: Some(NAME.into()),
            coefficient: Some(1.0),
            config: settings.config,
            ..SourceConfig::new(library.path().display().to_string())
        };
        let (plan, depth) = probe(&library, &config, &fields)?;
        Ok(Self {
            library,
            config,
            device,
            fields,
            plan,
            depth,
            pulse: None,
        })
    }

    /// Calls `pulse` after each call of the library: a sign of life for who waits for it.
    pub fn with_pulse(mut self, pulse: impl Fn() + Send + Sync + 'static) -> Self {
        self.pulse = Some(Arc::new(pulse));
        self
    }

    /// The same source on another device.
    pub(super) fn on(&self, device: Device) -> Self {
        Self {
            device: device.autodiff(),
            ..self.clone()
        }
    }

    /// The library.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The plan for an ordinary geometry. That of a case may differ: ask its [`Harness`](super::Harness).
    pub fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// The device, with autodiff.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The batch fields of every case.
    pub fn fields(&self) -> &[FieldShape] {
        &self.fields
    }

    /// The least depth of networks that was tried and accepted.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The source's section of a recipe.
    pub(super) fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// A new instance, planned for the case, on the schedule of a section; no instance without one.
    pub(super) fn sources(&self, config: Option<SourceConfig>, case: &Case) -> Result<Sources, GuidanceError> {
        let opened = config.into_iter().map(|config| (config, self.library.clone()));
        let sources = Sources::with_libraries(opened.collect(), &geometry(case, &self.fields));
        self.beat();
        sources
    }

    /// Tells who waits that the library answered.
    pub(super) fn beat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse();
        }
    }
}

/// The plan of the one source.
pub(super) fn plan(sources: &Sources) -> SourcePlan {
    let plan = sources.plans().next().map(|(_, plan)| plan.clone());
    plan.expect("one source was given")
}

/// The geometry that a source plans for.
fn geometry(case: &Case, fields: &[FieldShape]) -> GuidanceGeometry {
    let network = |depth| NetworkShape {
        depth,
        width: case.width,
        heads: case.heads,
        grid: [case.grid; 2],
    };
    GuidanceGeometry {
        batch: case.samples.len().max(1),
        channels: case.channels,
        height: case.side(),
        width: case.side(),
        patch: case.patch,
        classes: case.classes,
        prediction: Prediction::Velocity,
        path: case.path,
        student: network(case.depth),
        teacher: Some(network(case.teacher_depth)),
        ema: network(case.depth),
        fields: fields
            .iter()
            .map(|field| (field.name.clone(), field.shape(case)))
            .collect(),
    }
}

/// The plan for the first geometry that is accepted, and its depth.
fn probe(
    library: &Library,
    config: &SourceConfig,
    fields: &[FieldShape],
) -> Result<(SourcePlan, usize), GuidanceError> {
    let mut refused = None;
    for depth in DEPTHS {
        let case = Case {
            depth,
            teacher_depth: depth,
            ..Case::plain()
        };
        match Sources::with_libraries(vec![(config.clone(), library.clone())], &geometry(&case, fields)) {
            Ok(sources) => return Ok((plan(&sources), depth)),
            Err(error @ GuidanceError::Plan { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.expect("there are depths"))
}
