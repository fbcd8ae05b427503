//! Mutants: compact copies of shipped sources, each with one fault, to show that a fault of its kind is found. Without a
//! `mutant` the copy is sound, so that what is found is the fault and not the copy.
//!
//! ```toml
//! plugin = "test-mutants"
//! config = { mutant = "wrong-axis" }                # or { source = "sra" } for a sound copy
//! ```
//!
//! `tests/caught.rs` runs the laws of the shipped sources on them; `sextant plugin check` the generic invariants.

mod earlier;
mod guided;
mod synchronised;

use serde::{Deserialize, Serialize};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, TimeRange, export_guidance};

/// The one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// `self-transcendence` whose mask leaves out the upper end: no sample at exactly `t_max` is guided. What the plan promises
    /// holds (the loss outside is 0), so only the source's law of its mask can see it, at times exactly on the end.
    MaskOffByOne,
    /// `layersync` that does not detach the deeper tokens: they are drawn to the shallow ones too. The loss has the same value,
    /// and a declared tap may have a gradient, so only the source's law of its gradients, or parity of a training, can see it.
    TeacherNotDetached,
    /// `layersync` whose cosine runs over the tokens instead of the channels. A fair loss by every generic law (`sra` has
    /// such a variant); the source's law of scale sees that a single token's length counts.
    WrongAxis,
    /// `layersync` that reads the deeper tokens without declaring them. The contract hands over what is declared: any step
    /// fails, with a message that names the depth.
    UndeclaredRead,
    /// `self-transcendence` that gives the teacher the label after dropout. A fair thing to do elsewhere (`sra` does it); the
    /// source's law of its teacher's conditions sees it.
    LabelAfterDropout,
    /// `self-transcendence` whose guidance scale is forgotten on one of its two terms, `u + w c - u`: right at scale 1 and
    /// nowhere else. The source's law of guidance in feature space sees it.
    ForgottenCoefficient,
    /// `layersync` with a warm-up of its own, which counts the calls in a static: the same step again is another number.
    StaticState,
    /// `sra` that draws its time from a generator of its own, seeded with the step and the row: the same step gives the same
    /// bits, but a permuted batch has other draws.
    ForeignRandom,
    /// `layersync` whose cosines are summed over tokens instead of averaged. Every generic law holds; the source's law sees a
    /// cosine below -1.
    SummedLoss,
    /// `layersync` with a weight t / t, which is 1, and not a number at t = 0.
    NanAtZero,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MaskOffByOne,
        Self::TeacherNotDetached,
        Self::WrongAxis,
        Self::UndeclaredRead,
        Self::LabelAfterDropout,
        Self::ForgottenCoefficient,
        Self::StaticState,
        Self::ForeignRandom,
        Self::SummedLoss,
        Self::NanAtZero,
    ];

    /// The source that it is a copy of.
    pub fn source(self) -> Source {
        match self {
            Self::MaskOffByOne | Self::LabelAfterDropout | Self::ForgottenCoefficient => Source::SelfTranscendence,
            Self::ForeignRandom => Source::Sra,
            _ => Source::Layersync,
        }
    }
}

/// Sources of which there are copies here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Shallow tokens against deeper ones.
    #[default]
    Layersync,
    /// Tokens against guided features of a frozen teacher.
    SelfTranscendence,
    /// Tokens against those of the moving average, a little earlier.
    Sra,
}

/// Settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The fault; none if left out.
    pub mutant: Option<Mutant>,
    /// The source that is copied; that of the mutant if left out, else `layersync`.
    pub source: Option<Source>,
    /// Feature guidance of `self-transcendence`.
    pub scale: f64,
    /// Width of the projector of `self-transcendence`.
    pub projector_width: usize,
    /// Least time that `self-transcendence` guides, inclusive.
    pub t_min: f64,
    /// Greatest time that `self-transcendence` guides, inclusive.
    pub t_max: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mutant: None,
            source: None,
            scale: 30.0,
            projector_width: 16,
            t_min: 0.4,
            t_max: 0.7,
        }
    }
}

impl Config {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn source(&self) -> Source {
        let of_mutant = self.mutant.map(Mutant::source);
        self.source.or(of_mutant).unwrap_or_default()
    }

    fn range(&self) -> Result<TimeRange, Error> {
        TimeRange::new(self.t_min, self.t_max)
    }
}

/// The source.
pub struct Mutants(Config);

impl GuidanceSource for Mutants {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        config.range()?;
        match config.mutant {
            Some(mutant) if mutant.source() != config.source() => Err(Error::new(format!(
                "the mutant {mutant:?} is a copy of {:?}, not of {:?}: leave `source` out",
                mutant.source(),
                config.source()
            ))),
            _ => Ok(Self(config)),
        }
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        match self.0.source() {
            Source::Layersync => synchronised::plan(&self.0, geometry),
            Source::SelfTranscendence => guided::plan(&self.0, geometry),
            Source::Sra => earlier::plan(geometry),
        }
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let loss = match self.0.source() {
            Source::Layersync => synchronised::loss(&self.0, step),
            Source::SelfTranscendence => guided::loss(&self.0, step),
            Source::Sra => earlier::loss(&self.0, step),
        };
        Ok(Guidance::new(loss?))
    }
}

export_guidance!(Mutants, name = "test-mutants");
