//! The network's file: pytorch-fid's own, or safetensors with the same names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;

use super::architecture::{Block, Convolution, FEATURES, FIRST, FIRST_NAME, blocks};
use crate::checkpoint::{CheckpointError, Fault, NotFinite, WeightsFile};
use crate::hub::{cached, is_hub_name};
use crate::network::WeightsError;
use crate::network::shapes::{Shapes, differences};

/// Name of the published file.
pub const WEIGHTS: &str = "pt_inception-2015-12-05-6726825d.pth";

/// Classes of the published network's classifier, which FID does not ask.
const CLASSES: usize = 1008;

/// Classes of torchvision's, another training of a network with the same names.
const TORCHVISION_CLASSES: usize = 1000;

/// Parameters and statistics of a batch norm.
const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// The file of an Inception network behind a name, and its commit if it came from the hub; none where the name is another network's.
///
/// A path is a network's if the file has its first layer. Of `hf:owner/name` the snapshot in the hub's cache is looked at, for
/// pytorch-fid's file; it is not fetched from here.
pub fn weights_file(name: &str) -> Option<(PathBuf, Option<String>)> {
    if is_hub_name(name) {
        let located = cached(name, &[WEIGHTS])?;
        return Some((located.path.join(WEIGHTS), located.revision));
    }
    let path = Path::new(name);
    let shapes = path
        .is_file()
        .then(|| WeightsFile::open(path).ok()?.shapes(None).ok())??;
    shapes.contains_key(&first()).then(|| (path.to_owned(), None))
}

/// Name of the first tensor.
fn first() -> String {
    format!("{FIRST_NAME}.conv.weight")
}

/// A network's layers, and their tensors under the file's names.
pub struct Contents {
    pub blocks: Vec<Block<Convolution>>,
    pub tensors: BTreeMap<String, TensorData>,
}

/// Reads a file.
///
/// # Errors
/// A file that cannot be read; tensors that are missing, too many or of another shape, all of them; values that are no numbers.
pub fn read(path: &Path) -> Result<Contents, CheckpointError> {
    let mut file = WeightsFile::open(path)?;
    read_from(&mut file).map_err(|fault| file.error(fault))
}

fn read_from(file: &mut WeightsFile) -> Result<Contents, Fault> {
    let mut found = file.shapes(None)?;
    let Some(channels) = found.get(&first()).and_then(|shape| shape.first()) else {
        return Err(Fault::Network(format!(
            "it is no Inception v3: it has no tensor `{}`; {WEIGHTS} of pytorch-fid is wanted, or its tensors as safetensors",
            first()
        )));
    };
    if found.get("fc.weight").and_then(|shape| shape.first()) == Some(&TORCHVISION_CLASSES) {
        return Err(Fault::Network(format!(
            "it has {TORCHVISION_CLASSES} classes, so it is torchvision's Inception v3, in which FID is not measured; {WEIGHTS} of \
             pytorch-fid is wanted"
        )));
    }
    // Narrow ones are for tests. Of another width, all that does not fit the published one is listed.
    let narrow = [16, 8, 4, 2].into_iter().find(|divisor| channels * divisor == FIRST);
    let divisor = narrow.unwrap_or(1);
    let blocks = blocks(divisor);
    let wanted = shapes(&blocks);
    let classifier = [
        ("fc.weight", vec![CLASSES, FEATURES / divisor]),
        ("fc.bias", vec![CLASSES]),
    ];
    found.retain(|name, shape| {
        let unused = classifier
            .iter()
            .any(|(unused, fitting)| name == unused && shape == fitting);
        !unused && !name.ends_with(".num_batches_tracked")
    });
    WeightsError::of(differences(&found, &wanted)).map_err(Fault::Weights)?;
    let tensors = file.read(None, |name| wanted.contains_key(name))?;
    let faults: Vec<NotFinite> = NotFinite::of(&tensors).collect();
    if !faults.is_empty() {
        return Err(Fault::NotFinite(faults));
    }
    let mut variances = tensors.iter().filter(|(name, _)| name.ends_with(".running_var"));
    let negative =
        variances.find_map(|(name, data)| Some((name, data.iter::<f64>().find(|variance| *variance < 0.0)?)));
    match negative {
        Some((name, variance)) => Err(Fault::Network(format!(
            "tensor `{name}` holds {variance}, and a variance is at least 0"
        ))),
        None => Ok(Contents { blocks, tensors }),
    }
}

/// Names and shapes of all tensors.
fn shapes(blocks: &[Block<Convolution>]) -> Shapes {
    let mut shapes = Shapes::new();
    for convolution in blocks.iter().flatten().flatten().flat_map(|step| step.convolutions()) {
        shapes.insert(format!("{}.conv.weight", convolution.name), convolution.shape.to_vec());
        for part in NORM {
            shapes.insert(format!("{}.bn.{part}", convolution.name), vec![convolution.shape[0]]);
        }
    }
    shapes
}
