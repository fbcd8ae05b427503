//! Results of PyTorch: every safetensors file of a kind in the folder of fixtures, with its settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use sextant_model::autoencoder::{Autoencoder, AutoencoderConfig};
use sextant_model::dinov2::LAYOUT;
use sextant_model::hub::Layout;
use sextant_model::{SitConfig, read_with_metadata, write_safetensors};

/// One file.
pub struct Fixture {
    /// File name, for messages.
    pub name: String,
    /// The `json` entry of the metadata.
    pub settings: serde_json::Value,
    /// All tensors.
    pub tensors: BTreeMap<String, TensorData>,
}

/// The folder named by `PARITY_FIXTURES`, by default the one beside the tests.
pub fn folder() -> PathBuf {
    std::env::var_os("PARITY_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")),
        PathBuf::from,
    )
}

/// The kinds of files that the parity tests check, by the beginning of their names.
pub const CHECKED: [&str; 9] = [
    "autocast_",
    "checkpoint_",
    "guidance_losses",
    "interpolant",
    "samplers",
    "sit_forward",
    "sit_init_stats",
    "sit_pos_embed",
    "train_",
];

/// The kinds that the unit tests of `model` and `stats` read.
pub const ELSEWHERE: [&str; 4] = ["autoencoder_kl", "dinov2", "inception", "metrics"];

/// Every fixture of a kind.
///
/// # Panics
/// A file that cannot be read; a kind of which there is none, unless the folder is somebody's own.
pub fn all(kind: &str) -> Vec<Fixture> {
    assert!(CHECKED.contains(&kind), "{kind} is not listed among the checked kinds");
    let paths: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| name(path).starts_with(kind))
        .collect();
    let own = std::env::var_os("PARITY_FIXTURES").is_some();
    assert!(own || !paths.is_empty(), "no fixture {kind}* in {}", folder().display());
    if paths.is_empty() {
        println!("no fixture {kind}* in {}", folder().display());
    }
    let load = |path: PathBuf| {
        let (tensors, metadata) = read_with_metadata(&path).unwrap_or_else(|e| panic!("{e}"));
        let json = metadata
            .get("json")
            .unwrap_or_else(|| panic!("{}: no metadata", path.display()));
        Fixture {
            name: name(&path),
            settings: serde_json::from_str(json).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            tensors,
        }
    };
    paths.into_iter().map(load).collect()
}

/// Every safetensors file of the folder, in the order of their names.
///
/// # Panics
/// A folder that cannot be read.
pub fn files() -> Vec<PathBuf> {
    let folder = folder();
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    paths.sort();
    paths
}

/// A file's name.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes a folder in the hub's layout with the network of the fixture `dinov2.safetensors`.
///
/// # Panics
/// A file that cannot be read or written.
pub fn dinov2_folder(folder: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dinov2.safetensors");
    let (tensors, metadata) = read_with_metadata(path).expect("the fixture");
    let settings: serde_json::Value = serde_json::from_str(&metadata["json"]).expect("its settings");
    std::fs::create_dir_all(folder).expect("the folder");
    std::fs::write(folder.join(Layout::CONFIG), settings["config"].to_string()).expect("its configuration");
    let model = tensors
        .into_iter()
        .filter_map(|(name, data)| Some((name.strip_prefix("model.")?.to_owned(), data)));
    write_safetensors(folder.join(LAYOUT.weights), &model.collect(), &BTreeMap::new()).expect("its weights");
}

/// Makes a folder in diffusers' layout with an untrained autoencoder, as small as one can be but for what `change` changes.
///
/// # Panics
/// A configuration that is none, a file that cannot be written.
pub fn autoencoder_folder(folder: &Path, seed: u64, change: impl FnOnce(&mut AutoencoderConfig)) {
    let mut config = AutoencoderConfig {
        block_out_channels: vec![4, 4],
        norm_num_groups: 2,
        ..AutoencoderConfig::default()
    };
    change(&mut config);
    let autoencoder = Autoencoder::init(&config, seed, &crate::device()).expect("the configuration");
    autoencoder.save(folder).expect("its files");
}

impl Fixture {
    /// The geometry of the file's network; `qk_norm` is given where the settings leave it out.
    pub fn geometry(&self, qk_norm: bool) -> SitConfig {
        let model = &self.settings["model"];
        let size = |key: &str| {
            model[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{}: model.{key}", self.name)) as usize
        };
        SitConfig {
            input_size: size("input_size"),
            patch_size: size("patch_size"),
            in_channels: size("in_channels"),
            hidden_size: size("hidden_size"),
            depth: size("depth"),
            num_heads: size("num_heads"),
            num_classes: size("num_classes"),
            qk_norm: self.settings["qk_norm"].as_bool().unwrap_or(qk_norm),
            mlp_ratio: self.settings["mlp_ratio"].as_f64().unwrap_or(4.0),
        }
    }

    /// One tensor's data.
    pub fn data(&self, name: &str) -> TensorData {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
            .clone()
    }

    /// One tensor in f32 on `device`.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(name), (device, DType::F32))
    }

    /// One tensor of labels on `device`.
    pub fn labels(&self, name: &str, device: &Device) -> Tensor<1, Int> {
        Tensor::from_data(self.data(name), device)
    }

    /// One tensor's values.
    pub fn values<E: burn::tensor::Element>(&self, name: &str) -> Vec<E> {
        self.data(name).iter::<E>().collect()
    }

    /// The tensors under `prefix.`, without the prefix, but for those that start with `except`.
    pub fn group(&self, prefix: &str, except: &str) -> BTreeMap<String, TensorData> {
        let strip = |name: &str| name.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        self.tensors
            .iter()
            .filter_map(|(name, data)| Some((strip(name)?, data.clone())))
            .filter(|(name, _)| except.is_empty() || !name.starts_with(except))
            .collect()
    }

    /// A setting that is a number.
    pub fn number(&self, key: &str) -> f64 {
        self.settings[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no number {key}", self.name))
    }
}

/// The largest absolute difference of two arrays of one shape.
pub fn max_abs_error(found: &TensorData, wanted: &TensorData) -> f64 {
    assert_eq!(found.shape(), wanted.shape());
    max_abs(found.iter::<f64>().zip(wanted.iter::<f64>()).map(|(a, b)| a - b))
}

/// The largest absolute value; not a number if one is not.
pub fn max_abs(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(
        0.0,
        |most: f64, value| {
            if value.is_nan() { value } else { most.max(value.abs()) }
        },
    )
}
