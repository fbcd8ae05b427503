//! Files of others and numbers at their ends: samples and weights that are damaged or made elsewhere, seeds, counts.

use std::fs;
use std::io::Write;
use std::path::Path;

use burn::tensor::TensorData;
use serde_json::Value;
use sextant_model::{read_safetensors, write_safetensors};
use sextant_tests::{refused, sextant, stderr, tiny};

/// A largest seed, which TOML has no integer for.
const LARGEST: &str = "18446744073709551615";

pub fn succeed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    output.stdout
}

/// A finished run of the tiny recipe.
fn trained(folder: &Path) {
    succeed(folder, &["train", &tiny(), "--out", "run", "--device", "cpu"]);
}

#[test]
fn a_seed_of_64_bits_goes_all_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let set = format!("seed={LARGEST}");
    succeed(
        path,
        &[
            "train",
            &tiny(),
            "--out",
            "run",
            "--set",
            &set,
            "--set",
            "phases.0.steps=2",
        ],
    );
    let written = fs::read_to_string(path.join("run/recipe.toml")).unwrap();
    assert!(written.contains(&format!("seed = \"{LARGEST}\"")), "{written}");
    // Its own recipe is read again by each of these, and runs again.
    succeed(path, &["train", "--resume", "run"]);
    succeed(
        path,
        &["sample", "run", "--seed", LARGEST, "--name", "again", "--count", "4"],
    );
    let samples = |name: &str| fs::read(path.join(format!("run/samples/{name}.npz"))).unwrap();
    assert!(samples("again") == samples("final"), "the recipe's seed is another");
    succeed(path, &["train", "run/recipe.toml", "--out", "copy"]);
    let weights = |run: &str| fs::read(path.join(run).join("phases/train/step-000002/ema.safetensors")).unwrap();
    assert!(weights("run") == weights("copy"), "the copy has another seed");
}

#[test]
fn a_comparison_of_seeds_of_64_bits_has_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    let seeds = format!("9223372036854775808,{LARGEST}");
    let arguments = [
        "compare",
        &recipe,
        "--out",
        "all",
        "--seeds",
        &seeds,
        "--set",
        "phases.0.steps=2",
        "--json",
    ];
    let first: Value = serde_json::from_slice(&succeed(path, &arguments)).unwrap();
    let again: Value = serde_json::from_slice(&succeed(path, &["report", "all", "--json"])).unwrap();
    assert_eq!(first["comparison"]["variants"], again["comparison"]["variants"]);
    assert!(path.join(format!("all/seed-{LARGEST}/none/result.json")).is_file());
}

#[test]
fn places_and_counts_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    let set = |set: &str, words: &[&str]| refused(path, &["train", &recipe, "--out", "new", "--set", set], words);
    set("phases.5.steps=3", &["--set phases.5.steps=3", "phases has one entry"]);
    set("phases.99999999999.steps=3", &["phases has one entry"]);
    set("phases.train.steps=3", &["phases is a list"]);
    set("variants.9.name=x", &["variants has the entries 0 to 2"]);
    set("optimiser.batch=0", &["optimiser.batch is 0"]);
    set("seed=-1", &["seed", "from 0 to"]);
    set("model.size=B/2", &["model.size", "nothing of it is left"]);
    refused(path, &["compare", &recipe, "--seeds", ""], &["--seeds"]);
    assert!(!path.join("new").exists());
    trained(path);
    refused(path, &["sample", "run", "--count", "0"], &["--count is 0"]);
    refused(path, &["sample", "run", "--columns", "0"], &["--columns is 0"]);
}

#[test]
fn samples_that_are_damaged_name_the_array() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let pixels: Vec<u8> = (0..24 * 8 * 8 * 3).map(|i| (i * i % 251) as u8).collect();
    let mut bytes = sextant_train::sample::npz(&pixels, 8).unwrap();
    fs::write(path.join("whole.npz"), &bytes).unwrap();
    succeed(path, &["eval", "whole.npz", "--json"]);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(path.join("flipped.npz"), &bytes).unwrap();
    refused(
        path,
        &["eval", "flipped.npz"],
        &["flipped.npz", "arr_0 is cut off or damaged"],
    );
    fs::write(path.join("short.npz"), &bytes[..middle]).unwrap();
    refused(path, &["eval", "short.npz"], &["short.npz", "cannot be read as .npz"]);
}

/// An `.npz` of one image a label, as guided-diffusion writes it, the labels as numbers of eight bytes of a kind of numpy's.
fn labelled<const N: usize>(kind: &str, labels: [[u8; 8]; N]) -> Vec<u8> {
    let array = |kind: &str, shape: &str, values: &[u8]| {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}").into_bytes();
        header.resize(117, b' ');
        header.push(b'\n');
        [
            b"\x93NUMPY\x01\x00",
            &(header.len() as u16).to_le_bytes()[..],
            &header,
            values,
        ]
        .concat()
    };
    let pixels: Vec<u8> = (0..N * 8 * 8 * 3).map(|i| (i * i % 251) as u8).collect();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [
        ("arr_0.npy", array("|u1", &format!("({N}, 8, 8, 3)"), &pixels)),
        ("arr_1.npy", array(kind, &format!("({N},)"), &labels.concat())),
    ] {
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn labels_beside_samples_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut classes = [0i64; 24];
    classes[3] = 8;
    fs::write(path.join("right.npz"), labelled("<i8", classes.map(i64::to_le_bytes))).unwrap();
    succeed(path, &["eval", "right.npz", "--json"]);
    let refused = |bytes: Vec<u8>, words: &[&str]| {
        fs::write(path.join("wrong.npz"), bytes).unwrap();
        refused(
            path,
            &["eval", "wrong.npz"],
            &[&["wrong.npz: arr_1 holds "], words].concat(),
        );
    };
    classes[3] = -1;
    refused(
        labelled("<i8", classes.map(i64::to_le_bytes)),
        &["-1 at 3", "whole numbers of at least 0"],
    );
    classes[3] = 9;
    refused(
        labelled("<i8", classes.map(i64::to_le_bytes)),
        &["9 at 3", "9 classes", "from 0 to 8"],
    );
    let mut halves = [0f64; 24];
    halves[5] = 99.5;
    refused(
        labelled("<f8", halves.map(f64::to_le_bytes)),
        &["99.5 at 5", "whole numbers of at least 0"],
    );
}

#[test]
fn weights_that_do_not_fit_name_the_file_and_all_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    trained(path);
    let file = path.join("run/phases/train/step-000008/ema.safetensors");
    let own = read_safetensors(&file).unwrap();
    let place = "run/phases/train/step-000008/ema.safetensors";

    let wrapped = own.iter().map(|(name, data)| (format!("module.{name}"), data.clone()));
    write_safetensors(&file, &wrapped.collect(), &Default::default()).unwrap();
    let all = format!("{} tensors do not fit", 2 * own.len());
    refused(path, &["sample", "run"], &[place, &all, "begins with `module.`"]);

    let mut other = own.clone();
    let table = "y_embedder.embedding_table.weight";
    other.insert(table.into(), TensorData::new(vec![0f32; 1001 * 32], [1001, 32]));
    other.remove("pos_embed");
    write_safetensors(&file, &other, &Default::default()).unwrap();
    let words = [
        place,
        "pos_embed",
        "[1001, 32]",
        "knows 1000 classes, the data here has 9",
    ];
    refused(path, &["sample", "run"], &words);
    refused(path, &["eval", "run"], &words);
}
