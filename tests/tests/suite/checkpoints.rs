//! Files of weights that others wrote: converted, begun with, taught by; and what PyTorch says of what is written.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sextant_tests::{fixture, refused, sextant, stderr, stdout, tiny};

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

fn published(name: &str) -> String {
    fixture::folder().join(name).display().to_string()
}

#[test]
fn what_is_converted_loads_into_pytorch_and_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (published, bare) = (
        published("checkpoint_published.pt"),
        published("checkpoint_bare_module_prefix.pt"),
    );
    let info = succeed(path, &["checkpoint", "info", &published, "--json"]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!((&info["step"], &info["network"]["num_heads"]), (&1.into(), &4.into()));
    assert_eq!(info["misfit"], Value::Null);
    let text = succeed(path, &["checkpoint", "info", &published]);
    assert!(text.contains("depth 3, width 32, 4 heads"), "{text}");
    succeed(path, &["checkpoint", "convert", &published, "model.safetensors"]);
    succeed(path, &["checkpoint", "convert", &bare, "ema.safetensors"]);
    refused(
        path,
        &["checkpoint", "convert", &bare, "ema.safetensors"],
        &["there already"],
    );
    refused(
        path,
        &["checkpoint", "convert", &bare, "ema.pt"],
        &["safetensors are written"],
    );
    refused(
        path,
        &["checkpoint", "info", &bare, "--weights", "ema"],
        &["checkpoint_bare_module_prefix.pt", "one set without a name"],
    );
    // The interpreter of `SEXTANT_PYTHON`, by default the one that there is.
    let python = std::env::var("SEXTANT_PYTHON").unwrap_or("python3".into());
    let torch = Command::new(&python).args(["-c", "import torch"]).output();
    if !torch.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no torch");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/pytorch/load_checkpoint.py");
    let expected = self::published("checkpoint_expected.safetensors");
    for (file, output) in [("model.safetensors", "out.model"), ("ema.safetensors", "out.ema")] {
        let file = path.join(file);
        let compared = Command::new(&python)
            .arg(script)
            .arg(&file)
            .args([&expected, output])
            .output()
            .unwrap();
        assert!(compared.status.success(), "{}{}", stdout(&compared), stderr(&compared));
    }
}

#[test]
fn a_checkpoint_of_one_run_begins_and_teaches_another_and_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    succeed(path, &["train", &tiny(), "--out", "first", "--device", "cpu"]);
    let phases = path.join("first/phases");
    let phase = fs::read_dir(&phases).unwrap().next().unwrap().unwrap().path();
    let step = fs::read_dir(&phase).unwrap().flatten().map(|entry| entry.path());
    let step = step.filter(|path| path.is_dir()).max().unwrap().display().to_string();
    let init = format!("phases.0.init={{ from = \"{step}\" }}");
    succeed(
        path,
        &["train", &tiny(), "--out", "second", "--device", "cpu", "--set", &init],
    );
    let info: Value = serde_json::from_slice(&fs::read(path.join("second/run.json")).unwrap()).unwrap();
    assert_eq!(info["files"][0]["key"], "phases.0.init.from");
    assert!(
        info["files"][0]["path"]
            .as_str()
            .unwrap()
            .ends_with("student.safetensors"),
        "{info}"
    );
    assert_eq!(info["files"][0]["sha256"].as_str().unwrap().len(), 64);
    // The same file as a teacher: its moving average, in a phase that has no earlier one.
    let teacher = format!("phases.0.teacher={{ from = \"{step}\", weights = \"ema\" }}");
    let guidance = "phases.0.guidance=[{ plugin = \"self-transcendence\", config = { student_depth = 1, teacher_depth = 2, projector_width = 16 } }]";
    let taught = ["--set", &teacher, "--set", guidance];
    succeed(
        path,
        &[&["train", &tiny(), "--out", "taught", "--device", "cpu"][..], &taught].concat(),
    );
    let info: Value = serde_json::from_slice(&fs::read(path.join("taught/run.json")).unwrap()).unwrap();
    assert!(
        info["files"][0]["path"].as_str().unwrap().ends_with("ema.safetensors"),
        "{info}"
    );
    // A network of another kind is refused before anything is made, with all that differs.
    let foreign = published("checkpoint_published.pt");
    let set = format!("phases.0.init={{ from = \"{foreign}\" }}");
    refused(
        path,
        &["train", &tiny(), "--out", "third", "--set", &set],
        &["phases.0.init.from", "checkpoint_published.pt"],
    );
    let set = format!("phases.0.teacher={{ from = \"{foreign}\" }}");
    refused(
        path,
        &["train", &tiny(), "--out", "third", "--set", &set],
        &["phases.0.teacher.from", "what the student sees"],
    );
    assert!(!path.join("third").exists());
}
