//! Sources that meet the contract from outside: in C, against the header of today and against that of version 1.0.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use burn::tensor::{Device, Distribution, Int, Tensor};
use sextant_guidance::{GuidanceGeometry, GuidanceStep, Library, NetworkShape, SearchPath, Services, Sources};
use sextant_model::TrainBatch;
use sextant_model::diffusion::{Path as DiffusionPath, Prediction};
use sextant_recipe::SourceConfig;
use sextant_records::TeacherCounters;
use sextant_tests::{c, floats, plugins, recipe, sextant, stderr};
use sha2::{Digest, Sha256};

/// Trains two steps and gives the values of the last line of the log.
fn train(folder: &Path, run: &str, source: &str) -> Result<BTreeMap<String, f64>, String> {
    let recipe = recipe("tiny.toml");
    let guidance = format!("phases.0.guidance=[{source}]");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", run, "--device", "cpu"];
    for set in [
        &guidance,
        "phases.0.steps=2",
        "output.log_every=1",
        "evaluation.samples=1",
    ] {
        arguments.extend(["--set", set]);
    }
    let output = sextant(folder, &arguments);
    if !output.status.success() {
        return Err(stderr(&output));
    }
    let lines = sextant_records::journal::read(&folder.join(run).join("metrics.jsonl"));
    Ok(lines.last().expect("a line").values.clone())
}

/// The example as its README builds it elsewhere: beside the header, with `make`.
fn layersync_by_make(folder: &Path) -> std::path::PathBuf {
    for file in [
        "examples/c/source.c",
        "examples/c/Makefile",
        "plugin-api/include/sextant_guidance.h",
    ] {
        let from = c::file(file);
        std::fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    let output = Command::new("make").arg("INCLUDE=.").current_dir(folder).output();
    let output = output.expect("make, which comes with a C compiler");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        stderr(&output)
    );
    let suffix = std::env::consts::DLL_SUFFIX;
    folder.join(format!("libsextant_layersync_c{suffix}"))
}

fn layersync(folder: &Path) -> std::path::PathBuf {
    let library = folder.join("libsextant_layersync_c.so");
    c::build(
        &c::file("examples/c/source.c"),
        &c::file("plugin-api/include"),
        &library,
        &["-fvisibility=hidden"],
    );
    library
}

#[test]
fn the_example_in_c_trains_and_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = layersync_by_make(folder.path());
    let source = |config: &str| format!(r#"{{ plugin = "{}", config = {config} }}"#, path.display());
    let values = train(folder.path(), "run", &source("{ shallow = 1, deep = 3 }")).unwrap();
    let loss = values["guidance.layersync-c"];
    assert!((-1.0..=1.0).contains(&loss) && loss != 0.0, "{values:?}");
    for (config, words) in [
        ("{ shalow = 1 }", "unknown key `shalow`"),
        ("{ shallow = 3, deep = 1 }", "`shallow` must be below `deep`"),
        ("{ shallow = 0.5 }", "expected a key and a whole number"),
        ("{ deep = 9 }", "depth 9"),
    ] {
        let error = train(folder.path(), "refused", &source(config)).unwrap_err();
        assert!(
            error.contains(words) && error.contains("layersync-c"),
            "{config}: {error}"
        );
    }
    let schema = Library::open(&path).unwrap().config_schema().unwrap().unwrap();
    assert_eq!(schema["properties"]["deep"]["default"], 2);
    // What the recipe left out stands in the run's, as the library stated it.
    let resolved = std::fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(resolved.contains("coefficient = 0.2"), "{resolved}");
}

#[test]
fn the_example_in_c_is_layersync() {
    let folder = tempfile::tempdir().unwrap();
    let path = layersync(folder.path());
    let device = Device::flex().autodiff();
    let geometry = geometry();
    let config = SourceConfig::new(path.to_str().unwrap());
    let mut sources = Sources::load(&[config], &SearchPath::new(&[]), &geometry).unwrap();
    let normal = Distribution::Normal(0.0, 1.0);
    let [shallow, deep] = [0, 1].map(|_| Tensor::<3>::random([4, 6, 8], normal, &device).require_grad());
    let x = Tensor::<4>::random([4, 3, 4, 6], normal, &device.clone().inner());
    let t = Tensor::<1>::full([4], 0.5, &device.clone().inner());
    let labels = Tensor::<1, Int>::zeros([4], &device.clone().inner());
    let (params, buffers) = (sources.init_parameters(0, &device), sources.init_buffers(0, &device));
    let batch = TrainBatch {
        step: 0,
        x: x.clone(),
        noise: x.clone(),
        t,
        labels: labels.clone(),
        dropped: labels,
        fields: BTreeMap::new(),
        ids: vec![0, 1, 2, 3],
        times: vec![0.5; 4],
        label_values: vec![0; 4],
        dropped_values: vec![0; 4],
        share: 1.0,
    };
    let step = GuidanceStep {
        batch: &batch,
        x_t: &x,
        velocity: &x,
        taps: &BTreeMap::from([(1, shallow.clone()), (2, deep.clone())]),
        attention: &BTreeMap::new(),
        output: None,
    };
    let services = Services {
        teacher: None,
        ema: None,
        path: DiffusionPath::Linear,
        seed: 0,
        null_class: 0,
        pad_rows: false,
        counters: &mut TeacherCounters::default(),
    };
    let found = sources.guide(step, &params, &buffers, services).unwrap().remove(0).loss;
    let length = |u: &Tensor<3>| u.clone().square().sum_dim(2).sqrt();
    let cosine =
        (shallow.clone() * deep.clone().detach()).sum_dim(2) / (length(&shallow) * length(&deep.clone().detach()));
    let wanted = -cosine.mean_dim(1).flatten::<1>(0, 2);
    close(
        &floats(&found.clone().into_data()),
        &floats(&wanted.clone().into_data()),
    );
    let (of_found, of_wanted) = (found.mean().backward(), wanted.mean().backward());
    let gradient = |grads: &_| floats(&shallow.grad(grads).expect("it guides the shallow tokens").into_data());
    close(&gradient(&of_found), &gradient(&of_wanted));
    assert!(deep.grad(&of_found).is_none(), "the deep tokens are not guided");
}

fn close(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(wanted) {
        assert!((a - b).abs() < 1e-6, "{found:?} {wanted:?}");
    }
}

fn geometry() -> GuidanceGeometry {
    let network = NetworkShape {
        depth: 3,
        width: 8,
        heads: 2,
        grid: [2, 3],
    };
    GuidanceGeometry {
        batch: 4,
        channels: 3,
        height: 4,
        width: 6,
        patch: 2,
        classes: 3,
        prediction: Prediction::Velocity,
        path: DiffusionPath::Linear,
        student: network,
        teacher: None,
        ema: network,
        fields: vec![],
    }
}

/// A source as it was built against an earlier version, from files that must never change: the header of that version and what was
/// written against it, with their SHA-256.
fn frozen(version: &str, [header, source]: [&str; 2], library: &Path) {
    let home = c::file(&format!("tests/abi-{version}"));
    for (name, hash) in [("sextant_guidance.h", header), ("source.c", source)] {
        let bytes = std::fs::read(home.join(name)).unwrap();
        let found: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            found, hash,
            "tests/abi-{version}/{name} is frozen: a change belongs into a new version"
        );
    }
    c::build(&home.join("source.c"), &home, library, &[]);
}

#[test]
fn a_library_of_version_1_0_trains_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libold.so");
    let hashes = [
        "114a2f4e7a51395a35b2411d984775a0701bfbbdf2b497828770b71a7cd0295b",
        "37ae8b8777ac832fb19ac3370af3620dc7a9f097bf0cac38e03cbe5430388191",
    ];
    frozen("1.0", hashes, &path);
    let library = Library::open(&path).unwrap();
    assert_eq!(library.abi(), (1, 0));
    assert_eq!(library.config_schema().unwrap(), None);
    let values = train(folder.path(), "run", &format!(r#"{{ plugin = "{}" }}"#, path.display())).unwrap();
    let (loss, size) = (values["guidance.of-1-0"], values["metric.of-1-0.size"]);
    assert!(loss > 0.0 && (size / 8.0 - loss).abs() < 1e-4, "{values:?}");
}

#[test]
fn a_library_of_version_1_1_trains_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libold.so");
    let hashes = [
        "fffbaf7194e91d5c728b1079abb0e6d3a9f1f634609defc8be13d10265345964",
        "4a516adfc6a8d8bcf9bcf056272baa853daa044dec7903fd0f51abb17751a4e3",
    ];
    frozen("1.1", hashes, &path);
    let library = Library::open(&path).unwrap();
    assert_eq!(library.abi(), (1, 1));
    assert_eq!(library.coefficient(&serde_json::json!({})).unwrap(), None);
    let guided = |run: &str, config: &str| {
        let source = format!(r#"{{ plugin = "{}", config = {config} }}"#, path.display());
        train(folder.path(), run, &source).unwrap()
    };
    let values = guided("run", "{}");
    let (loss, size) = (values["guidance.of-1-1"], values["metric.of-1-1.size"]);
    assert!(loss > 0.0 && (size / 8.0 - loss).abs() < 1e-4, "{values:?}");
    // Its schema says that the factor is 2 if left out; at none, attention and average are left.
    assert!(guided("little", "{ factor = 0.0 }")["guidance.of-1-1"] < 0.9 * loss);
}

#[test]
fn libraries_in_rust_with_no_source_and_with_two_are_told_apart() {
    for (name, words) in [
        (
            "test-no-source",
            "gives no source: the library exports no source: write `export_guidance!(MySource);` in its crate",
        ),
        (
            "test-two-sources",
            "gives no source: the library exports 2 sources (first, second), and can hold one: make a crate of each",
        ),
    ] {
        let path = plugins().resolve(name).unwrap();
        let error = Library::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}
