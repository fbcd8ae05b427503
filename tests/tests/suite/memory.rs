//! Memory: what is refused before anything is written, what ends a run that was let begin, and how near estimates are.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use sextant_tests::{command, started_by, stderr, tiny};

use super::files::succeed;

/// The program with so many kB of address space.
fn within(kilobytes: u64, folder: &Path, arguments: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v $0; exec \"$@\"", &kilobytes.to_string()]);
    started_by(shell, folder, arguments).output().unwrap()
}

/// The plans of the tiny recipe.
fn planned(folder: &Path, more: &[&str]) -> Value {
    let recipe = tiny();
    let plans = succeed(
        folder,
        &[&["plan", &recipe, "--json", "--device", "cpu"], more].concat(),
    );
    serde_json::from_slice(&plans).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_that_no_memory_holds_is_refused_with_its_estimate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // As case 11 of the reports: 3 GB of address space, and a network of hundreds.
    let huge = ["--set", "model.hidden_size=16384", "--set", "model.depth=12"];
    let recipe = tiny();
    let arguments = ["train", &recipe, "--out", "run", "--device", "cpu"];
    let output = within(3_000_000, path, &[&arguments[..], &huge].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for words in ["phase \"train\" cannot run here", "weights", "moments", "activations"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!path.join("run").exists(), "something was written");
    // Planned it can be, on a machine of any size.
    let memory = &planned(path, &huge)[0]["phases"][0]["memory"];
    assert!(memory["weights"].as_u64().unwrap() > 200_000_000_000, "{memory}");
}

#[cfg(target_os = "linux")]
#[test]
fn samples_that_no_memory_holds_are_refused_before_anything_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let recipe = tiny();
    let refused = |arguments: &[&str], key: &str| {
        let output = within(1_500_000, path, arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in [
            &format!("{key} is 1000000: its images alone need"),
            "GB are free",
            "fit",
        ] {
            assert!(said.contains(words), "{said}");
        }
    };
    let million = |key: &str| format!("{key}=1000000");
    for (command, key) in [
        ("train", "evaluation.samples"),
        ("compare", "evaluation.quality.samples"),
    ] {
        refused(
            &[
                command,
                &recipe,
                "--out",
                "run",
                "--device",
                "cpu",
                "--set",
                &million(key),
            ],
            key,
        );
        assert!(!path.join("run").exists(), "something was written");
    }
    succeed(
        path,
        &[
            "train",
            &recipe,
            "--out",
            "run",
            "--set",
            "phases.0.steps=1",
            "--device",
            "cpu",
        ],
    );
    refused(&["sample", "run", "--count", "1000000", "--device", "cpu"], "--count");
    let key = "evaluation.quality.samples";
    refused(&["eval", "run", "--device", "cpu", "--set", &million(key)], key);
    assert!(!path.join("run/evaluation").exists(), "something was written");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_memory_ends_says_what_it_needs_and_goes_on_with_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let settings = [
        "data.size=32",
        "model.hidden_size=128",
        "optimiser.batch=32",
        "optimiser.accumulation=1",
        "phases.0.steps=2",
        "output.share_every=0",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    let memory = &planned(path, &[&["--variant", "none"], &settings[..]].concat())[0]["phases"][0]["memory"];
    let of = |part: &str| memory[part].as_u64().unwrap();
    assert!(of("activations") > 250_000_000, "{memory}");
    let recipe = tiny();
    let arguments = ["train", &recipe, "--variant", "none", "--out", "run", "--device", "cpu"];
    let arguments = [&arguments[..], &settings].concat();
    let output = within(of("peak") * 7 / 10 / 1024, path, &arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "error: out of memory: ",
        " bytes (",
        " are held; phase \"train\": a step is estimated to need ",
        "; see `sextant plan`",
    ] {
        assert!(said.contains(words), "{said}");
    }
    for words in ["panicked", "backtrace", "memory allocation of"] {
        assert!(!said.contains(words), "{said}");
    }
    succeed(path, &["train", "--resume", "run", "--device", "cpu"]);
}

#[test]
fn a_plan_has_every_variant_and_phase() {
    let folder = tempfile::tempdir().unwrap();
    let plans = planned(folder.path(), &[]);
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

/// Largest resident memory of a training's first steps, and with a checkpoint after them, in bytes.
fn measured(folder: &Path, settings: &[&str]) -> [u64; 2] {
    let recipe = tiny();
    let mut arguments = vec!["train", &recipe, "--out", "run", "--device", "cpu"];
    arguments.extend(["--set", "phases.0.steps=100000", "--set", "output.log_every=1"]);
    arguments.extend(["--set", "output.checkpoint_every=6"]);
    arguments.extend(settings);
    let mut child = command(folder, &arguments).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let log = folder.join("run/metrics.jsonl");
    let began = Instant::now();
    let mut until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "no six steps in ten minutes"
            );
            assert!(child.try_wait().unwrap().is_none(), "the training ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        let status = fs::read_to_string(&status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        1024 * line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    // The moments are there from the second step on, and the shares of the gradient are looked at after the fourth.
    let stepped = until(&|| fs::read_to_string(&log).map_or(0, |log| log.lines().count()) >= 5);
    let saved = until(&|| folder.join("run/phases/train/step-000006").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    [stepped, saved]
}

#[test]
#[ignore = "three gigabytes and some minutes: cargo test --release -p sextant-tests --test suite memory:: -- --ignored"]
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
            let variant = [&["--variant", "none"], &settings[..]].concat();
            let memory = &planned(folder.path(), &variant)[0]["phases"][0]["memory"];
            let measured = measured(folder.path(), &settings);
            for (part, measured) in ["peak", "checkpoint"].into_iter().zip(measured) {
                let estimated = memory[part].as_u64().unwrap();
                let off = estimated as f64 / measured as f64 - 1.0;
                println!("{size} {guidance}: {part} estimated {estimated}, measured {measured}, off by {off:+.3}");
                assert!(
                    off.abs() < 0.15,
                    "{size} {guidance}: {part} estimated {estimated}, measured {measured}"
                );
            }
        }
    }
}
