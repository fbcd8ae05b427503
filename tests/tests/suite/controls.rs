//! Needs that controls have of the host: shuffled labels, an untrained encoder, and a cost to be equal by.

use std::path::{Path, PathBuf};

use sextant_model::encoder::target_encoder;
use sextant_recipe::TargetEncoder;
use sextant_records::{RunFolder, RunResult};
use sextant_tests::{recipe, sextant, stderr};

fn controls() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/emoji-controls.toml")
}

fn run(folder: &Path, arguments: &[&str]) {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Trains a variant of the tiny recipe.
fn train(folder: &Path, out: &str, more: &[&str]) {
    let recipe = recipe("tiny.toml");
    let arguments = ["train", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    run(folder, &[&arguments, more].concat());
}

fn result(run: &Path) -> RunResult {
    RunFolder::new(run).result().unwrap()
}

fn weights(run: &Path, phase: &str) -> Vec<u8> {
    let saved = RunFolder::new(run).latest(phase).unwrap();
    std::fs::read(saved.folder.join("student.safetensors")).unwrap()
}

#[test]
fn every_control_runs() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = controls();
    let mut arguments = vec!["compare", recipe.to_str().unwrap(), "--out", "all", "--device", "cpu"];
    for set in [
        "model.hidden_size=32",
        "model.num_heads=2",
        "optimiser.batch=8",
        "phases.0.steps=3",
        "evaluation.images=4",
        "evaluation.samples=9",
        "evaluation.sampler.steps=2",
        "evaluation.quality.samples=20",
        "evaluation.quality.sweep_samples=20",
        "evaluation.quality.scales=[1.0]",
        "evaluation.representations.times=[0.5]",
        "evaluation.representations.images=40",
        "evaluation.representations.pictures=1",
        "variants.1.phases.0.steps=2",
        "variants.2.phases.0.steps=4",
        "variants.4.phases.0.steps=2",
        "variants.5.phases.0.steps=2",
        "variants.6.phases.0.steps=2",
        "variants.8.phases.0.steps=2",
        "variants.9.phases.0.steps=2",
    ] {
        arguments.extend(["--set", set]);
    }
    run(folder.path(), &arguments);
    let at = |name: &str| folder.path().join("all").join(name);
    let cost = |name: &str| result(&at(name)).cost;
    let total = |name: &str| {
        let operations = cost(name).operations.unwrap();
        operations.last_phase + operations.earlier_phases
    };
    assert_eq!(result(&at("none-longer")).steps, 4);
    assert!(total("none") < total("vae-align") && total("vae-align") < total("self-transcendence"));
    // An untrained teacher costs no alignment; a mask that counts every sample costs more passes.
    assert!(total("plain-teacher") < total("self-transcendence"));
    assert!(total("mask-released") > total("self-transcendence"));
    // Another teacher is another training, of the same student.
    let teacher = |name: &str| weights(&at(name), "align");
    assert!(teacher("shuffled-teacher") != teacher("self-transcendence"));
    assert!(teacher("scale-1") == teacher("self-transcendence"));
    assert_eq!(cost("repa-untrained").encoder.unwrap().training_operations, Some(0.0));
    assert_eq!(cost("none").encoder, None, "nobody reads its features");
}

#[test]
fn shuffled_labels_are_other_labels_and_resume_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let shuffled = ["--set", "phases.0.shuffle_labels=true"];
    train(folder.path(), "true", &[]);
    train(folder.path(), "not", &["--set", "phases.0.shuffle_labels=false"]);
    train(folder.path(), "whole", &shuffled);
    train(folder.path(), "killed", &shuffled);
    assert!(weights(&at("true"), "train") == weights(&at("not"), "train"));
    assert!(weights(&at("true"), "train") != weights(&at("whole"), "train"));
    // As if it had been killed after its fourth step.
    std::fs::remove_dir_all(at("killed").join("phases/train/step-000008")).unwrap();
    std::fs::remove_file(at("killed").join("result.json")).unwrap();
    run(folder.path(), &["train", "--resume", "killed", "--device", "cpu"]);
    assert!(weights(&at("killed"), "train") == weights(&at("whole"), "train"));
    // Times, noise and images are the same: only where labels matter do they differ, and a new network hardly looks at them.
    let [whole, plain] = ["whole", "true"].map(|name| result(&at(name)).validation_loss);
    assert!(whole != plain && (whole - plain).abs() < 0.1 * plain, "{whole} {plain}");
}

#[test]
fn a_bill_is_what_shapes_and_counters_say() {
    let folder = tempfile::tempdir().unwrap();
    // Every sample counts, so that nothing is left to the draws.
    let everything = [
        "--variant",
        "self-transcendence",
        "--set",
        "variants.2.phases.0.guidance.0.config.t_min=0.0",
        "--set",
        "variants.2.phases.0.guidance.0.config.t_max=1.0",
        "--set",
        "variants.2.phases.1.guidance.0.config.t_min=0.0",
        "--set",
        "variants.2.phases.1.guidance.0.config.t_max=1.0",
        "--set",
        "variants.2.phases.1.guidance.0.stop_step=6",
    ];
    train(folder.path(), "run", &everything);
    let path = folder.path().join("run");
    let cost = result(&path).cost;
    let operations = cost.operations.unwrap();

    // 8 images of 16 tokens of width 32 in 3 blocks; patches of 12 values. Multiplications and additions.
    let entry = 2.0 * (16 * 12 * 32 + 256 * 32) as f64;
    let time = 2.0 * (32 * 32) as f64;
    let block = 2.0 * (32 * 192 + 16 * 32 * 96 + 2 * 16 * 16 * 32 + 16 * 32 * 32 + 2 * 16 * 32 * 128) as f64;
    let final_layer = 2.0 * (32 * 64 + 16 * 32 * 12) as f64;
    let student = 8.0 * (3.0 * (entry + time + 3.0 * block + final_layer) - entry);
    assert_eq!(operations.student, student);
    // Two passes for each image up to block 2, in 6 of 8 steps.
    let teacher = 2.0 * 8.0 * (entry + time + 2.0 * block);
    assert_eq!(operations.teacher, teacher * 6.0 / 8.0);
    // Projectors from 32 to 16, 16 and 32, forward and both gradients; alignment has 12 more outputs.
    let projector = 3.0 * 8.0 * 2.0 * (16 * (32 * 16 + 16 * 16 + 16 * 32)) as f64;
    let head = 3.0 * 8.0 * 2.0 * (16 * 32 * 12) as f64;
    assert_eq!(operations.guidance, projector * 6.0 / 8.0);
    assert_eq!(operations.last_phase, 8.0 * student + 6.0 * (teacher + projector));
    assert_eq!(operations.earlier_phases, 4.0 * (student + projector + head));
    assert_eq!((cost.images_per_step, cost.earlier_images), (8, 32));
    assert_eq!(cost.teacher_parameters, result(&path).student_parameters);

    // In two micro-batches it is the same work.
    let parts = [&everything[..], &["--set", "optimiser.accumulation=2"]].concat();
    train(folder.path(), "parts", &parts);
    assert_eq!(result(&folder.path().join("parts")).cost, cost);
}

#[test]
fn an_untrained_guide_has_other_features() {
    let features = |weights: &str| {
        let data = sextant_recipe::DataConfig::emoji(8, 0);
        let config = TargetEncoder {
            weights: weights.into(),
            ..TargetEncoder::default()
        };
        let device = sextant_tests::device();
        let encoded = target_encoder(&config, &device)
            .unwrap()
            .encode(&sextant_data::load(&data).unwrap(), &device);
        encoded.unwrap()
    };
    assert_ne!(features("untrained"), features("embedded"));
}
