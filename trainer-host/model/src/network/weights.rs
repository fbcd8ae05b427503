//! A module's parameters as a map from published names to plain arrays, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::naming::ModulePath;

/// All in which a map of tensors differs from a module's parameters, and what explains it where that can be told.
#[derive(Debug, PartialEq)]
pub struct WeightsError(Vec<Difference>);

/// A parameter by which a map of tensors does not fit a module.
#[derive(Debug, Error, PartialEq)]
pub enum Difference {
    /// The module has a parameter that the map lacks.
    #[error("`{name}` {wanted:?} is missing")]
    Missing {
        /// Published name.
        name: String,
        /// The parameter's shape.
        wanted: Vec<usize>,
    },
    /// A parameter has another shape than the module's.
    #[error("`{name}` has shape {found:?}, wanted is {wanted:?}")]
    Shape {
        /// Published name.
        name: String,
        /// Shape in the map.
        found: Vec<usize>,
        /// Shape in the module.
        wanted: Vec<usize>,
    },
    /// A parameter is not a tensor of floats.
    #[error("`{name}` holds {found:?}, wanted are floats")]
    Kind {
        /// Published name.
        name: String,
        /// Element type in the map.
        found: DType,
    },
    /// The map holds a name that the module does not have.
    #[error("`{name}` {found:?} is not a parameter here")]
    Unexpected {
        /// The name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
}

/// The parameter whose rows are the classes and the null class.
const CLASSES: &str = "y_embedder.embedding_table.weight";

impl WeightsError {
    /// An error for these differences; none if there are none.
    ///
    /// # Errors
    /// All of them.
    pub fn of(differences: Vec<Difference>) -> Result<(), Self> {
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Self(differences)),
        }
    }

    /// The text before every name that is missing, in names that are not expected: of a wrapper around the network.
    fn prefix(&self) -> Option<&str> {
        let missing = || self.0.iter().filter_map(Difference::missing);
        let unexpected: BTreeSet<&str> = self.0.iter().filter_map(Difference::unexpected).collect();
        let first = missing().next()?;
        let prefixes = unexpected.iter().filter_map(|name| name.strip_suffix(first));
        let mut prefixes = prefixes.filter(|prefix| prefix.ends_with('.'));
        prefixes.find(|prefix| missing().all(|name| unexpected.contains(format!("{prefix}{name}").as_str())))
    }

    /// Classes of the map and of the module, where they differ and nothing but their number does.
    fn classes(&self) -> Option<(usize, usize)> {
        self.0.iter().find_map(|difference| match difference {
            Difference::Shape { name, found, wanted }
                if name.ends_with(CLASSES) && found.get(1..) == wanted.get(1..) =>
            {
                Some((found.first()?.checked_sub(1)?, wanted.first()?.checked_sub(1)?))
            }
            _ => None,
        })
    }
}

impl Difference {
    fn missing(&self) -> Option<&str> {
        match self {
            Self::Missing { name, .. } => Some(name),
            _ => None,
        }
    }

    fn unexpected(&self) -> Option<&str> {
        match self {
            Self::Unexpected { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl std::error::Error for WeightsError {}

impl Display for WeightsError {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        let count = self.0.len();
        match count {
            1 => write!(f, "a tensor does not fit: {}", self.0[0])?,
            _ => write!(f, "{count} tensors do not fit:")?,
        }
        if count > 1 {
            for difference in &self.0 {
                write!(f, "\n  {difference}")?;
            }
        }
        if let Some(prefix) = self.prefix() {
            write!(
                f,
                "\nevery name there begins with `{prefix}`, as a wrapper around the network saves it: take it off the names"
            )?;
        }
        if let Some((found, wanted)) = self.classes() {
            write!(
                f,
                "\nthe file's network knows {found} classes, the data here has {wanted}"
            )?;
        }
        Ok(())
    }
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
    let mut values = tensors.iter();
    values.find_map(|(name, data)| Some((name.as_str(), value_not_finite(data)?)))
}

/// The first value of a tensor of floats that is not finite in the 32 bits that networks here compute with.
pub fn value_not_finite(data: &TensorData) -> Option<f64> {
    let mut values = data.dtype().is_float().then(|| data.iter::<f64>())?;
    values.find(|value| !(*value as f32).is_finite())
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
    sextant_data::hex(&hash.finalize())
}

/// `module` with the values of `tensors`, which must hold every float parameter by its published name and nothing else.
///
/// Ids, devices and whether a parameter is trained stay the module's own. The error holds all that differs.
pub fn apply<M: Module>(module: M, tensors: &BTreeMap<String, TensorData>) -> Result<M, WeightsError> {
    struct Applier<'a> {
        path: ModulePath,
        tensors: &'a BTreeMap<String, TensorData>,
        unused: BTreeSet<&'a str>,
        differences: Vec<Difference>,
    }
    impl Applier<'_> {
        fn take(&mut self, wanted: Vec<usize>) -> Result<TensorData, Difference> {
            let name = self.path.name();
            let Some(data) = self.tensors.get(&name) else {
                return Err(Difference::Missing { name, wanted });
            };
            self.unused.remove(name.as_str());
            let found = data.shape().to_vec();
            if found != wanted {
                return Err(Difference::Shape { name, found, wanted });
            }
            if !data.dtype().is_float() {
                return Err(Difference::Kind {
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
            match self.take(param.lazy_shape().to_vec()) {
                Ok(data) => param.map(|old| {
                    let (tracked, dtype) = (old.is_require_grad(), old.dtype());
                    Tensor::from_data(data, (&old.device(), dtype)).set_require_grad(tracked)
                }),
                Err(difference) => {
                    self.differences.push(difference);
                    param
                }
            }
        }
    }
    let mut applier = Applier {
        path: ModulePath::default(),
        tensors,
        unused: tensors.keys().map(String::as_str).collect(),
        differences: Vec::new(),
    };
    let module = module.map(&mut applier);
    let Applier {
        unused,
        mut differences,
        ..
    } = applier;
    differences.extend(unused.into_iter().map(|name| Difference::Unexpected {
        name: name.to_owned(),
        found: tensors[name].shape().to_vec(),
    }));
    WeightsError::of(differences)?;
    Ok(module)
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

    fn message(tensors: &BTreeMap<String, TensorData>) -> String {
        apply(network(2), tensors).unwrap_err().to_string()
    }

    #[test]
    fn should_name_what_is_missing_misshapen_or_unknown() {
        let full = collect(&network(1));
        let name = "blocks.0.mlp.fc1.bias";

        let mut tensors = full.clone();
        tensors.remove(name);
        assert_eq!(
            message(&tensors),
            "a tensor does not fit: `blocks.0.mlp.fc1.bias` [16] is missing"
        );

        let mut tensors = full.clone();
        tensors.insert(name.into(), TensorData::new(vec![0f32; 4], [2, 2]));
        assert_eq!(
            message(&tensors),
            "a tensor does not fit: `blocks.0.mlp.fc1.bias` has shape [2, 2], wanted is [16]"
        );

        let mut tensors = full.clone();
        tensors.insert(name.into(), TensorData::new(vec![0i64; 16], [16]));
        assert!(message(&tensors).contains("wanted are floats"));

        let mut tensors = full;
        tensors.insert("a".into(), TensorData::new(vec![0f32], [1]));
        assert_eq!(
            message(&tensors),
            "a tensor does not fit: `a` [1] is not a parameter here"
        );
    }

    #[test]
    fn should_list_all_that_differs() {
        let mut tensors = collect(&network(1));
        tensors.remove("pos_embed");
        tensors.insert("a".into(), TensorData::new(vec![0f32], [1]));
        tensors.insert("final_layer.linear.bias".into(), TensorData::new(vec![0f32; 3], [3]));
        assert_eq!(
            message(&tensors),
            "3 tensors do not fit:\n  `pos_embed` [1, 4, 8] is missing\n  \
             `final_layer.linear.bias` has shape [3], wanted is [4]\n  `a` [1] is not a parameter here"
        );
        let none = message(&BTreeMap::new());
        let count = collect(&network(1)).len();
        assert!(none.starts_with(&format!("{count} tensors do not fit:")), "{none}");
        assert_eq!(none.lines().count(), 1 + count, "{none}");
    }

    #[test]
    fn should_explain_a_prefix_and_another_number_of_classes() {
        let full = collect(&network(1));
        let wrapped = full.iter().map(|(name, data)| (format!("module.{name}"), data.clone()));
        let text = message(&wrapped.collect());
        assert!(text.contains("begins with `module.`"), "{text}");
        let mut tensors = full.clone();
        tensors.insert(CLASSES.into(), TensorData::new(vec![0f32; 1001 * 8], [1001, 8]));
        let text = message(&tensors);
        assert!(text.contains("knows 1000 classes, the data here has 2"), "{text}");
        // Another width is no other number of classes.
        tensors.insert(CLASSES.into(), TensorData::new(vec![0f32; 1001 * 4], [1001, 4]));
        assert!(!message(&tensors).contains("classes"));
    }
}
