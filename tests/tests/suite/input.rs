//! Wrong input: one clear message, exit code 2, nothing written.

use sextant_tests::{plugin_folder, recipe, sextant};

/// Runs `sextant train tiny.toml` with these settings and wants a message with these words.
fn refused(settings: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", "run"];
    for set in settings {
        arguments.extend(["--set", set]);
    }
    sextant_tests::refused(folder.path(), &arguments, words);
    assert!(
        std::fs::read_dir(folder.path()).unwrap().next().is_none(),
        "{settings:?} left something behind"
    );
}

fn guided(plugin: &str, more: &str) -> String {
    format!("phases.0.guidance=[{{ plugin = \"{plugin}\"{more} }}]")
}

#[test]
fn wrong_keys_and_values() {
    refused(&["optimiser.learning_rat=1"], &["optimiser.learning_rat is not a key"]);
    refused(&["optimiser.bacth=1"], &["did you mean batch?"]);
    refused(&["phases.0.guidance.0.coeficient=1"], &["coeficient"]);
    refused(&["model.depth=0"], &["model", "depth"]);
    refused(&["model.hidden_size=33"], &["hidden_size"]);
    refused(&["model.patch_size=3"], &["patch_size"]);
    refused(&["data.size=17"], &["data.size"]);
    refused(&["phases.0.guidance.0.coefficient=nan"], &["coefficient", "finite"]);
    refused(&["phases.0.guidance.0.coefficient=inf"], &["coefficient", "finite"]);
    refused(&["evaluation.sampler.steps=0"], &["evaluation.sampler", "steps"]);
}

#[test]
fn sources_that_cannot_be_loaded() {
    refused(&[&guided("nowhere", "")], &["nowhere", "libsextant_nowhere"]);
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libsextant_text.so");
    std::fs::write(&text, "not a library").unwrap();
    refused(&[&guided(text.to_str().unwrap(), "")], &["libsextant_text.so"]);
    refused(&[&guided("test-other-abi", "")], &["test_other_abi", "2.5", "1."]);
    let pinned = format!(", sha256 = \"{}\"", "0".repeat(64));
    refused(&[&guided("none", &pinned)], &["sha256", "none"]);
}

#[test]
fn sources_that_do_not_fit() {
    refused(
        &[&guided("vae-align", ", config = { depth = 9 }")],
        &["vae-align", "depth 9", "3"],
    );
    refused(
        &[&guided("vae-align", ", config = { dept = 1 }")],
        &["vae-align", "dept", "depth"],
    );
    refused(
        &[&guided("vae-align", ", config = { target = \"x\" }")],
        &["vae-align", "velocity", "clean"],
    );
    refused(&[&guided("repa", "")], &["repa", "features"]);
    refused(&[&guided("self-transcendence", "")], &["self-transcendence", "teacher"]);
    // The encoder has 64 tokens, the student 16.
    refused(
        &[&guided("repa", ""), "encoder={ weights = \"embedded\" }"],
        &["repa", "64", "16"],
    );
}

#[test]
fn folders_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let recipe = recipe.to_str().unwrap();
    sextant_tests::refused(folder.path(), &["train", "nowhere.toml"], &["nowhere.toml"]);
    std::fs::write(folder.path().join("broken.toml"), "a = = 1").unwrap();
    sextant_tests::refused(folder.path(), &["train", "broken.toml"], &["broken.toml"]);
    sextant_tests::refused(
        folder.path(),
        &["train", "--resume", "nowhere"],
        &["nowhere", "not a run"],
    );
    sextant_tests::refused(folder.path(), &["sample", "nowhere"], &["nowhere"]);
    sextant_tests::refused(folder.path(), &["train", recipe, "--out", "/proc/run"], &["/proc/run"]);
    std::fs::create_dir(folder.path().join("full")).unwrap();
    std::fs::write(folder.path().join("full/file"), "mine").unwrap();
    sextant_tests::refused(
        folder.path(),
        &["train", recipe, "--out", "full"],
        &["full", "--resume"],
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("full/file")).unwrap(),
        "mine"
    );
    sextant_tests::refused(folder.path(), &["train", recipe, "--device", "tpu"], &["tpu", "cpu"]);
    sextant_tests::refused(folder.path(), &["train", recipe, "--variant", "x"], &["x", "aligned"]);
}

#[test]
fn names_and_values_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let recipe = recipe.to_str().unwrap();
    for (arguments, words) in [
        (&["sample", "run", "--name", ""][..], &["--name \"\"", "empty"][..]),
        (&["sample", "run", "--name", "../x"], &["--name \"../x\"", "--out"]),
        (
            &["compare", recipe, "--set", "variants.0.name=../x"],
            &["variants.0.name", "names a folder"],
        ),
        (&["plugin", "new", ""], &["the name of a source"]),
        (&["plugin", "new", "../x"], &["the name of a source", "such as x"]),
        (&["sweep", recipe, "--lr", "1e-3,abc"], &["--lr 1e-3,abc", "\"abc\""]),
        (
            &["sweep", recipe, "--vary", "optimiser.lr=1e-3,abc"],
            &["the setting lr=abc", "optimiser.lr"],
        ),
    ] {
        sextant_tests::refused(folder.path(), arguments, words);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_no_fault_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = sextant_tests::command(folder.path(), &["devices"]);
    let output = command.stdout(full).output().unwrap();
    let said = sextant_tests::stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output cannot be written"), "{said}");
}

#[test]
fn the_plugin_list_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = sextant(folder.path(), &["plugin", "list", "--json"]);
    assert!(output.status.success());
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = list.as_array().unwrap();
    let named = |name: &str| {
        list.iter()
            .find(|row| row["path"].as_str().unwrap().contains(&format!("sextant_{name}.")))
            .unwrap()
    };
    for name in [
        "none",
        "repa",
        "vae_align",
        "self_transcendence",
        "sra",
        "layersync",
        "dispersive",
        "irepa",
        "haste",
    ] {
        assert_eq!(named(name)["name"], name.replace('_', "-"));
        assert_eq!(named(name)["sha256"].as_str().unwrap().len(), 64);
    }
    assert!(named("test_other_abi")["error"].as_str().unwrap().contains("2.5"));
    assert!(plugin_folder().exists());
}

#[test]
fn devices_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let output = sextant(folder.path(), &["devices", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(list.as_array().unwrap().iter().any(|d| d["name"] == "cpu"));
}
