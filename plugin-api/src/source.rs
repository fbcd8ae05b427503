//! The trait that an author implements, and what `guide` answers.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Error, Geometry, Plan, Step, Tensor};

/// A source of guidance.
///
/// The host makes an instance for each device from the recipe's keys, asks it for a [`Plan`], and then for the
/// [`Guidance`] of each micro-batch. An instance keeps no tensors: parameters and buffers are declared in the
/// plan and live in the host. It is never called from two threads at once, but may move between them.
pub trait GuidanceSource: Sized + Send + 'static {
    /// The keys of a source's `config` table in a recipe. Give it `#[serde(default, deny_unknown_fields)]` and a
    /// [`Default`], so that every key may be left out and a wrong one is an error that lists the right ones; and derive
    /// [`JsonSchema`], so that `sextant plugin info` shows keys, types, defaults and their documentation.
    type Config: DeserializeOwned + JsonSchema;

    /// The weight on the loss that was published for this configuration, finite and above 0: what a recipe trains with
    /// that names no `coefficient`. None where nothing was published; the weight is then 0.5.
    fn coefficient(config: &Self::Config) -> Option<f64> {
        let _ = config;
        None
    }

    /// Makes an instance. Refuse here what is wrong in itself, whatever the model.
    fn new(config: Self::Config) -> Result<Self, Error>;

    /// Declares what the source needs of this model and this data. Refuse here what does not fit them.
    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error>;

    /// Computes the loss of one step: a pure function of the step.
    fn guide(&self, step: &Step) -> Result<Guidance, Error>;
}

/// The answer of `guide`.
#[derive(Debug)]
pub struct Guidance {
    pub(crate) loss: Tensor,
    pub(crate) denoising_weight: Option<Tensor>,
    pub(crate) metrics: Vec<(String, Tensor)>,
    pub(crate) buffers: Vec<(String, Tensor)>,
}

impl Guidance {
    /// A loss per sample, f32 `[B]`. The host takes its mean over the batch, times the recipe's coefficient.
    pub fn new(loss: Tensor) -> Self {
        Self {
            loss,
            denoising_weight: None,
            metrics: Vec::new(),
            buffers: Vec::new(),
        }
    }

    /// Reports a scalar that the plan declared. It is logged and takes no part in the loss.
    pub fn metric(mut self, name: impl Into<String>, value: Tensor) -> Self {
        self.metrics.push((name.into(), value));
        self
    }

    /// Weighs the denoising loss of each sample, f32 `[B]`: the host takes the mean of weight times loss. Gradients flow
    /// through it, as far as it has any. Weights of several sources multiply.
    pub fn denoising_weight(mut self, weight: Tensor) -> Self {
        self.denoising_weight = Some(weight);
        self
    }

    /// Gives a declared buffer its new value, of its shape (of a buffer of rows, of as many rows as are new). Without one it stays as it is. It is kept once the step has
    /// succeeded, outside the autodiff graph.
    pub fn buffer(mut self, name: impl Into<String>, value: Tensor) -> Self {
        self.buffers.push((name.into(), value));
        self
    }
}
