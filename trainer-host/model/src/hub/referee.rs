//! A fixture of a published network: results of PyTorch, and a folder with the network that they are of.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Layout;
use crate::network::{parse_safetensors, write_safetensors};

/// Results of PyTorch, and the folder of the network.
pub struct Referee {
    /// All tensors of the fixture.
    pub tensors: BTreeMap<String, TensorData>,
    /// The folder, in its layout.
    pub folder: tempfile::TempDir,
    weights: &'static str,
}

impl Referee {
    /// The network of a fixture's bytes, in a folder of its own.
    pub fn read(fixture: &[u8], layout: &Layout) -> Self {
        let (tensors, metadata) = parse_safetensors(fixture, Path::new("fixture")).unwrap();
        let settings: serde_json::Value = serde_json::from_str(&metadata["json"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(Layout::CONFIG), settings["config"].to_string()).unwrap();
        let referee = Self {
            tensors,
            folder,
            weights: layout.weights,
        };
        referee.write(&referee.model());
        referee
    }

    /// The network's weights.
    pub fn model(&self) -> BTreeMap<String, TensorData> {
        let model = self.tensors.iter();
        model
            .filter_map(|(name, data)| Some((name.strip_prefix("model.")?.to_owned(), data.clone())))
            .collect()
    }

    /// Puts other weights into the folder.
    pub fn write(&self, tensors: &BTreeMap<String, TensorData>) {
        write_safetensors(self.folder.path().join(self.weights), tensors, &BTreeMap::new()).unwrap();
    }

    /// A tensor of the fixture, in f32.
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        Tensor::from_data(self.tensors[name].clone().convert_dtype(DType::F32), &Device::flex())
    }

    /// Holds a result against PyTorch's.
    #[track_caller]
    pub fn agrees<const D: usize>(&self, found: Tensor<D>, name: &str) {
        let gap = (found - self.tensor(name)).abs().max().into_scalar::<f32>();
        assert!(gap < 1e-4, "{name} differs by {gap}");
    }
}
