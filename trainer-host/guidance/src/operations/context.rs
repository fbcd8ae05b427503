//! Things that operations may look at besides their operands: the step, and the host's services for it.

use std::collections::BTreeMap;

use burn::backend::DispatchDevice;
use sextant_plugin_api::abi::Network;

use sextant_model::Sit;
use sextant_model::diffusion::Path;
use sextant_recipe::Precision;
use sextant_records::TeacherCounters;

/// The step of one instance.
pub(crate) struct Context {
    /// The device of new tensors, without autodiff.
    pub device: DispatchDevice,
    /// Instance name: keys its draws.
    pub instance: String,
    /// Seed of the run: keys the draws.
    pub seed: u64,
    /// Optimiser step: keys the draws.
    pub step: u64,
    /// Identities of the samples: key the draws.
    pub ids: Vec<u64>,
    /// Labels before dropout.
    pub labels: Vec<i64>,
    /// Labels after dropout.
    pub dropped: Vec<i64>,
    /// The label that stands for none.
    pub null_class: i64,
    /// Type in which dense layers are computed.
    pub precision: Precision,
    /// Networks that the plan declared.
    pub networks: BTreeMap<Network, Frozen>,
    /// The path of the run.
    pub path: Path,
    /// Pad the rows given to networks.
    pub pad_rows: bool,
    /// Work of the networks so far.
    pub counters: TeacherCounters,
}

/// A network without autodiff, as far as the plan lets it be seen.
pub(crate) struct Frozen {
    /// The network.
    pub network: Sit,
    /// Depths that may be asked for, ascending.
    pub depths: Vec<usize>,
    /// True if the output may be asked for.
    pub output: bool,
}
