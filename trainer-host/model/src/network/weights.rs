//! A module's parameters as a map from published names to plain arrays, and back.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::naming::ModulePath;

/// Why a map of tensors does not fit a module.
#[derive(Debug, Error, PartialEq)]
pub enum WeightsError {
    /// The module has a parameter that the map lacks.
    #[error("parameter `{name}` with shape {wanted:?} is missing")]
    Missing {
        /// Published name.
        name: String,
        /// The parameter's shape.
        wanted: Vec<usize>,
    },
    /// A parameter has another shape than the module's.
    #[error("parameter `{name}` has shape {found:?}, the network wants {wanted:?}")]
    Shape {
        /// Published name.
        name: String,
        /// Shape in the map.
        found: Vec<usize>,
        /// Shape in the module.
        wanted: Vec<usize>,
    },
    /// A parameter is not a tensor of floats.
    #[error("parameter `{name}` holds {found:?}, the network wants floats")]
    Kind {
        /// Published name.
        name: String,
        /// Element type in the map.
        found: DType,
    },
    /// The map holds names that the module does not have.
    #[error("the network has no parameter named {}", quoted(.0))]
    Unexpected(Vec<String>),
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Every float parameter of `module`, frozen ones too, by published name, in f32 on the CPU.
///
/// Waits for the device. Integer and boolean parameters are left out; our modules have none.
pub fn collect(module: &impl Module) -> BTreeMap<String, TensorData> {
    #[derive(Default)]
    struct Collector {
        path: ModulePath,
        tensors: BTreeMap<String, TensorData>,
    }
    impl ModuleVisitor for Collector {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().into_data().convert_dtype(DType::F32);
            self.tensors.insert(self.path.name(), data);
        }
    }
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.tensors
}

/// The first tensor of floats that holds a value which is not finite, and that value.
pub fn not_finite(tensors: &BTreeMap<String, TensorData>) -> Option<(&str, f64)> {
    let floats = tensors.iter().filter(|(_, data)| data.dtype().is_float());
    floats
        .filter_map(|(name, data)| Some((name.as_str(), data.iter::<f64>().find(|value| !value.is_finite())?)))
        .next()
}

/// SHA-256 (hex) of a network: what it is in words, then name, shape and values of every parameter.
pub fn fingerprint(architecture: &str, tensors: &BTreeMap<String, TensorData>) -> String {
    let mut hash = Sha256::new();
    // Lengths are hashed too, or a name could run into what follows it.
    let text = |text: &str, hash: &mut Sha256| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    text(architecture, &mut hash);
    for (name, data) in tensors {
        text(name, &mut hash);
        text(&format!("{:?} {:?}", data.dtype(), data.shape().to_vec()), &mut hash);
        hash.update(data.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `module` with the values of `tensors`, which must hold every float parameter by its published name and nothing else.
///
/// Ids, devices and whether a parameter is trained stay the module's own. The first fault found is the error.
pub fn apply<M: Module>(module: M, tensors: &BTreeMap<String, TensorData>) -> Result<M, WeightsError> {
    struct Applier<'a> {
        path: ModulePath,
        tensors: &'a BTreeMap<String, TensorData>,
        unused: BTreeSet<&'a str>,
        fault: Option<WeightsError>,
    }
    impl Applier<'_> {
        fn take(&mut self, wanted: Vec<usize>) -> Result<TensorData, WeightsError> {
            let name = self.path.name();
            let Some(data) = self.tensors.get(&name) else {
                return Err(WeightsError::Missing { name, wanted });
            };
            self.unused.remove(name.as_str());
            let found = data.shape().to_vec();
            if found != wanted {
                return Err(WeightsError::Shape { name, found, wanted });
            }
            if !data.dtype().is_float() {
                return Err(WeightsError::Kind {
                    name,
                    found: data.dtype(),
                });
            }
            Ok(data.clone())
        }
    }
    impl ModuleMapper for Applier<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.fault.is_some() {
                return param;
            }
            match self.take(param.lazy_shape().to_vec()) {
                Ok(data) => param.map(|old| {
                    let (tracked, dtype) = (old.is_require_grad(), old.dtype());
                    Tensor::from_data(data, (&old.device(), dtype)).set_require_grad(tracked)
                }),
                Err(fault) => {
                    self.fault = Some(fault);
                    param
                }
            }
        }
    }
    let mut applier = Applier {
        path: ModulePath::default(),
        tensors,
        unused: tensors.keys().map(String::as_str).collect(),
        fault: None,
    };
    let module = module.map(&mut applier);
    match applier.fault {
        Some(fault) => Err(fault),
        None if applier.unused.is_empty() => Ok(module),
        None => Err(WeightsError::Unexpected(
            applier.unused.into_iter().map(str::to_owned).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Sit, SitConfig};
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn network(seed: u64) -> Sit {
        let config = SitConfig {
            input_size: 4,
            patch_size: 2,
            in_channels: 1,
            hidden_size: 8,
            depth: 1,
            num_heads: 2,
            num_classes: 2,
            qk_norm: true,
            mlp_ratio: 2.0,
        };
        let device = Device::flex().autodiff();
        Sit::init(&config, &mut ChaCha8Rng::seed_from_u64(seed), &device).unwrap()
    }

    #[test]
    fn should_take_over_values_and_keep_ids_and_gradients() {
        let (source, target) = (network(1), network(2));
        let qkv = |sit: &Sit| sit.blocks[0].attn.qkv.weight.clone();
        let id = qkv(&target).id;
        let loaded = apply(target, &collect(&source)).unwrap();
        assert_eq!(collect(&loaded), collect(&source));
        assert_eq!(qkv(&loaded).id, id);
        assert!(qkv(&loaded).val().is_require_grad());
        assert!(!loaded.pos_embed.val().is_require_grad());
    }

    #[test]
    fn should_name_what_is_missing_misshapen_or_unknown() {
        let full = collect(&network(1));
        let name = "blocks.0.mlp.fc1.bias";

        let mut tensors = full.clone();
        tensors.remove(name);
        let error = apply(network(2), &tensors).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter `blocks.0.mlp.fc1.bias` with shape [16] is missing"
        );

        let mut tensors = full.clone();
        tensors.insert(name.into(), TensorData::new(vec![0f32; 4], [2, 2]));
        let error = apply(network(2), &tensors).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter `blocks.0.mlp.fc1.bias` has shape [2, 2], the network wants [16]"
        );

        let mut tensors = full.clone();
        tensors.insert(name.into(), TensorData::new(vec![0i64; 16], [16]));
        let error = apply(network(2), &tensors).unwrap_err();
        assert!(matches!(error, WeightsError::Kind { .. }), "{error}");

        let mut tensors = full;
        for extra in ["projectors.0.0.bias", "a"] {
            tensors.insert(extra.into(), TensorData::new(vec![0f32], [1]));
        }
        let error = apply(network(2), &tensors).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the network has no parameter named `a`, `projectors.0.0.bias`"
        );
    }
}
