//! Files of others and numbers at their ends: samples and weights that are damaged or made elsewhere, seeds, counts, and what a
//! training needs before it begins.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use burn::tensor::TensorData;
use serde_json::Value;
use sextant_model::{read_safetensors, write_safetensors};
use sextant_tests::{command, plugin_folder, program, refused, sextant, stderr, tiny};

/// A largest seed, which TOML has no integer for.
const LARGEST: &str = "18446744073709551615";

fn succeed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
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
    refused(
        path,
        &["sample", "run"],
        &[place, &all, "begins with `module.`", "more"],
    );

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

#[test]
fn a_training_that_no_memory_holds_is_refused_with_its_estimate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let huge = ["--set", "model.hidden_size=16384", "--set", "model.depth=12"];
    // As case 11 of the reports: 3 GB of address space, and a network of hundreds.
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 3000000; exec \"$0\" \"$@\""])
        .arg(program())
        .args(["train", &tiny(), "--out", "run", "--device", "cpu"])
        .args(huge)
        .current_dir(path)
        .env("SEXTANT_PLUGIN_PATH", plugin_folder())
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for words in ["phase \"train\" cannot run here", "weights", "moments", "activations"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!path.join("run").exists(), "something was written");
    // Planned it can be, on a machine of any size.
    let recipe = tiny();
    let arguments = ["plan", &recipe, "--json", "--device", "cpu"];
    let plans: Value = serde_json::from_slice(&succeed(path, &[&arguments[..], &huge].concat())).unwrap();
    let memory = &plans[0]["phases"][0]["memory"];
    assert!(memory["weights"].as_u64().unwrap() > 200_000_000_000, "{memory}");
}

#[test]
fn a_plan_has_every_variant_and_phase() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = tiny();
    let plans = succeed(folder.path(), &["plan", &recipe, "--json", "--device", "cpu"]);
    let plans: Value = serde_json::from_slice(&plans).unwrap();
    let phase = |variant: usize, phase: usize| &plans[variant]["phases"][phase];
    assert_eq!(plans.as_array().unwrap().len(), 3);
    assert_eq!(plans[2]["variant"], "self-transcendence");
    assert_eq!(
        (&phase(2, 0)["phase"], &phase(2, 1)["phase"]),
        (&"align".into(), &"train".into())
    );
    assert_eq!(phase(2, 0)["memory"]["teacher"], 0);
    // Its third block is read by nobody.
    let teacher = phase(2, 1)["memory"]["teacher"].as_u64().unwrap();
    let block = 4 * (32 * (6 + 3 + 1 + 4 + 4) * 32 + (6 + 3 + 1 + 4 + 1) * 32 + 4 * 16);
    assert_eq!(teacher + block, phase(2, 1)["memory"]["averages"].as_u64().unwrap());
    let weights = |variant: usize| phase(variant, 0)["memory"]["weights"].as_u64().unwrap();
    let trained = phase(1, 0)["guidance_parameters"].as_u64().unwrap();
    assert_eq!(weights(1) - weights(0), 4 * trained);
}

/// Largest resident memory of a training's first steps, in bytes.
fn measured(folder: &Path, settings: &[&str]) -> u64 {
    let recipe = tiny();
    let mut arguments = vec!["train", &recipe, "--out", "run", "--device", "cpu"];
    arguments.extend(["--set", "phases.0.steps=100000", "--set", "output.log_every=1"]);
    arguments.extend(settings);
    let mut child = command(folder, &arguments).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let log = folder.join("run/metrics.jsonl");
    let began = Instant::now();
    // The moments are there from the second step on.
    while fs::read_to_string(&log).map_or(0, |log| log.lines().count()) < 4 {
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "no four steps in ten minutes"
        );
        assert!(child.try_wait().unwrap().is_none(), "the training ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = fs::read_to_string(status).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
}

#[test]
#[ignore = "three gigabytes and some minutes: cargo test --release -p sextant-tests --test suite files:: -- --ignored"]
fn the_estimate_is_within_15_percent_of_what_is_measured() {
    let sizes = [
        // Activations, both, and weights.
        "data.size=32 model.patch_size=2 model.hidden_size=256 model.depth=4 model.num_heads=4 optimiser.batch=16",
        "data.size=32 model.patch_size=4 model.hidden_size=512 model.depth=12 model.num_heads=8 optimiser.batch=16",
        "data.size=32 model.patch_size=8 model.hidden_size=1024 model.depth=6 model.num_heads=16 optimiser.batch=4",
    ];
    for size in sizes {
        let settings: Vec<&str> = size.split(' ').flat_map(|set| ["--set", set]).collect();
        for guidance in [
            "",
            r#"phases.0.guidance=[{ plugin = "vae-align", config = { depth = 2, t_min = 0, t_max = 1 } }]"#,
        ] {
            let mut settings = settings.clone();
            if !guidance.is_empty() {
                settings.extend(["--set", guidance]);
            }
            let folder = tempfile::tempdir().unwrap();
            let recipe = tiny();
            let plan = [
                &["plan", &recipe, "--json", "--device", "cpu", "--variant", "none"][..],
                &settings,
            ]
            .concat();
            let plan: Value = serde_json::from_slice(&succeed(folder.path(), &plan)).unwrap();
            let estimated = plan[0]["phases"][0]["memory"]["peak"].as_u64().unwrap();
            let measured = measured(folder.path(), &settings);
            let off = estimated as f64 / measured as f64 - 1.0;
            println!("{size} {guidance}: estimated {estimated}, measured {measured}, off by {off:+.3}");
            assert!(
                off.abs() < 0.15,
                "{size} {guidance}: estimated {estimated}, measured {measured}"
            );
        }
    }
}
