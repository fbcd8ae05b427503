//! Declarations of a source.

use sextant_plugin_api::{DType, Init, Network, SettingMeaning};

/// An activation of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tap {
    /// Tokens `[B, T, D]` after a block; 0 is the embedding.
    Block(u32),
    /// The output `[B, C, H, W]`.
    Output,
    /// Attention probabilities `[B, heads, T, T]` of a block; of the student only.
    Attention(u32),
}

/// A parameter that a plan declares.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterDeclared {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its initial value.
    pub init: Init,
    /// True if it is optimised.
    pub trainable: bool,
}

/// A buffer that a plan declares.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferDeclared {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its initial value.
    pub init: Init,
    /// Its element type.
    pub dtype: DType,
}

/// A plan, as the host reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// Taps, in the plan's order.
    pub taps: Vec<(Network, Tap)>,
    /// Batch fields.
    pub fields: Vec<String>,
    /// Parameters.
    pub parameters: Vec<ParameterDeclared>,
    /// Buffers.
    pub buffers: Vec<BufferDeclared>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// Numbers that reports may show: name, value and meaning.
    pub settings: Vec<(String, f64, SettingMeaning)>,
    /// Times outside which the loss is 0, ends inclusive.
    pub t_range: Option<(f64, f64)>,
    /// True if the loss of a sample depends on the others of its batch.
    pub batch_coupled: bool,
    /// The minor version of the contract that it needs.
    pub required_minor: u32,
}

impl Declared {
    /// Taps of the student, in the order in which the step hands them over.
    pub fn student_taps(&self) -> impl Iterator<Item = Tap> {
        let students = self.taps.iter().filter(|(network, _)| *network == Network::Student);
        students.map(|(_, tap)| *tap)
    }

    /// Taps of a network.
    pub(crate) fn taps_of(&self, network: Network) -> Vec<Tap> {
        let taps = self.taps.iter().filter(|(of, _)| *of == network);
        taps.map(|(_, tap)| *tap).collect()
    }

    /// Depths of a network's blocks.
    pub fn depths(&self, network: Network) -> Vec<u32> {
        let depth = |(of, tap): &(Network, Tap)| match tap {
            Tap::Block(depth) if *of == network => Some(*depth),
            _ => None,
        };
        self.taps.iter().filter_map(depth).collect()
    }
}
