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

/// The recipe of a small encoder.
const ENCODER: &str = "
    data = { kind = \"emoji\", size = 8, split_seed = 0 }
    network = { input = 8, width = 8, blocks = [1], output = 8 }
    objective = { temperature = 0.2, reconstruction = 0.5 }
    views = { area = 0.5, rotation = 10.0, mirror = 0.5, shuffle = 0.2, grey = 0.2, colour = 0.2, noise = 0.1 }
    training = { steps = 2, batch_size = 16, learning_rate = 0.005, warm_up = 1, weight_decay = 0.01, seed = 1 }";

#[test]
fn the_recipe_of_an_encoder_is_checked_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("encoder.toml");
    let arguments = [
        "encoder",
        "train",
        "encoder.toml",
        "--out",
        "encoder.safetensors",
        "--strict",
    ];
    let refused = |recipe: &str, words: &[&str]| {
        std::fs::write(&file, recipe).unwrap();
        sextant_tests::refused(folder.path(), &arguments, words);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{words:?}");
    };
    refused("", &["encoder.toml: is empty", "data, network, views"]);
    for (from, to, words) in [
        ("steps = 2", "steps = 0", "encoder.toml: training.steps must be from 1"),
        ("size = 8", "size = 9", "9"),
        (
            "learning_rate = 0.005",
            "learning_rate = inf",
            "training.learning_rate must be above 0, and at most 1000",
        ),
        (
            "warm_up = 1",
            "warm_up = 3",
            "training.warm_up is 3, and training.steps is 2",
        ),
        (
            "weight_decay = 0.01",
            "weight_decay = 200.0",
            "training.learning_rate times training.weight_decay is 1",
        ),
        ("batch_size = 16", "batch_size = 2000", "there are 1525 training images"),
    ] {
        assert!(ENCODER.contains(from));
        refused(&ENCODER.replace(from, to), &[words]);
    }
}

#[test]
fn the_data_of_an_encoder_lie_beside_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("recipes")).unwrap();
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/images/crop.png");
    for i in 0..20 {
        let class = path.join(format!("recipes/photos/{}", ["cats", "dogs"][i % 2]));
        std::fs::create_dir_all(&class).unwrap();
        std::fs::copy(picture, class.join(format!("{i}.png"))).unwrap();
    }
    let own = ENCODER.replace("kind = \"emoji\"", "kind = \"images\", path = \"photos\"");
    std::fs::write(
        path.join("recipes/encoder.toml"),
        own.replace("batch_size = 16", "batch_size = 8"),
    )
    .unwrap();
    let output = sextant(
        path,
        &[
            "encoder",
            "train",
            "recipes/encoder.toml",
            "--out",
            "encoder.safetensors",
            "--device",
            "cpu",
        ],
    );
    assert!(output.status.success(), "{}", sextant_tests::stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error_and_help_that_nobody_reads_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["train", "--help"], &["help", "eval"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = sextant_tests::command(folder.path(), arguments);
        let output = command.stdout(full).output().unwrap();
        let said = sextant_tests::stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: standard output cannot be written"), "{said}");
        // A reader that has gone.
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let output = sextant_tests::command(folder.path(), arguments)
            .stdout(write)
            .output()
            .unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    }
    let output = sextant(folder.path(), &["trian"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && sextant_tests::stderr(&output).contains("trian"));
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
