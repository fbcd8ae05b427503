//! Sources that meet the contract from outside: in C, against the header of today and against that of version 1.0.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use sextant_check::{Case, Input, Outcome, PluginUnderTest, Settings};
use sextant_guidance::Library;
use sextant_tests::{c, plugins, recipe, sextant, stderr};
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
    let guide = |path: &Path, config: &str| {
        let settings = Settings {
            config: toml::from_str(config).unwrap(),
            ..Settings::default()
        };
        let plugin = PluginUnderTest::open(path, settings).unwrap();
        plugin.guide(&Case::plain()).unwrap()
    };
    let found = guide(&layersync_by_make(folder.path()), "shallow = 1\ndeep = 3");
    let shipped = plugins().resolve("layersync").unwrap();
    let wanted = guide(&shipped, "depth = 1\ntarget_depth = 3");
    let gradient = |of: &Outcome| {
        of.gradient(&Input::Tap(1))
            .expect("it guides the shallow tokens")
            .to_vec()
    };
    for (found, wanted) in [
        (found.loss.clone(), wanted.loss.clone()),
        (gradient(&found), gradient(&wanted)),
    ] {
        assert_eq!(found.len(), wanted.len());
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(found.iter().zip(&wanted).all(near), "{found:?} {wanted:?}");
    }
    assert_eq!(found.gradient(&Input::Tap(3)), None, "the deep tokens are not guided");
}

/// A source as it was built against an earlier version, from files that must never change: the header of that version and what was
/// written against it, with their SHA-256. The path stands for it in a recipe.
fn frozen(minor: u32, hashes: [&str; 2], folder: &Path) -> (Library, String) {
    let home = c::file(&format!("tests/abi-1.{minor}"));
    for (name, hash) in ["sextant_guidance.h", "source.c"].into_iter().zip(hashes) {
        let bytes = std::fs::read(home.join(name)).unwrap();
        let found = sextant_data::hex(&Sha256::digest(bytes));
        assert_eq!(
            found, hash,
            "tests/abi-1.{minor}/{name} is frozen: a change belongs into a new version"
        );
    }
    let path = folder.join("libold.so");
    c::build(&home.join("source.c"), &home, &path, &[]);
    let library = Library::open(&path).unwrap();
    assert_eq!(library.abi(), (1, minor));
    (library, format!(r#"plugin = "{}""#, path.display()))
}

#[test]
fn a_library_of_version_1_0_trains_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = [
        "114a2f4e7a51395a35b2411d984775a0701bfbbdf2b497828770b71a7cd0295b",
        "37ae8b8777ac832fb19ac3370af3620dc7a9f097bf0cac38e03cbe5430388191",
    ];
    let (library, plugin) = frozen(0, hashes, folder.path());
    assert_eq!(library.config_schema().unwrap(), None);
    let values = train(folder.path(), "run", &format!("{{ {plugin} }}")).unwrap();
    let (loss, size) = (values["guidance.of-1-0"], values["metric.of-1-0.size"]);
    assert!(loss > 0.0 && (size / 8.0 - loss).abs() < 1e-4, "{values:?}");
}

#[test]
fn a_library_of_version_1_1_trains_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = [
        "fffbaf7194e91d5c728b1079abb0e6d3a9f1f634609defc8be13d10265345964",
        "4a516adfc6a8d8bcf9bcf056272baa853daa044dec7903fd0f51abb17751a4e3",
    ];
    let (library, plugin) = frozen(1, hashes, folder.path());
    assert_eq!(library.coefficient(&serde_json::json!({})).unwrap(), None);
    let guided = |run: &str, config: &str| {
        let source = format!("{{ {plugin}, config = {config} }}");
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
