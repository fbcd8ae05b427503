//! Evaluation of a finished run: killed and gone on with, alone, and with wrong input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use sextant_tests::{LITTLE, command, files, refused, sextant, stderr, stdout, tiny};

/// A short training.
const SHORT: [&str; 4] = ["--device", "cpu", "--set", "phases.0.steps=3"];

fn arguments<'a>(recipe: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["compare", recipe, "--out", "all"], &SHORT[..], &LITTLE, more].concat()
}

/// A report without the line that says when it was made.
fn page(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("report.md")).unwrap();
    text.lines()
        .filter(|line| !line.contains(" UTC"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// All files of the evaluations below a folder.
fn measured(all: &Path) -> usize {
    let inside = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "evaluation");
    files(all).iter().filter(inside).count()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_evaluation_that_was_killed_goes_on_to_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let (all, recipe) = (folder.path().join("all"), tiny());
    let output = sextant(folder.path(), &arguments(&recipe, &[]));
    assert!(output.status.success(), "{}", stderr(&output));
    let whole = page(&all);
    let numbers = || fs::read_to_string(all.join("measures.csv")).unwrap();
    let measures = numbers();
    for heading in ["kernel distance", "probe", "copies"] {
        assert!(whole.to_lowercase().contains(heading), "no {heading} in\n{whole}");
    }
    let log = |variant: &str| fs::read_to_string(all.join(variant).join("metrics.jsonl")).unwrap();
    let logged = log("none");
    assert_eq!(
        logged.matches("evaluation.quality.embedded.kernel@1\"").count(),
        1,
        "{logged}"
    );

    for variant in ["none", "aligned", "self-transcendence"] {
        fs::remove_dir_all(all.join(variant).join("evaluation")).unwrap();
    }
    let (mut there, mut kills) = (0, 0);
    while kills < 4 {
        let mut child = command(folder.path(), &arguments(&recipe, &[]));
        let mut child = child.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let since = Instant::now();
        let mut ended = false;
        while measured(&all) < there + 3 && !ended {
            assert!(since.elapsed() < Duration::from_secs(120), "nothing is measured");
            std::thread::sleep(Duration::from_millis(2));
            ended = child.try_wait().unwrap().is_some();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if ended {
            break;
        }
        kills += 1;
        assert!(measured(&all) > there, "what was measured before is gone");
        there = measured(&all);
    }
    assert!(kills >= 2, "it was not killed within its evaluation");
    let goes_on = || {
        let output = sextant(folder.path(), &arguments(&recipe, &[]));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(page(&all), whole);
        assert_eq!(numbers(), measures);
        assert_eq!(log("none"), logged);
    };
    goes_on();

    // As a kill leaves it between the last file of an evaluation and the log.
    let lines = logged.lines().filter(|line| !line.contains("\"evaluation."));
    let unlogged: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert_ne!(unlogged, logged);
    assert!(all.join("none/evaluation/evaluation.json").exists());
    fs::write(all.join("none/metrics.jsonl"), unlogged).unwrap();
    goes_on();
}

#[test]
fn a_run_a_checkpoint_and_samples_are_measured_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    // As many steps as the phase before has.
    let train = [
        &["train", &recipe, "--variant", "self-transcendence", "--out", "run"],
        &SHORT[..],
        &LITTLE,
        &["--set", "phases.0.steps=4"],
    ]
    .concat();
    let output = sextant(path, &train);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("kernel distance"), "{}", stdout(&output));

    let run = json(path, &["eval", "run", "--json"])["evaluation"].clone();
    assert!(
        path.join("run/evaluation/maps/teacher-guided-depth-2-t-0.5.png")
            .exists()
    );
    let checkpoint = json(path, &["eval", "run/phases/train/step-000004", "--json"]);
    assert_eq!(checkpoint["evaluation"], run);
    let result: Value = serde_json::from_slice(&fs::read(path.join("run/result.json")).unwrap()).unwrap();
    let trained = result["validation_loss"].as_f64().unwrap();
    let validation = run["validation"]["mean"].as_f64().unwrap();
    assert!((validation - trained).abs() < 1e-5, "{validation} {trained}");
    assert_eq!(run["validation"]["by_time"].as_array().unwrap().len(), 2);

    // An earlier phase's checkpoint is measured as itself, and no folder gives its numbers to another network of that step.
    let earlier = ["eval", "run/phases/align/step-000004", "--out", "kept", "--json"];
    let earlier = json(path, &earlier)["evaluation"].clone();
    assert_eq!(earlier["step"], 4);
    assert_ne!(earlier["quality"], run["quality"]);
    assert_ne!(earlier["validation"], run["validation"]);
    let maps = earlier["representations"]["maps"].as_array().unwrap().iter();
    let mut taught = maps.filter(|map| map["of"].as_str().unwrap().starts_with("teacher"));
    assert_eq!(taught.next(), None, "nobody taught the earlier phase");
    let last = json(path, &["eval", "run", "--out", "kept", "--json"]);
    assert_eq!(last["evaluation"], run);
    let absent = ["eval", "run/phases/train/step-000099"];
    refused(path, &absent, &["\"train\"", "after step 99", "after 4"]);

    let samples = json(path, &["eval", "run/evaluation/samples-1.npz", "--json"])["evaluation"].clone();
    let at_1 = |evaluation: &Value| -> Vec<Value> {
        let quality = evaluation["quality"].as_array().unwrap().iter();
        quality.filter(|q| q["scale"] == 1.0).cloned().collect()
    };
    assert_eq!(at_1(&samples), at_1(&run));
    assert_eq!(samples["floors"], run["floors"]);
    let scored = ["eval", "run/evaluation/samples-1.npz", "--out", "scored", "--json"];
    assert_eq!(json(path, &scored)["evaluation"], samples);
    assert!(path.join("scored/evaluation.json").exists() && path.join("scored/neighbours.png").exists());

    // No folder of something else is emptied.
    let before = files(path);
    for target in ["run", "run/evaluation/samples-1.npz"] {
        refused(path, &["eval", target, "--out", "."], &["--out"]);
        refused(path, &["eval", target, "--out", "run"], &["--out"]);
    }
    assert_eq!(files(path), before);

    // What was trained is as it is.
    for set in [
        "diffusion.path=cosine",
        "diffusion.prediction=noise",
        "model.num_heads=4",
        "phases.1.steps=9",
        "seed=4",
        "encoder.weights=embedded",
    ] {
        let key = set.split(['=', '.']).next().unwrap();
        refused(path, &["eval", "run", "--set", set], &[key, "cannot become"]);
    }

    // Samples are not judged by the encoder.
    let encoder = encoder_as_judge();
    let guided = ["--set", &encoder, "--set", "encoder.weights=embedded"];
    let words = ["evaluation.quality.judges", "encoder.weights"];
    let samples = ["eval", "run/evaluation/samples-1.npz", "--recipe", &recipe];
    refused(path, &[&samples[..], &guided[..]].concat(), &words);

    // Measured in another way: nothing is trained, and what the run holds stays.
    let before = fs::read(path.join("run/evaluation/evaluation.json")).unwrap();
    let other = json(
        path,
        &["eval", "run", "--json", "--set", "evaluation.quality.samples=24"],
    );
    assert_eq!(other["evaluation"]["quality"][0]["samples"], 24);
    assert_eq!(fs::read(path.join("run/evaluation/evaluation.json")).unwrap(), before);
}

#[test]
fn a_comparison_can_be_measured_in_another_way_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    let run = |more: &[&str]| {
        let output = sextant(path, &arguments(&recipe, more));
        assert!(output.status.success(), "{}", stderr(&output));
    };
    run(&[]);
    let state = |file: &str| fs::read(path.join("all/none").join(file)).unwrap();
    let (result, grid) = (state("result.json"), state("samples/final.png"));
    run(&[
        "--set",
        "evaluation.quality.samples=22",
        "--set",
        "evaluation.samples=6",
    ]);
    let evaluation: Value = serde_json::from_slice(&state("evaluation/evaluation.json")).unwrap();
    assert_eq!(evaluation["quality"][0]["samples"], 22);
    assert_ne!(state("samples/final.png"), grid, "the grid has other samples now");
    let seconds = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["seconds"].clone();
    assert_eq!(seconds(&state("result.json")), seconds(&result), "it was trained again");
}

/// The embedded encoder by its file, as the only judge.
fn encoder_as_judge() -> String {
    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer-host/assets/encoder.safetensors");
    format!("evaluation.quality.judges=[{:?}]", encoder.display().to_string())
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    let judges = encoder_as_judge();
    let as_encoder = arguments(&recipe, &["--set", &judges, "--set", "encoder.weights=embedded"]);
    refused(path, &as_encoder, &["evaluation.quality.judges", "encoder.weights"]);
    let absent = arguments(
        &recipe,
        &["--set", "evaluation.quality.judges=[\"absent.safetensors\"]"],
    );
    refused(path, &absent, &["evaluation.quality.judges", "absent.safetensors"]);
    let scales = arguments(&recipe, &["--set", "evaluation.quality.scales=[0.5]"]);
    refused(path, &scales, &["evaluation.quality.scales", "0.5"]);
    let few = arguments(&recipe, &["--set", "evaluation.representations.images=19"]);
    refused(path, &few, &["evaluation.representations.images", "19"]);
    assert!(!path.join("all").exists(), "something was written");

    fs::create_dir(path.join("empty")).unwrap();
    refused(path, &["eval", "empty"], &["empty", "neither a run"]);
    refused(path, &["eval", "absent"], &["absent", "neither a run"]);
    fs::write(path.join("broken.npz"), b"no archive").unwrap();
    refused(path, &["eval", "broken.npz"], &["broken.npz"]);
    refused(path, &["eval", "empty", "--recipe", &recipe], &["--recipe"]);
}
