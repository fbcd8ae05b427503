//! A source that works until a step, then fails as its configuration says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

/// A way to fail.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It does not.
    #[default]
    Never,
    /// `guide` returns an error.
    Error,
    /// `guide` panics.
    Panic,
    /// The loss has the wrong shape.
    Shape,
    /// An operation gets shapes that do not fit.
    Operation,
    /// The loss is not a number.
    Nan,
    /// `guide` does not return within a test's time.
    Stall,
    /// `guide` returns an error when it is called once more at the step, as a diagnostic pass does.
    Again,
    /// `new` panics.
    PanicInNew,
    /// `plan` panics.
    PanicInPlan,
    /// Dropping the source panics.
    PanicInDrop,
}

/// When and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    how: How,
    /// The step, counted from 1; 0 is every step.
    step: u64,
    /// Fails where it sees this sample alone, which one of several ranks does.
    sample: Option<u64>,
}

/// The source, with the calls of `guide` at its step so far.
pub struct Faulty(Config, AtomicU64);

impl GuidanceSource for Faulty {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        assert!(config.how != How::PanicInNew, "asked to panic in new");
        Ok(Self(config, AtomicU64::new(0)))
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        assert!(self.0.how != How::PanicInPlan, "asked to panic in plan");
        Ok(Plan::new().tap(1))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let loss = step.tap(1)?.square().mean_per_sample();
        if ![0, step.index() + 1].contains(&self.0.step) {
            return Ok(Guidance::new(loss));
        }
        if self.0.sample.is_some_and(|sample| !step.sample_ids().contains(&sample)) {
            return Ok(Guidance::new(loss));
        }
        match self.0.how {
            How::Never | How::PanicInNew | How::PanicInPlan | How::PanicInDrop => Ok(Guidance::new(loss)),
            How::Again if self.1.fetch_add(1, Ordering::Relaxed) > 0 => Err(Error::new("asked to fail")),
            How::Again => Ok(Guidance::new(loss)),
            How::Error => Err(Error::new("asked to fail")),
            How::Panic => panic!("asked to panic"),
            How::Shape => Ok(Guidance::new(loss.sum_keep(&[0]))),
            How::Operation => Ok(Guidance::new(loss + step.x())),
            How::Nan => Ok(Guidance::new((-loss - 1.0).log())),
            How::Stall => {
                std::thread::sleep(Duration::from_secs(3600));
                Err(Error::new("asked to stall"))
            }
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        assert!(self.0.how != How::PanicInDrop, "asked to panic in drop");
    }
}

export_guidance!(Faulty, name = "test-faulty");
