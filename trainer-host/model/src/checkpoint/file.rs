//! A file of weights: its sets of tensors, and what stands beside them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use serde_json::{Map, Value as Json};
use sextant_recipe::Weights;

use super::archive::Archive;
use super::error::{CheckpointError, Fault};
use super::pickle::{Id, Pickle, StoredTensor, Value};
use crate::network::TensorReader;
use crate::network::shapes::Shapes;

/// Prefixes that wrappers put before every name: DistributedDataParallel, torch.compile.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Most values of `args` that are kept.
const MOST_ARGS: usize = 10_000;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An archive of `torch.save`.
    PyTorch,
    /// Safetensors.
    Safetensors,
}

/// An open file of weights, whose tensors are not read yet.
pub struct WeightsFile {
    path: PathBuf,
    source: Source,
    sets: Sets,
    args: Map<String, Json>,
    step: Option<u64>,
    has_optimiser: bool,
}

/// The file that tensors are read from, one by one.
enum Source {
    Archive(Archive),
    Safetensors(TensorReader),
}

/// Place of a tensor's values.
enum Place {
    Archive(StoredTensor),
    /// By its name in the file.
    Safetensors {
        name: String,
        shape: Vec<usize>,
    },
}

/// Sets of weights by what they are; `None` for tensors that lie there by themselves.
type Sets = Vec<(Option<Weights>, BTreeMap<String, Place>)>;

impl WeightsFile {
    /// Opens a file, and reads what it holds but for the tensors.
    ///
    /// # Errors
    /// A file that is of neither kind, or damaged; a pickle that asks for more than data.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let opened = Self::opened(path);
        opened.map_err(|fault| CheckpointError {
            path: path.to_owned(),
            fault: fault.into(),
        })
    }

    fn opened(path: &Path) -> Result<Self, Fault> {
        let mut start = Vec::new();
        if path.is_dir() {
            return Err(Fault::Folder);
        }
        File::open(path)?.take(512).read_to_end(&mut start)?;
        match start.as_slice() {
            [b'P', b'K', 3, 4, ..] => Self::of_archive(path),
            [_, _, _, _, _, _, _, _, b'{', ..] => Self::of_safetensors(path),
            [0x80, ..] => Err(Fault::Legacy),
            start if start.get(257..262) == Some(b"ustar") => Err(Fault::Legacy),
            _ => Err(Fault::Unknown),
        }
    }

    fn of_archive(path: &Path) -> Result<Self, Fault> {
        let (archive, pickle) = Archive::open(path)?;
        let root = pickle.root();
        let named = |key: &str, weights: Weights| {
            let set = state_dict(&pickle, pickle.entry(root, key)?);
            (!set.is_empty()).then_some((Some(weights), set))
        };
        let mut sets: Sets = [named("model", Weights::Model), named("ema", Weights::Ema)]
            .into_iter()
            .flatten()
            .collect();
        if sets.is_empty() {
            let bare = pickle.entry(root, "state_dict").unwrap_or(root);
            sets.push((None, state_dict(&pickle, bare)));
        }
        if sets.iter().all(|(_, set)| set.is_empty()) {
            let keys: Vec<&str> = pickle.entries(root).map(|(key, _)| key).take(20).collect();
            return Err(Fault::NoWeights(keys.join(", ")));
        }
        let args = pickle.entry(root, "args");
        let mut budget = MOST_ARGS;
        let args = args.map(|args| json(&pickle, args, 3, &mut budget));
        let step = ["steps", "step", "train_steps"];
        let step = step.iter().find_map(|key| match pickle.get(pickle.entry(root, key)?) {
            Value::Int(step) => u64::try_from(*step).ok(),
            _ => None,
        });
        Ok(Self {
            path: path.to_owned(),
            source: Source::Archive(archive),
            sets,
            args: match args {
                Some(Json::Object(args)) => args,
                _ => Map::new(),
            },
            step,
            has_optimiser: pickle.entry(root, "opt").is_some(),
        })
    }

    fn of_safetensors(path: &Path) -> Result<Self, Fault> {
        let reader = TensorReader::open(path)?;
        let tensors = reader.shapes().map(|(name, shape)| {
            let (name, shape) = (name.to_owned(), shape.to_vec());
            (name.clone(), Place::Safetensors { name, shape })
        });
        let said = reader
            .metadata()
            .get("json")
            .and_then(|json| serde_json::from_str(json).ok());
        let mut args: Map<String, Json> = said.unwrap_or_default();
        let step = args.remove("step").and_then(|step| step.as_u64());
        let set = unwrapped(tensors.collect());
        if set.is_empty() {
            return Err(Fault::NoWeights(String::new()));
        }
        Ok(Self {
            path: path.to_owned(),
            source: Source::Safetensors(reader),
            sets: vec![(None, set)],
            args,
            step,
            has_optimiser: false,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its kind.
    pub fn format(&self) -> Format {
        match self.source {
            Source::Archive(_) => Format::PyTorch,
            Source::Safetensors(_) => Format::Safetensors,
        }
    }

    /// The sets of weights in it; `None` for tensors that lie there by themselves.
    pub fn sets(&self) -> impl Iterator<Item = Option<Weights>> {
        self.sets.iter().map(|(weights, _)| *weights)
    }

    /// The settings that stand beside the weights: `args` of a checkpoint of PyTorch, `json` of the metadata of a safetensors file.
    pub fn args(&self) -> &Map<String, Json> {
        &self.args
    }

    /// Optimiser steps that were done, where it says so.
    pub fn step(&self) -> Option<u64> {
        self.step
    }

    /// True if the state of an optimiser lies in it, which is not read.
    pub fn has_optimiser(&self) -> bool {
        self.has_optimiser
    }

    /// Names and shapes of a set.
    pub(super) fn shapes(&self, weights: Option<Weights>) -> Result<Shapes, Fault> {
        let shape = |place: &Place| match place {
            Place::Archive(tensor) => tensor.shape.clone(),
            Place::Safetensors { shape, .. } => shape.clone(),
        };
        let set = set(&self.sets, weights)?;
        Ok(set.iter().map(|(name, place)| (name.clone(), shape(place))).collect())
    }

    /// The values of the tensors of a set that `wanted` names.
    pub(super) fn read(
        &mut self,
        weights: Option<Weights>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, TensorData>, Fault> {
        let mut tensors = BTreeMap::new();
        for (name, place) in set(&self.sets, weights)?.iter().filter(|(name, _)| wanted(name)) {
            let data = match (place, &mut self.source) {
                (Place::Archive(tensor), Source::Archive(archive)) => Some(archive.read(tensor)?),
                (Place::Safetensors { name: own, .. }, Source::Safetensors(reader)) => reader.tensor(own)?,
                _ => None,
            };
            tensors.extend(data.map(|data| (name.clone(), data)));
        }
        Ok(tensors)
    }

    /// An error of this file.
    pub(super) fn error(&self, fault: Fault) -> CheckpointError {
        CheckpointError {
            path: self.path.clone(),
            fault: fault.into(),
        }
    }
}

/// The set that is meant; by default the trained weights, or those that there are.
fn set(sets: &Sets, weights: Option<Weights>) -> Result<&BTreeMap<String, Place>, Fault> {
    let found = match weights {
        None => sets.first(),
        Some(_) => sets.iter().find(|(own, _)| *own == weights),
    };
    found.map(|(_, set)| set).ok_or_else(|| {
        let named: Vec<String> = sets.iter().filter_map(|(own, _)| Some((*own)?.to_string())).collect();
        Fault::NoSuchWeights {
            asked: weights.map(|weights| weights.to_string()).unwrap_or_default(),
            there: match named.is_empty() {
                true => "it holds one set without a name; leave `weights` away".into(),
                false => format!("there are {}", named.join(", ")),
            },
        }
    })
}

/// The tensors of a dictionary, without the prefixes of wrappers.
fn state_dict(pickle: &Pickle, dict: Id) -> BTreeMap<String, Place> {
    let tensors = pickle.entries(dict).filter_map(|(name, id)| match pickle.get(id) {
        Value::Tensor(tensor) => Some((name.to_owned(), Place::Archive(tensor.clone()))),
        _ => None,
    });
    unwrapped(tensors.collect())
}

fn unwrapped(mut tensors: BTreeMap<String, Place>) -> BTreeMap<String, Place> {
    let prefix = |tensors: &BTreeMap<String, Place>| {
        let all = |prefix: &&str| !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(*prefix));
        WRAPPERS.into_iter().find(all)
    };
    while let Some(prefix) = prefix(&tensors) {
        let shorter = tensors.into_iter();
        tensors = shorter
            .map(|(name, place)| (name[prefix.len()..].to_owned(), place))
            .collect();
    }
    tensors
}

/// A value as JSON, no deeper than `depth` and of no more than `budget` values, or bytes of text: a list may hold itself, and a text be
/// in it many times.
fn json(pickle: &Pickle, id: Id, depth: usize, budget: &mut usize) -> Json {
    if depth == 0 || *budget == 0 {
        return Json::Null;
    }
    *budget -= 1;
    match pickle.get(id) {
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Text(value) if value.len() <= *budget => {
            *budget -= value.len();
            Json::from(value.clone())
        }
        Value::Tuple(items) | Value::List(items) => {
            let items = items.iter().take(*budget);
            items.map(|item| json(pickle, *item, depth - 1, budget)).collect()
        }
        Value::Dict(_) | Value::Namespace(_) => {
            let entries = pickle.entries(id).take(*budget);
            let entries = entries.map(|(key, value)| (key.to_owned(), json(pickle, value, depth - 1, budget)));
            Json::Object(entries.collect())
        }
        _ => Json::Null,
    }
}
