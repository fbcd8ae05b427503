//! Declarations of a source before training, in owned and validated form.

use std::collections::BTreeSet;

mod check;
mod read;
#[cfg(test)]
mod tests;

pub(super) use check::check;
pub(super) use read::{MAX_ELEMENTS, dims, read};

pub use sextant_plugin_api::abi::{Agreement, DType, Network, SettingMeaning, TapKind};

/// Everything that a source asked for and promised. What is not here is not handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcePlan {
    /// Minor version of the contract that the source needs.
    pub required_minor: u32,
    /// Tells whether the loss of a sample depends on the others of its batch.
    pub batch_coupled: bool,
    /// Times outside which the loss is exactly 0, both ends inclusive.
    pub t_range: Option<[f64; 2]>,
    /// Activations: the student's in the order of the step, and bounds of what `forward` may ask of other networks.
    pub taps: Vec<TapRequest>,
    /// Batch fields that it reads.
    pub fields: Vec<String>,
    /// Parameters that live in the host.
    pub parameters: Vec<ParameterPlan>,
    /// State that lives in the host.
    pub buffers: Vec<BufferPlan>,
    /// Names of the scalars that it may return.
    pub metrics: Vec<String>,
    /// Numbers of its own that reports may show.
    pub settings: Vec<Setting>,
}

/// A number that reports may show.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Unique in the source.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its meaning to the method.
    pub meaning: SettingMeaning,
}

/// One activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapRequest {
    /// Of which network.
    pub network: Network,
    /// Kind of the activation.
    pub kind: TapKind,
    /// Number of the block; 0 is the embedding. Without meaning for the output.
    pub depth: usize,
}

/// A parameter, as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterPlan {
    /// Unique in the source.
    pub name: String,
    /// Rank 1 to 8, no extent 0.
    pub shape: Vec<usize>,
    /// Its first value.
    pub initial: Initial,
    /// Tells whether it is optimised.
    pub trainable: bool,
}

/// A buffer, as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferPlan {
    /// Unique in the source.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// The way in which the replicas of several devices agree on a new value.
    pub agreement: Agreement,
    /// Rank 1 to 8, no extent 0.
    pub shape: Vec<usize>,
    /// Tells whether a step replaces rows of it.
    pub rows: bool,
    /// Its first value.
    pub initial: Initial,
}

/// Initial values.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// One value everywhere.
    Constant(f64),
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)), with PyTorch's fans.
    XavierUniform,
    /// Uniform in ±this bound.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// These values, row-major.
    Values(Vec<f32>),
}

impl SourcePlan {
    /// Depths of the blocks whose tokens it wants of `network`, ascending.
    pub fn depths(&self, network: Network) -> Vec<usize> {
        self.depths_of(network, TapKind::Block)
    }

    /// Depths of the student's blocks whose attention it wants, ascending.
    pub fn attention_depths(&self) -> Vec<usize> {
        self.depths_of(Network::Student, TapKind::Attention)
    }

    fn depths_of(&self, network: Network, kind: TapKind) -> Vec<usize> {
        let taps = self
            .taps
            .iter()
            .filter(|tap| tap.network == network && tap.kind == kind);
        let depths: BTreeSet<usize> = taps.map(|tap| tap.depth).collect();
        depths.into_iter().collect()
    }

    /// Tells whether it asks anything of `network`.
    pub fn needs(&self, network: Network) -> bool {
        self.taps.iter().any(|tap| tap.network == network)
    }

    /// Tells whether its loss depends on anything that is trained: without, its coefficient changes nothing.
    pub fn trains(&self) -> bool {
        self.needs(Network::Student) || self.parameters.iter().any(|parameter| parameter.trainable)
    }

    /// Tells whether it asks for the output of `network`.
    pub fn needs_output(&self, network: Network) -> bool {
        let is_output = |tap: &TapRequest| tap.network == network && tap.kind == TapKind::Output;
        self.taps.iter().any(is_output)
    }

    /// The number with this meaning: the first, if there are several.
    pub fn setting(&self, meaning: SettingMeaning) -> Option<f64> {
        let setting = self.settings.iter().find(|setting| setting.meaning == meaning);
        setting.map(|setting| setting.value)
    }
}
