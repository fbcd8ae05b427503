use burn::module::ParamId;
use burn::optim::AdamWConfig;

use super::*;
use crate::plan::Initial;

fn plan(name: &str, shape: &[usize], trainable: bool) -> ParameterPlan {
    let initial = if shape.len() > 1 {
        Initial::XavierUniform
    } else {
        Initial::Constant(0.5)
    };
    ParameterPlan {
        name: name.into(),
        shape: shape.to_vec(),
        initial,
        trainable,
    }
}

fn params(seed: u64) -> SourceParams {
    let (weight, bias) = (plan("0.weight", &[3, 2], true), plan("0.bias", &[3], true));
    let (scale, kernel) = (plan("scale", &[1], false), plan("conv.kernel", &[2, 2, 3, 3], true));
    let mut params = SourceParams::default();
    params.add("repa", &[weight, bias], seed, &cpu());
    params.add("other", &[scale, kernel], seed, &cpu());
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
        self.found
            .push((self.path.join("."), param.id, param.is_require_grad()));
    }
}

fn seen(params: &SourceParams) -> Vec<(String, ParamId, bool)> {
    let mut seen = Seen::default();
    params.visit(&mut seen);
    assert!(seen.path.is_empty());
    seen.found
}

/// Gradients of the first weight's squares: the other parameters have none.
fn of_weight(params: &SourceParams) -> GradientsParams {
    let weight = Tensor::<2>::from_dispatch(params.tensors("repa").remove(0));
    GradientsParams::from_grads(weight.square().sum().backward(), params)
}

#[test]
fn should_be_visited_under_the_declared_names_with_stable_ids() {
    let found = seen(&params(1));
    let wanted = [
        ("repa.0.weight", true),
        ("repa.0.bias", true),
        ("other.scale", false),
        ("other.conv.kernel", true),
    ];
    for ((path, id, trained), (name, trainable)) in found.iter().zip(wanted) {
        assert_eq!((path.as_str(), *trained), (name, trainable));
        assert_eq!(*id, param_id(&format!("source.{name}")));
    }
    assert_eq!(found.len(), 4);
    assert_eq!(Module::num_params(&params(1)), 6 + 3 + 36 + 1);
}

#[test]
fn should_move_what_is_trained_and_nothing_else() {
    let params = params(1);
    let (entries, before) = (seen(&params), params.named());
    let mut gradients = of_weight(&params);
    params.zero_missing_gradients(&mut gradients, |name| name == "repa");
    let mut optimiser = AdamWConfig::new().with_weight_decay(0.1).init();
    let after = optimiser.step(0.1, params, gradients);
    let moved = |name: &str| before[name] != after.named()[name];
    assert!(moved("repa.0.weight"));
    // A gradient of 0 is not no gradient: weight decay acts, as in PyTorch.
    assert!(moved("repa.0.bias"));
    assert!(!moved("other.scale") && !moved("other.conv.kernel"));
    assert_eq!(seen(&after), entries);
}

#[test]
fn should_fill_missing_gradients_and_keep_the_others() {
    let params = params(1);
    let found = seen(&params);
    let (weight, bias) = (&found[0], &found[1]);
    let mut gradients = of_weight(&params);
    let kept = gradients.get::<2>(weight.1).unwrap();
    assert!(gradients.get::<1>(bias.1).is_none());
    params.zero_missing_gradients(&mut gradients, |name| name == "repa");
    let filled = gradients.get::<1>(bias.1).unwrap().into_data();
    assert_eq!(filled, TensorData::from([0f32; 3]));
    assert_eq!(gradients.get::<2>(weight.1).unwrap().into_data(), kept.into_data());
    assert_eq!(gradients.len(), 2);
}

#[test]
fn should_survive_records_forks_and_validation() {
    let params = params(1);
    let other = self::params(2);
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
    let one = |seed| {
        let mut params = SourceParams::default();
        params.add("repa", &[plan("0.weight", &[3, 2], true)], seed, &cpu());
        params
    };
    let (other, values) = (one(9), one(1).named());
    let loaded = other.clone().load_named(&values).unwrap();
    assert_eq!(loaded.named(), values);
    assert_eq!(seen(&loaded), seen(&other));

    let error = |values: BTreeMap<_, _>| other.clone().load_named(&values).unwrap_err().to_string();
    assert!(error(BTreeMap::new()).contains("`repa.0.weight`"));
    let mut more = values.clone();
    more.insert("sra.x".into(), TensorData::from([1f32]));
    assert!(error(more).contains("`sra.x`"));
    let mut wrong = values;
    wrong.insert("repa.0.weight".into(), TensorData::from([[1f32]]));
    let wrong = error(wrong);
    assert!(wrong.contains("[1, 1]") && wrong.contains("[3, 2]"), "{wrong}");
}
