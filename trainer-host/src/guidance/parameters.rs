//! The sources' parameters as a burn module.

use std::collections::BTreeMap;

use burn::backend::DispatchTensor;
use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::error::GuidanceError;
use super::initial::draw;
use super::plan::ParameterPlan;
use crate::model::param_id;

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
        for plan in plans {
            let data = draw(&plan.initial, &plan.shape, seed, source, &plan.name);
            self.entries.push(Entry {
                source: source.to_owned(),
                name: plan.name.clone(),
                trainable: plan.trainable,
                weight: Weight::new(source, plan, data, device),
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

    /// Whether no source has a parameter.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of scalars that are optimised.
    pub fn num_trainable(&self) -> usize {
        let trainable = self.entries.iter().filter(|entry| entry.trainable);
        trainable
            .map(|entry| with_param!(&entry.weight, param => param.shape().num_elements()))
            .sum()
    }

    /// Every value by its path, such as `repa.mlp.0.weight`. A synchronisation.
    pub fn named(&self) -> BTreeMap<String, TensorData> {
        self.entries
            .iter()
            .map(|entry| (entry.path(), with_param!(&entry.weight, param => param.val().into_data())))
            .collect()
    }

    /// Replaces every value. The names must be those of [`named`](Self::named), no more and no fewer, with their shapes.
    pub fn load_named(mut self, mut values: BTreeMap<String, TensorData>) -> Result<Self, GuidanceError> {
        for entry in &mut self.entries {
            let path = entry.path();
            let data = values
                .remove(&path)
                .ok_or_else(|| GuidanceError::Checkpoint(format!("parameter `{path}` is missing")))?;
            let wanted = with_param!(&entry.weight, param => param.shape());
            if *data.shape() != wanted {
                return Err(GuidanceError::Checkpoint(format!(
                    "parameter `{path}` has shape {:?}, its source declares {:?}",
                    data.shape().to_vec(),
                    wanted.to_vec()
                )));
            }
            entry.weight = map_param!(entry.weight.clone(), param => param.map(|old| {
                let new = Tensor::from_data(data.convert_dtype(old.dtype()), &old.device());
                match old.is_require_grad() {
                    true => new.require_grad(),
                    false => new,
                }
            }));
        }
        match values.into_keys().next() {
            None => Ok(self),
            Some(path) => Err(GuidanceError::Checkpoint(format!(
                "parameter `{path}` belongs to no source of this phase"
            ))),
        }
    }

    /// Gives every trainable parameter of the sources that `active` names a gradient of 0 where backward gave it none.
    ///
    /// The same in effect as [`anchor`], at no cost in the graph.
    pub fn zero_missing_gradients(&self, gradients: &mut GradientsParams, active: impl Fn(&str) -> bool) {
        for entry in self.entries.iter().filter(|entry| entry.trainable && active(&entry.source)) {
            with_param!(&entry.weight, param => zero_if_missing(param, gradients));
        }
    }

    fn map_weights(mut self, mut map: impl FnMut(Weight) -> Weight) -> Self {
        self.entries = self
            .entries
            .into_iter()
            .map(|entry| Entry { weight: map(entry.weight), ..entry })
            .collect();
        self
    }
}

/// `loss + 0 * sum(p)` for every trainable parameter p of the sources that `active` names.
///
/// burn skips a parameter without gradient: AdamW's momentum would stall where PyTorch's does not, and replicas drift
/// apart. It happens: a small batch often has no sample inside the t range.
pub fn anchor(loss: Tensor<1>, params: &SourceParams, active: impl Fn(&str) -> bool) -> Tensor<1> {
    let entries = params.entries.iter().filter(|entry| entry.trainable && active(&entry.source));
    entries.fold(loss, |loss, entry| {
        loss + with_param!(&entry.weight, param => param.val().sum()).mul_scalar(0.0)
    })
}

fn zero_if_missing<const D: usize>(param: &Param<Tensor<D>>, gradients: &mut GradientsParams) {
    if gradients.get::<D>(param.id).is_none() {
        gradients.register(param.id, param.val().without_autodiff().zeros_like());
    }
}

impl Entry {
    fn path(&self) -> String {
        format!("{}.{}", self.source, self.name)
    }

}

/// The parts of a parameter's path: what would be fields of a derived module.
fn parts<'a>(source: &'a str, name: &'a str) -> Vec<&'a str> {
    std::iter::once(source).chain(name.split('.')).collect()
}

/// What visitors are told that each part of a path is.
const CONTAINER: &str = "SourceParams";

impl Module for SourceParams {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.entries
            .iter()
            .fold(devices, |devices, entry| with_param!(&entry.weight, param => param.collect_devices(devices)))
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
        self.clone().map_weights(|weight| map_param!(weight, param => param.valid()))
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
        self.entries = self
            .entries
            .into_iter()
            .map(|entry| {
                let Entry { source, name, trainable, weight } = entry;
                let parts = parts(&source, &name);
                parts.iter().for_each(|part| mapper.enter_module(part, CONTAINER));
                let weight = map_param!(weight, param => Module::map(param, mapper));
                parts.iter().rev().for_each(|part| mapper.exit_module(part, CONTAINER));
                Entry { source, name, trainable, weight }
            })
            .collect();
        self
    }
}

impl ModuleDisplayDefault for SourceParams {
    fn content(&self, content: Content) -> Option<Content> {
        self.entries
            .iter()
            .fold(content, |content, entry| with_param!(&entry.weight, param => content.add(&entry.path(), param)))
            .optional()
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for SourceParams {}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use burn::optim::AdamWConfig;

    use super::super::plan::Initial;
    use super::*;

    fn plan(name: &str, shape: &[usize], trainable: bool) -> ParameterPlan {
        let initial = if shape.len() > 1 { Initial::XavierUniform } else { Initial::Constant(0.5) };
        ParameterPlan { name: name.into(), shape: shape.to_vec(), initial, trainable }
    }

    fn params(device: &Device) -> SourceParams {
        let mut params = SourceParams::default();
        params.add("repa", &[plan("0.weight", &[3, 2], true), plan("0.bias", &[3], true)], 1, device);
        params.add("other", &[plan("scale", &[1], false), plan("conv.kernel", &[2, 2, 3, 3], true)], 1, device);
        params
    }

    fn cpu() -> Device {
        Device::flex().autodiff()
    }

    #[derive(Default)]
    struct Seen {
        path: Vec<String>,
        found: Vec<(String, ParamId, bool)>,
    }

    impl ModuleVisitor for Seen {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, name: &str, _: &str) {
            assert_eq!(self.path.pop().unwrap(), name);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.push((self.path.join("."), param.id, param.is_require_grad()));
        }
    }

    fn seen(params: &SourceParams) -> Vec<(String, ParamId, bool)> {
        let mut seen = Seen::default();
        params.visit(&mut seen);
        assert!(seen.path.is_empty());
        seen.found
    }

    #[test]
    fn should_be_visited_under_the_declared_names_with_stable_ids() {
        let found = seen(&params(&cpu()));
        let wanted = [("repa.0.weight", true), ("repa.0.bias", true), ("other.scale", false), ("other.conv.kernel", true)];
        for ((path, id, trained), (name, trainable)) in found.iter().zip(wanted) {
            assert_eq!((path.as_str(), *trained), (name, trainable));
            assert_eq!(*id, param_id(&format!("source.{name}")));
        }
        assert_eq!(found.len(), 4);
        assert_eq!(params(&cpu()).num_trainable(), 6 + 3 + 36);
        assert_eq!(Module::num_params(&params(&cpu())), 6 + 3 + 36 + 1);
    }

    #[test]
    fn should_move_what_is_trained_and_nothing_else() {
        let params = params(&cpu());
        let before = params.named();
        let loss = params.tensors("repa").into_iter().take(1).fold(Tensor::<1>::zeros([1], &cpu()), |loss, w| {
            loss + Tensor::<2>::from_dispatch(w).square().sum()
        });
        let loss = anchor(loss, &params, |name| name == "repa");
        let gradients = GradientsParams::from_grads(loss.backward(), &params);
        let mut optimiser = AdamWConfig::new().with_weight_decay(0.1).init();
        let after = optimiser.step(0.1, params, gradients);
        let moved = |name: &str| before[name] != after.named()[name];
        assert!(moved("repa.0.weight"));
        // A gradient of 0 is not no gradient: weight decay acts, as in PyTorch.
        assert!(moved("repa.0.bias"));
        assert!(!moved("other.scale") && !moved("other.conv.kernel"));
        assert_eq!(seen(&after), seen(&super::tests::params(&cpu())));
    }

    #[test]
    fn should_fill_missing_gradients_as_the_anchor_does() {
        let params = params(&cpu());
        let found = seen(&params);
        let (weight, bias) = (&found[0], &found[1]);
        let weighted = Tensor::<2>::from_dispatch(params.tensors("repa").remove(0)).square().sum();
        let mut gradients = GradientsParams::from_grads(weighted.backward(), &params);
        let kept = gradients.get::<2>(weight.1).unwrap();
        assert!(gradients.get::<1>(bias.1).is_none());
        params.zero_missing_gradients(&mut gradients, |name| name == "repa");
        assert_eq!(gradients.get::<1>(bias.1).unwrap().into_data(), TensorData::from([0f32; 3]));
        assert_eq!(gradients.get::<2>(weight.1).unwrap().into_data(), kept.into_data());
        assert_eq!(gradients.len(), 2);
    }

    #[test]
    fn should_survive_records_forks_and_validation() {
        let params = params(&cpu());
        let other = {
            let mut other = SourceParams::default();
            other.add("repa", &[plan("0.weight", &[3, 2], true), plan("0.bias", &[3], true)], 2, &cpu());
            other.add("other", &[plan("scale", &[1], false), plan("conv.kernel", &[2, 2, 3, 3], true)], 2, &cpu());
            other
        };
        assert_ne!(other.named(), params.named());
        let loaded = other.clone().load_record(params.clone().into_record());
        assert_eq!(loaded.named(), params.named());
        assert_eq!(seen(&loaded), seen(&params));
        let forked = params.clone().fork(&cpu());
        assert_eq!((forked.named(), seen(&forked)), (params.named(), seen(&params)));
        let valid = params.valid();
        assert!(seen(&valid).iter().all(|(_, _, trained)| !trained));
        assert_eq!(seen(&valid.train()), seen(&params));
        assert_eq!(params.devices(), [cpu()]);
    }

    #[test]
    fn should_load_its_own_names_and_refuse_others() {
        let mut other = SourceParams::default();
        other.add("repa", &[plan("0.weight", &[3, 2], true)], 9, &cpu());
        let mut saved = SourceParams::default();
        saved.add("repa", &[plan("0.weight", &[3, 2], true)], 1, &cpu());
        let values = saved.named();
        let loaded = other.clone().load_named(values.clone()).unwrap();
        assert_eq!(loaded.named(), values);
        assert_eq!(seen(&loaded), seen(&other));

        let error = |values| other.clone().load_named(values).unwrap_err().to_string();
        assert!(error(BTreeMap::new()).contains("`repa.0.weight` is missing"));
        let mut more = values.clone();
        more.insert("sra.x".into(), TensorData::from([1f32]));
        assert!(error(more).contains("`sra.x` belongs to no source"));
        let mut wrong = values;
        wrong.insert("repa.0.weight".into(), TensorData::from([[1f32]]));
        let wrong = error(wrong);
        assert!(wrong.contains("[1, 1]") && wrong.contains("[3, 2]"), "{wrong}");
    }
}
