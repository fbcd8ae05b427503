//! A step that is timed: of a recipe, and of a network by its size.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sextant_tests::{refused, tiny};

use super::files::succeed;

/// The parts of a step.
const PARTS: [&str; 9] = [
    "data", "encoding", "student", "teacher", "guidance", "backward", "clip", "update", "rest",
];

fn measured(folder: &Path, arguments: &[&str]) -> Value {
    let common = ["--steps", "5", "--warmup", "1", "--device", "cpu", "--json"];
    let output = succeed(folder, &[&["bench"][..], arguments, &common[..]].concat());
    serde_json::from_slice(&output).unwrap()
}

/// A number of it that is finite and above 0.
fn positive(measured: &Value, pointer: &str) -> f64 {
    let number = measured.pointer(pointer).and_then(Value::as_f64);
    let number = number.unwrap_or_else(|| panic!("{pointer} of {measured}"));
    assert!(number.is_finite() && number > 0.0, "{pointer} is {number}");
    number
}

#[test]
fn a_step_of_a_size_is_measured_as_pytorch_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let small = [
        "--model",
        "S/8",
        "--input",
        "16",
        "--batch",
        "3",
        "--threads",
        "2",
        "--set",
        "model.hidden_size=32",
        "--set",
        "model.depth=3",
        "--set",
        "model.num_heads=2",
    ];
    for guidance in ["none", "repa", "vae-align", "self-transcendence"] {
        // Guided at all times, whatever is drawn.
        let place = match guidance {
            "vae-align" => Some("phases.0.guidance.0.config"),
            "self-transcendence" => Some("phases.1.guidance.0.config"),
            _ => None,
        };
        let always = place.map(|place| [format!("{place}.t_min=0.0"), format!("{place}.t_max=1.0")]);
        let always = always.iter().flatten().flat_map(|set| ["--set", set.as_str()]);
        let always: Vec<&str> = always.collect();
        let measured = measured(path, &[&small[..], &["--guidance", guidance], &always[..]].concat());
        // The keys of benches/torch_step.py.
        assert!(measured["who"].as_str().unwrap().starts_with("sextant "), "{measured}");
        for (key, value) in [
            ("model", "S/8"),
            ("guidance", guidance),
            ("dtype", "f32"),
            ("device", "cpu"),
        ] {
            assert_eq!(measured[key], value);
        }
        for (key, value) in [("batch", 3), ("tokens", 4), ("threads", 2)] {
            assert_eq!(measured[key], value);
        }
        // 4 patches of 256 values, 1001 classes, 32 wide, three blocks.
        let linear = |inputs: u64, outputs: u64| (inputs + 1) * outputs;
        let blocks = 3 * (linear(32, 192) + linear(32, 96) + linear(32, 32) + linear(32, 128) + linear(128, 32));
        let ends = linear(256, 32) + linear(32, 64) + linear(32, 256);
        let conditions = linear(256, 32) + linear(32, 32) + 1001 * 32 + 4 * 32;
        assert_eq!(measured["parameters"], blocks + ends + conditions);
        let step = positive(&measured, "/step_s");
        let thirds = ["forward_s", "backward_s", "update_s"].map(|key| positive(&measured, &format!("/{key}")));
        // Medians need not add up, less so on a machine that does something else; parts that are left out would show.
        let comparable = |sum: f64| (0.05..20.0).contains(&(sum / step));
        assert!(comparable(thirds.iter().sum()), "{measured}");
        if cfg!(target_os = "linux") {
            positive(&measured, "/peak_bytes");
        }
        // And ours.
        let parts = PARTS.map(|part| measured["parts_s"][part].as_f64().unwrap_or(f64::NAN));
        assert!(comparable(parts.iter().sum()), "{measured}");
        for part in ["student", "backward", "update"] {
            positive(&measured, &format!("/parts_s/{part}"));
        }
        let of_others = |part: &str| measured["operations"][part].as_f64().unwrap() > 0.0;
        assert_eq!(of_others("guidance"), guidance != "none", "{measured}");
        assert_eq!(of_others("teacher"), guidance == "self-transcendence", "{measured}");
        let share = positive(&measured, "/share_of_peak");
        let wanted = positive(&measured, "/operations_per_s") / positive(&measured, "/product_operations_per_s");
        assert!((share / wanted - 1.0).abs() < 1e-9, "{measured}");
        let [least, most] = ["/range_s/0", "/range_s/1"].map(|end| positive(&measured, end));
        assert!(least <= step && step <= most, "{measured}");
        positive(&measured, "/estimated_bytes/peak");
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "something was written");
}

#[test]
fn a_step_of_a_recipe_is_measured_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Its teacher comes from a phase that is not run.
    let variant = ["--variant", "self-transcendence"];
    let sets = ["--set", "optimiser.batch=6", "--set", "optimiser.accumulation=2"];
    let measured = measured(path, &[&[tiny().as_str()][..], &variant[..], &sets[..]].concat());
    assert_eq!(measured["model"], "Tiny");
    assert_eq!(measured["guidance"], "self-transcendence");
    assert_eq!(measured["batch"], 6);
    assert_eq!(measured["tokens"], 16);
    positive(&measured, "/step_s");
    let small = ["model.hidden_size=32", "model.num_heads=2", "compute.recompute=blocks"];
    let small = small.iter().flat_map(|set| ["--set", *set]);
    let halves = ["--model", "S/8", "--batch", "1", "--dtype", "bf16"]
        .into_iter()
        .chain(small);
    assert_eq!(self::measured(path, &halves.collect::<Vec<_>>())["dtype"], "bf16");
    let text = succeed(path, &["bench", &tiny(), "--steps", "2", "--device", "cpu"]);
    let text = String::from_utf8(text).unwrap();
    for words in [
        "Tiny · guidance none",
        "s a step: median of 2",
        "  backward",
        "resident",
        "matrix products",
    ] {
        assert!(
            text.contains(words) || words == "resident" && !cfg!(target_os = "linux"),
            "{text}"
        );
    }
    assert_eq!(fs::read_dir(path).unwrap().count(), 0, "something was written");
}

#[test]
fn what_cannot_be_timed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    refused(path, &["bench", "--model", "M/2"], &["M/2", "S, B, L or XL"]);
    refused(path, &["bench"], &["RECIPE"]);
    refused(
        path,
        &["bench", &tiny(), "--batch", "2"],
        &["--batch", "cannot be used with"],
    );
    refused(
        path,
        &["bench", "--model", "S/2", "--batch", "0"],
        &["optimiser.batch is 0"],
    );
    refused(path, &["bench", "--model", "S/2", "--threads", "0"], &["--threads"]);
}

#[test]
fn images_are_drawn_as_pytorch_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let small = [
        "--set",
        "model.hidden_size=32",
        "--set",
        "model.depth=2",
        "--set",
        "model.num_heads=2",
    ];
    let drawn = ["--model", "S/8", "--input", "16", "--batch", "3", "--sampling", "4"];
    let measured = measured(folder.path(), &[drawn.as_slice(), &small].concat());
    assert_eq!(measured["sampling_steps"], 4);
    assert_eq!(measured["step_s"], Value::Null);
    let speed = positive(&measured, "/images_per_s") * positive(&measured, "/sampling_s");
    assert!((speed - 3.0).abs() < 1e-9, "{measured}");
}
