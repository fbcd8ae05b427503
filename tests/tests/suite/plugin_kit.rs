//! A source by a stranger: begun by the program, built by cargo or cc, looked at, trained with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sextant_tests::{command, plugin_folder, recipe, refused, sextant, stderr, stdout};

/// A folder of this name that is empty, the same in every run, so that cargo finds what it compiled before.
fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// cargo or make, in the project's folder, with what all projects of the tests share compiled once.
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_BUILD_BUILD_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/build"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CFLAGS", "-O2 -Werror")
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// Output of `sextant plugin`, whose arguments have no spaces in them.
fn plugin(folder: &Path, arguments: &str) -> String {
    let words: Vec<&str> = std::iter::once("plugin").chain(arguments.split(' ')).collect();
    let output = sextant(folder, &words);
    assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    stdout(&output)
}

fn json(folder: &Path, arguments: &str) -> Value {
    let text = plugin(folder, &format!("{arguments} --json"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments}: {e} in {text}"))
}

/// A source that keeps every invariant.
fn checked(folder: &Path, library: &str, cases: u32) {
    let checked = plugin(folder, &format!("check {library} --cases {cases}"));
    assert!(checked.contains("held") && !checked.contains("broken"), "{checked}");
}

fn library(folder: &str, name: &str) -> String {
    format!("./{folder}/{}", sextant_guidance::file_name(name))
}

/// The mean guidance loss of two steps of the tiny recipe, which lies elsewhere, with the library at a relative path.
fn train(project: &Path, library: &str, config: &str, name: &str) -> f64 {
    let (recipe, run) = (recipe("tiny.toml"), format!("runs/{name}"));
    let guidance = format!("phases.0.guidance=[{{ plugin = {library:?}, config = {config} }}]");
    let mut arguments = vec![
        "train",
        recipe.to_str().unwrap(),
        "--out",
        &run,
        "--device",
        "cpu",
        "--json",
    ];
    arguments.extend(["--set", &guidance, "--set", "phases.0.steps=2"]);
    let output = sextant(project, &arguments);
    assert!(output.status.success(), "{name}: {}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let loss = result["result"]["guidance_loss"][name].as_f64();
    loss.unwrap_or_else(|| panic!("no loss of {name} in {result:#}"))
}

/// The examples as they lie in the repository, built beside it.
#[test]
fn the_examples_build_keep_the_invariants_and_train() {
    let folder = empty("examples");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let target = folder.join("target");
    tool(
        &examples.join("layersync"),
        "cargo",
        &["build", "--release", "--target-dir", target.to_str().unwrap()],
    );
    for file in ["source.c", "Makefile"] {
        fs::copy(examples.join("c").join(file), folder.join(file)).unwrap();
    }
    let include = format!("INCLUDE={}", examples.join("../plugin-api/include").display());
    tool(&folder, "make", &[&include]);
    let mut losses = Vec::new();
    for (library, name) in [
        (library("target/release", "layersync"), "layersync"),
        (library(".", "layersync_c"), "layersync-c"),
    ] {
        checked(&folder, &library, 16);
        losses.push(train(&folder, &library, "{ shallow = 1, deep = 3 }", name));
    }
    assert!((-1.0..1.0).contains(&losses[0]), "{losses:?}");
    assert!((losses[0] / losses[1] - 1.0).abs() < 1e-5, "{losses:?}");
}

#[test]
fn new_sources_in_rust_and_c_build_clean_and_train_alike() {
    let around = empty("kit");
    // A keyword of Rust is a name like any other.
    let said = plugin(&around, "new match");
    for words in [
        "cd match && cargo build --release",
        "sextant plugin check ./target/release/",
        "recipe.toml",
    ] {
        assert!(said.contains(words), "no {words} in {said}");
    }
    let rust = around.join("match");
    // As anywhere else, not by the rustfmt.toml of the repository that the tests' folder lies in.
    fs::write(around.join("rustfmt.toml"), "").unwrap();
    tool(&rust, "cargo", &["fmt", "--check"]);
    tool(
        &rust,
        "cargo",
        &["clippy", "--release", "--all-targets", "--", "--deny", "warnings"],
    );
    let built = tool(&rust, "cargo", &["build", "--release"]);
    assert!(!built.contains("warning"), "{built}");
    let in_rust = train(&rust, &library("target/release", "match"), "{}", "match");

    plugin(&around, "new match-c --lang c --path .");
    let c = around.join("match-c");
    tool(&c, "make", &[]);
    let in_c = train(&c, &library("build", "match_c"), "{}", "match-c");
    assert!((in_rust / in_c - 1.0).abs() < 1e-5, "{in_rust} in Rust, {in_c} in C");
    for (project, library) in [
        (&rust, library("target/release", "match")),
        (&c, library("build", "match_c")),
    ] {
        checked(project, &library, 4);
    }

    // Both say the same of themselves.
    let info = |project: &Path, library: &str| json(project, &format!("info {library}"));
    let (in_rust, in_c) = (
        info(&rust, &library("target/release", "match")),
        info(&c, &library("build", "match_c")),
    );
    assert_eq!(in_rust["needs"], in_c["needs"]);
    assert_eq!(in_rust["summary"], in_c["summary"]);
    let keys = |info: &Value| -> Vec<Value> {
        let keys = info["config"].as_array().unwrap().iter();
        keys.map(|key| serde_json::json!([key["name"], key["description"], key["default"]]))
            .collect()
    };
    assert_eq!(keys(&in_rust), keys(&in_c));
    let recipe = fs::read_to_string(c.join("recipe.toml")).unwrap();
    assert!(recipe.contains("plugin = \"match-c\""), "{recipe}");
    a_library_without_a_schema_says_so(&c);
}

/// As one that was built against 1.0.
fn a_library_without_a_schema_says_so(project: &Path) {
    let source = fs::read_to_string(project.join("source.c")).unwrap();
    let silent = source.replace(".config_schema = config_schema", ".config_schema = 0");
    let silent = silent.replace("static sextant_text config_schema", "sextant_text config_schema");
    assert_ne!(source, silent);
    fs::write(project.join("source.c"), silent).unwrap();
    tool(project, "make", &[]);
    let library = library("build", "match_c");
    let said = plugin(project, &format!("info {library}"));
    assert!(said.contains("does not describe its configuration"), "{said}");
    assert_eq!(json(project, &format!("info {library}"))["config"], Value::Null);
}

#[test]
fn a_new_source_never_overwrites_and_never_half_exists() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, words) in [
        ("TokenNorm", "such as token-norm"),
        ("token_norm", "such as token-norm"),
        ("../out", "such as out"),
        ("9", "such as my-source"),
        ("plugin-api", "sextant-plugin-api"),
    ] {
        refused(folder.path(), &["plugin", "new", name], &[name, words]);
    }
    refused(
        folder.path(),
        &["plugin", "new", "a", "--path", "nowhere"],
        &["nowhere", "no such folder"],
    );
    fs::create_dir(at("mine")).unwrap();
    fs::write(at("mine").join("work"), "of a year").unwrap();
    refused(folder.path(), &["plugin", "new", "mine"], &["mine", "not empty"]);
    fs::write(at("file"), "").unwrap();
    refused(folder.path(), &["plugin", "new", "file"], &["file", "not a folder"]);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["file", "mine"]);
    assert_eq!(fs::read_to_string(at("mine").join("work")).unwrap(), "of a year");
}

#[test]
fn info_shows_what_a_source_needs() {
    let folder = tempfile::tempdir().unwrap();
    let said = plugin(folder.path(), "info self-transcendence");
    for line in [
        "self-transcendence 0.1.0: ",
        "  SHA-256   ",
        "  contract     built with 1.2, needs 1.0",
        "  student_depth    integer ≥ 0. ",
        "  scale            number, default 30.0. ",
        "  mask             \"sample\", \"released\" or \"inside\", default \"sample\". ",
        "for SiT-B/2 on latents of ImageNet: latents 4 × 32 × 32, 12 blocks of width 768, batch 256",
        "  activations   student block 6, teacher block 8",
        "  t range       0.4 to 0.7, both ends inclusive",
        "    0.weight    [2048, 768], Xavier-uniform",
        "    0.bias      [2048], all 0",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
}

#[test]
fn info_plans_for_settings_and_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = recipe("tiny.toml");
    fs::write(folder.path().join("settings.toml"), "depth = 2\nprojector_width = 8\n").unwrap();
    fs::write(
        folder.path().join("settings.json"),
        r#"{"depth": 2, "projector_width": 8}"#,
    )
    .unwrap();
    let info = |config: &str| {
        let arguments = format!("info vae-align --recipe {} --config {config}", tiny.display());
        json(folder.path(), &arguments)
    };
    let of_toml = info("settings.toml");
    assert_eq!(of_toml, info("settings.json"));
    assert_eq!(of_toml["geometry"]["student"]["width"], 32);
    assert_eq!(of_toml["geometry"]["batch"], 8);
    assert_eq!(of_toml["geometry"]["teacher"], Value::Null);
    let needs = &of_toml["needs"];
    assert_eq!(
        needs["taps"],
        serde_json::json!([{ "network": "student", "kind": "block", "depth": 2 }])
    );
    let first = &needs["parameters"][0];
    assert_eq!(
        (&first["name"], &first["shape"]),
        (&"mlp.0.weight".into(), &serde_json::json!([8, 32]))
    );
    let trained: u64 = (8 * 32 + 8) + (8 * 8 + 8) + (32 * 8 + 32) + (12 * 32 + 12);
    assert_eq!(needs["trained_scalars"], trained);

    // What does not fit is told, and what can be told anyway comes first.
    let arguments = ["plugin", "info", "repa", "--json", "--recipe", tiny.to_str().unwrap()];
    refused(folder.path(), &arguments, &["repa", "no batch field \"features\""]);
    let output: Value = serde_json::from_slice(&sextant(folder.path(), &arguments).stdout).unwrap();
    assert_eq!((&output["name"], &output["needs"]), (&"repa".into(), &Value::Null));
    fs::write(folder.path().join("wrong.toml"), "dept = 2").unwrap();
    refused(
        folder.path(),
        &["plugin", "info", "repa", "--config", "wrong.toml"],
        &["unknown field `dept`"],
    );
    refused(
        folder.path(),
        &["plugin", "info", "rapa"],
        &["\"rapa\" is not installed", "repa"],
    );
}

#[test]
fn list_gives_a_reason_beside_each_that_cannot_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let broken = sextant_guidance::file_name("broken");
    fs::write(folder.path().join(broken), "not a library").unwrap();
    let said = plugin(folder.path(), "list --plugin-dir .");
    for line in [
        "repa                 0.1.0    ABI 1.2   ",
        "broken               cannot be loaded: ./",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    assert!(said.contains("test-other-abi       cannot be loaded: "), "{said}");
    let rows = json(folder.path(), "list --plugin-dir .");
    let row = |plugin: &str| {
        let found = rows.as_array().unwrap().iter().find(|row| row["plugin"] == plugin);
        found.unwrap_or_else(|| panic!("no {plugin} in {rows}")).clone()
    };
    let error = row("broken")["error"].to_string();
    assert!(error.contains("not a shared library"), "{error}");
    assert_eq!(row("repa")["name"], "repa");
    assert_eq!(row("repa")["sha256"].as_str().unwrap().len(), 64);

    // Nowhere to look is said too.
    let output = command(folder.path(), &["plugin", "list", "--json"])
        .env("SEXTANT_PLUGIN_PATH", plugin_folder().join("nowhere"))
        .output();
    let rows: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert!(rows.is_array(), "{rows}");
}
