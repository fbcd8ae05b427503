//! The sources' parameters as a burn module.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use burn::backend::DispatchTensor;
use burn::module::{Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::error::GuidanceError;
use super::initial::draw;
use super::plan::ParameterPlan;
use sextant_model::{self as model, param_id};

/// Parameters of all sources of a phase, in the order of sources and plans.
///
/// To the optimiser, the gradient extraction and records it looks like a derived module with one field a source and fields
/// below as the source named them: the path of a parameter is `repa.mlp.0.weight`. Its id is that of
/// `source.repa.mlp.0.weight` ([`param_id`]), so that optimiser state finds it again after a restart.
#[derive(Clone, Debug, Default)]
pub struct SourceParams {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Instance name.
    source: String,
    /// As the source declared it.
    name: String,
    trainable: bool,
    weight: Weight,
}

macro_rules! ranks {
    ($($variant:ident $rank:literal),+) => {
        /// One parameter: burn's tensors know their rank at compile time only.
        #[derive(Clone, Debug)]
        enum Weight {
            $($variant(Param<Tensor<$rank>>)),+
        }

        impl Weight {
            fn new(source: &str, plan: &ParameterPlan, data: TensorData, device: &Device) -> Self {
                let id = param_id(&format!("source.{source}.{}", plan.name));
                match plan.shape.len() {
                    $($rank => {
                        let mut param = Param::from_data(data, device);
                        param.id = id;
                        Self::$variant(param.set_require_grad(plan.trainable))
                    })+
                    rank => unreachable!("the plan's reading admits ranks 1 to 8, not {rank}"),
                }
            }
        }

        /// Evaluates an expression on the parameter inside.
        macro_rules! with_param {
            ($weight:expr, $param:ident => $value:expr) => {
                match $weight { $(Weight::$variant($param) => $value),+ }
            };
        }

        /// Replaces the parameter inside.
        macro_rules! map_param {
            ($weight:expr, $param:ident => $value:expr) => {
                match $weight { $(Weight::$variant($param) => Weight::$variant($value)),+ }
            };
        }
    };
}

ranks!(Rank1 1, Rank2 2, Rank3 3, Rank4 4, Rank5 5, Rank6 6, Rank7 7, Rank8 8);

impl SourceParams {
    /// Adds the parameters of a source, drawn on the CPU.
    pub(super) fn add(&mut self, source: &str, plans: &[ParameterPlan], seed: u64, device: &Device) {
        let initial = |plan: &ParameterPlan| draw(&plan.initial, &plan.shape, seed, source, &plan.name);
        self.add_with(source, plans, initial, device);
    }

    /// Adds the parameters of a source with these values, in f32 and of the plan's shape.
    pub fn add_with(
        &mut self,
        source: &str,
        plans: &[ParameterPlan],
        value: impl Fn(&ParameterPlan) -> TensorData,
        device: &Device,
    ) {
        for plan in plans {
            self.entries.push(Entry {
                source: source.to_owned(),
                name: plan.name.clone(),
                trainable: plan.trainable,
                weight: Weight::new(source, plan, value(plan), device),
            });
        }
    }

    /// The values of one source, in the order of its plan, in their autodiff graph.
    pub(super) fn tensors(&self, source: &str) -> Vec<DispatchTensor> {
        let of_source = self.entries.iter().filter(|entry| entry.source == source);
        of_source
            .map(|entry| with_param!(&entry.weight, param => param.val().into_dispatch()))
            .collect()
    }

    /// Every value by its path, such as `repa.mlp.0.weight`, in f32. A synchronisation.
    pub fn named(&self) -> BTreeMap<String, TensorData> {
        model::collect(self)
    }

    /// Replaces every value. The names must be those of [`named`](Self::named), no more and no fewer, with their shapes.
    pub fn load_named(self, values: &BTreeMap<String, TensorData>) -> Result<Self, GuidanceError> {
        model::apply(self, values).map_err(|error| GuidanceError::Checkpoint(error.to_string()))
    }

    /// The source of each parameter, by the parameter's id.
    pub fn owners(&self) -> BTreeMap<ParamId, String> {
        let id = |weight: &Weight| with_param!(weight, param => param.id);
        let entries = self.entries.iter();
        entries.map(|entry| (id(&entry.weight), entry.source.clone())).collect()
    }

    /// Gives every trainable parameter of the sources that `active` names a gradient of 0 where backward gave it none:
    /// `loss + 0 * sum(p)`, without its cost in the graph.
    ///
    /// AdamW skips a parameter without gradient: its momentum would stall where PyTorch's does not, and replicas drift
    /// apart. It happens: a small batch often has no sample inside the t range.
    pub fn zero_missing_gradients(&self, gradients: &mut GradientsParams, active: impl Fn(&str) -> bool) {
        let meant = |entry: &&Entry| entry.trainable && active(&entry.source);
        for entry in self.entries.iter().filter(meant) {
            with_param!(&entry.weight, param => zero_if_missing(param, gradients));
        }
    }

    fn map_weights(mut self, mut map: impl FnMut(Weight) -> Weight) -> Self {
        let entries = self.entries.into_iter().map(|entry| Entry {
            weight: map(entry.weight),
            ..entry
        });
        self.entries = entries.collect();
        self
    }
}

fn zero_if_missing<const D: usize>(param: &Param<Tensor<D>>, gradients: &mut GradientsParams) {
    if gradients.get::<D>(param.id).is_none() {
        gradients.register(param.id, param.val().without_autodiff().zeros_like());
    }
}

/// The parts of a parameter's path: what would be fields of a derived module.
fn parts<'a>(source: &'a str, name: &'a str) -> Vec<&'a str> {
    std::iter::once(source).chain(name.split('.')).collect()
}

/// Kind that visitors are told of each part of a path.
const CONTAINER: &str = "SourceParams";

impl Module for SourceParams {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        let of = |devices, entry: &Entry| with_param!(&entry.weight, param => param.collect_devices(devices));
        self.entries.iter().fold(devices, of)
    }

    fn fork(self, device: &Device) -> Self {
        self.map_weights(|weight| map_param!(weight, param => param.fork(device)))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_weights(|weight| map_param!(weight, param => param.to_device(device)))
    }

    fn train(self) -> Self {
        self.map_weights(|weight| map_param!(weight, param => param.train()))
    }

    fn valid(&self) -> Self {
        self.clone()
            .map_weights(|weight| map_param!(weight, param => param.valid()))
    }

    fn materialize(self) -> Self {
        self.map_weights(|weight| map_param!(weight, param => param.materialize()))
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for entry in &self.entries {
            let parts = parts(&entry.source, &entry.name);
            parts.iter().for_each(|part| visitor.enter_module(part, CONTAINER));
            with_param!(&entry.weight, param => param.visit(visitor));
            parts.iter().rev().for_each(|part| visitor.exit_module(part, CONTAINER));
        }
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        let map = |entry: Entry| {
            let parts = parts(&entry.source, &entry.name);
            parts.iter().for_each(|part| mapper.enter_module(part, CONTAINER));
            let weight = map_param!(entry.weight, param => Module::map(param, mapper));
            parts.iter().rev().for_each(|part| mapper.exit_module(part, CONTAINER));
            Entry { weight, ..entry }
        };
        self.entries = self.entries.into_iter().map(map).collect();
        self
    }
}

impl ModuleDisplayDefault for SourceParams {
    fn content(&self, content: Content) -> Option<Content> {
        let add = |content: Content, entry: &Entry| {
            let path = format!("{}.{}", entry.source, entry.name);
            with_param!(&entry.weight, param => content.add(&path, param))
        };
        self.entries.iter().fold(content, add).optional()
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for SourceParams {}
