use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{Inception, weights_file};
use crate::checkpoint::WeightsFile;
use crate::network::{parse_safetensors, write_safetensors};

fn fixture() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join("inception.pth")
}

/// The tensors of PyTorch's answers.
fn referee() -> BTreeMap<String, TensorData> {
    let bytes = include_bytes!("../../../../tests/fixtures/inception.safetensors");
    parse_safetensors(bytes, Path::new("fixture")).unwrap().0
}

fn tensor<const D: usize>(data: &TensorData) -> Tensor<D> {
    Tensor::from_data(data.clone().convert_dtype(DType::F32), &Device::flex())
}

/// The fixture's tensors.
fn tensors() -> BTreeMap<String, TensorData> {
    WeightsFile::open(fixture()).unwrap().read(None, |_| true).unwrap()
}

/// The message for a safetensors file of these tensors; empty if it is read.
fn message(tensors: &BTreeMap<String, TensorData>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.safetensors");
    write_safetensors(&path, tensors, &BTreeMap::new()).unwrap();
    let read = Inception::load(&path, &Device::flex());
    read.map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn should_see_what_pytorch_sees_in_images_of_every_size() {
    let (referee, network) = (referee(), Inception::load(&fixture(), &Device::flex()).unwrap());
    let images = tensor::<4>(&referee["in.images"]) / 255.0;
    let larger = images
        .clone()
        .reshape([2, 3, 32, 1, 32, 1])
        .expand([2, 3, 32, 12, 32, 12])
        .reshape([2, 3, 384, 384]);
    for (images, name) in [(images, "out.pool3"), (larger, "out.pool3.384")] {
        let found = network.forward(images.clone());
        assert_eq!(found.dims(), [2, network.width()]);
        let gap = (found.clone() - tensor(&referee[name]))
            .abs()
            .max()
            .into_scalar::<f32>();
        assert!(gap < 1e-4, "{name} differs by {gap}");
        let alone = network.forward(images.narrow(0, 1, 1));
        let gap = (found.narrow(0, 1, 1) - alone).abs().max().into_scalar::<f32>();
        assert!(gap < 1e-5, "alone it differs by {gap}");
    }
}

#[test]
fn should_be_the_same_network_as_safetensors_with_a_classifier_and_counts_of_batches() {
    let mut tensors = tensors();
    assert_eq!(tensors.len(), 94 * 5);
    let zeros = |shape: &[usize]| TensorData::new(vec![0f32; shape.iter().product()], shape.to_vec());
    tensors.insert("fc.weight".into(), zeros(&[1008, 128]));
    tensors.insert("fc.bias".into(), zeros(&[1008]));
    tensors.insert(
        "Mixed_5b.branch1x1.bn.num_batches_tracked".into(),
        TensorData::new(vec![7i64], [1]),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inception.safetensors");
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    let [one, other] = [&path, &fixture()].map(|path| Inception::load(path, &Device::flex()).unwrap());
    assert_eq!(one.fingerprint(), other.fingerprint());
    for path in [path, fixture()] {
        assert_eq!(weights_file(&path.display().to_string()), Some((path, None)));
    }
    assert_eq!(weights_file("no such file"), None);
    assert_eq!(weights_file(&folder.path().display().to_string()), None);
}

#[test]
fn should_name_all_tensors_that_do_not_fit() {
    let mut wrong = tensors();
    let narrow = TensorData::new(vec![0f32; 4], [4]);
    wrong.remove("Mixed_6a.branch3x3.conv.weight");
    wrong.insert("Mixed_7c.branch_pool.bn.bias".into(), narrow.clone());
    wrong.insert("fc.bias".into(), narrow.clone());
    wrong.insert("AuxLogits.conv0.conv.weight".into(), narrow);
    let message = message(&wrong);
    for part in [
        "some.safetensors: 4 tensors do not fit",
        "`Mixed_6a.branch3x3.conv.weight` [24, 18, 3, 3] is missing",
        "`Mixed_7c.branch_pool.bn.bias` has shape [4], wanted is [12]",
        "`fc.bias` [4] is not a parameter here",
        "`AuxLogits.conv0.conv.weight`",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn should_refuse_other_networks_and_values_that_are_no_numbers() {
    let mut torchvision = tensors();
    torchvision.insert("fc.weight".into(), TensorData::new(vec![0f32; 1000 * 128], [1000, 128]));
    let mut blind = tensors();
    blind.insert(
        "Conv2d_3b_1x1.bn.running_var".into(),
        TensorData::new(vec![1.0, f32::NAN, 1.0, 1.0, 1.0], [5]),
    );
    let mut negative = tensors();
    negative.insert(
        "Conv2d_3b_1x1.bn.running_var".into(),
        TensorData::new(vec![1.0f32, -0.5, 1.0, 1.0, 1.0], [5]),
    );
    let mut other = tensors();
    other.remove("Conv2d_1a_3x3.conv.weight");
    for (tensors, words) in [
        (torchvision, "torchvision's"),
        (blind, "`Conv2d_3b_1x1.bn.running_var` holds NaN"),
        (negative, "`Conv2d_3b_1x1.bn.running_var` holds -0.5"),
        (other, "no Inception v3"),
    ] {
        let message = message(&tensors);
        assert!(message.contains(words), "{message}");
    }
}
