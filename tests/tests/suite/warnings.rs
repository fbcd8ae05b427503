//! Settings that are possible and hardly meant, networks that are no numbers, and trainings that end in infinity.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use burn::tensor::TensorData;
use sextant_model::{read_safetensors, write_safetensors};
use sextant_records::RunFolder;
use sextant_tests::{recipe, sextant, stderr, stdout};

/// Runs a command on the tiny recipe.
fn tiny(folder: &Path, command: &str, out: &str, more: &[&str]) -> Output {
    let recipe = recipe("tiny.toml");
    let arguments = [command, recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    sextant(folder, &[&arguments, more].concat())
}

fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["--set", setting]).collect()
}

fn ended(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}{}", stdout(output));
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    assert!(!said.contains("fault of Sextant's own"), "{said}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// The last checkpoint of a phase.
fn checkpoint(run: &Path, phase: &str) -> PathBuf {
    RunFolder::new(run).latest(phase).unwrap().folder
}

/// Changes the first value of a tensor in a file, or all of them.
fn poison(file: &Path, tensor: &str, value: f32, all: bool) {
    let mut tensors = read_safetensors(file).unwrap();
    let shape = tensors[tensor].shape().to_vec();
    let mut values: Vec<f32> = tensors[tensor].iter::<f32>().collect();
    let count = if all { values.len() } else { 1 };
    values[..count].fill(value);
    tensors.insert(tensor.into(), TensorData::new(values, shape));
    write_safetensors(file, &tensors, &Default::default()).unwrap();
}

#[test]
fn a_warning_is_in_the_log_the_record_and_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let settings = set(&["optimiser.ema_warmup=false", "phases.0.steps=2"]);
    let words = "optimiser.ema_decay is 0.9999 without optimiser.ema_warmup";
    ended(&tiny(folder.path(), "compare", "all", &settings), 0, &["WARN", words]);
    let all = folder.path().join("all");
    for variant in ["none", "aligned", "self-transcendence"] {
        let run = RunFolder::new(all.join(variant));
        let warned = run.info().unwrap().warnings;
        let [warning] = &warned[..] else { panic!("{warned:?}") };
        assert!(warning.starts_with(words), "{warning}");
        let log = fs::read_to_string(run.path().join("log.txt")).unwrap();
        assert!(log.contains(words), "{log}");
    }
    for page in ["report.html", "report.md"] {
        let page = fs::read_to_string(all.join(page)).unwrap();
        assert_eq!(
            page.matches("Warning: optimiser.ema").count(),
            1,
            "of all variants, once"
        );
    }
}

#[test]
fn the_default_average_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(recipe("tiny.toml")).unwrap();
    assert!(whole.contains("ema_warmup = true\n"));
    fs::write(
        folder.path().join("silent.toml"),
        whole.replace("ema_warmup = true\n", ""),
    )
    .unwrap();
    let train = |out: &str, more: &[&str]| {
        let arguments = ["train", "silent.toml", "--out", out, "--device", "cpu", "--strict"];
        let output = sextant(folder.path(), &[&arguments, more].concat());
        ended(&output, 0, &[]);
        assert!(!stderr(&output).contains("WARN"), "{}", stderr(&output));
        fs::read(checkpoint(&folder.path().join(out), "train").join("ema.safetensors")).unwrap()
    };
    assert!(train("silent", &[]) == train("said", &["--set", "optimiser.ema_warmup=true"]));
}

#[test]
fn strict_makes_warnings_errors_before_anything_is_written() {
    let source = |plugin: &str, more: &str| format!("phases.0.guidance=[{{ plugin = \"{plugin}\", {more} }}]");
    let aligned = |more: &str, config: &str| {
        source(
            "vae-align",
            &format!("{more} config = {{ depth = 1, projector_width = 16, {config} }}"),
        )
    };
    let dispersive = source("dispersive", "config = { depth = 1 }");
    let cases: [(Vec<&str>, Vec<String>, &[&str]); 14] = [
        (
            vec![],
            vec![aligned("coefficient = 0,", "t_max = 0.8")],
            &["phases.0.guidance.0.coefficient is 0", "\"vae-align\""],
        ),
        (
            vec![],
            vec![aligned("start_step = 8,", "t_max = 0.8")],
            &["phases.0.guidance.0.start_step is 8", "below 8"],
        ),
        (
            vec![],
            vec![aligned("", "t_min = 0.5, t_max = 0.5")],
            &["phases.0.guidance.0", "from 0.5 to 0.5"],
        ),
        (
            vec!["optimiser.batch=1"],
            vec![dispersive.clone()],
            &["\"dispersive\"", "at least two"],
        ),
        (
            vec!["optimiser.batch=4", "optimiser.accumulation=4"],
            vec![dispersive],
            &["optimiser.accumulation = 4", "at least two"],
        ),
        (
            vec!["diffusion.label_dropout=0", "evaluation.sampler.cfg_scale=3"],
            vec![],
            &["diffusion.label_dropout is 0", "evaluation.sampler.cfg_scale"],
        ),
        (
            vec!["diffusion.label_dropout=1"],
            vec![],
            &["diffusion.label_dropout is 1"],
        ),
        (vec!["optimiser.ema_warmup=false"], vec![], &["optimiser.ema_warmup"]),
        (
            vec!["evaluation.quality.samples=20"],
            vec![],
            &["evaluation.quality.samples is 20", "\"embedded\" has 64 features"],
        ),
        (
            vec!["evaluation.representations.images=20"],
            vec![],
            &["evaluation.representations.images is 20", "0 for all"],
        ),
        (
            vec!["evaluation.images=5000"],
            vec![],
            &["evaluation.images is 5000", "hold out"],
        ),
        (vec!["optimiser.lr=0"], vec![], &["optimiser.lr is 0"]),
        (
            vec!["optimiser.no_decay=[\"bias\"]"],
            vec![],
            &["optimiser.no_decay names bias", "weight_decay is 0"],
        ),
        (
            vec!["evaluation.sampler.guidance_high=0.7"],
            vec![],
            &["evaluation.sampler.guidance_high", "evaluation.sampler.cfg_scale is 1"],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (settings, more, words) in cases {
        let settings: Vec<&str> = settings.into_iter().chain(more.iter().map(String::as_str)).collect();
        let output = tiny(
            folder.path(),
            "train",
            "run",
            &[&["--strict"], &set(&settings)[..]].concat(),
        );
        ended(&output, 2, &[&["--strict"][..], words].concat());
        assert!(is_empty(folder.path()), "{settings:?} left something behind");
    }
    let untrained = set(&["diffusion.label_dropout=0"]);
    for (command, more) in [
        ("train", &["--variant", "self-transcendence"][..]),
        ("compare", &[][..]),
        ("sweep", &["--lr", "1e-3,2e-3"][..]),
    ] {
        let output = tiny(
            folder.path(),
            command,
            "run",
            &[&["--strict"], more, &untrained].concat(),
        );
        ended(&output, 2, &["--strict", "source \"self-transcendence\""]);
        assert!(is_empty(folder.path()), "{command} left something behind");
    }
}

#[test]
fn samples_that_need_an_untrained_null_class_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let settings = set(&["diffusion.label_dropout=0", "phases.0.steps=2"]);
    ended(&tiny(folder.path(), "train", "run", &settings), 0, &[]);
    let draw = |more: &[&str]| sextant(folder.path(), &[&["sample", "run", "--device", "cpu"], more].concat());
    ended(
        &draw(&["--cfg", "3"]),
        0,
        &["WARN", "the null class is never trained", "--cfg"],
    );
    assert!(!stderr(&draw(&[])).contains("WARN"));
    ended(
        &draw(&["--guidance-low", "0.2"]),
        0,
        &["WARN", "--guidance-low: guidance would be on at times from 0.2 to 1"],
    );
    for option in ["--count", "--columns"] {
        ended(&draw(&[option, "0"]), 2, &[option, "from 1 to"]);
    }
}

#[test]
fn a_network_that_is_no_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    ended(&tiny(folder.path(), "train", "run", &[]), 0, &[]);
    let run = folder.path().join("run");
    let ema = checkpoint(&run, "train").join("ema.safetensors");
    for value in [f32::NAN, f32::INFINITY] {
        poison(&ema, "final_layer.linear.bias", value, false);
        let words = ["step-000008/ema.safetensors", "`final_layer.linear.bias` holds"];
        let sampled = sextant(folder.path(), &["sample", "run", "--device", "cpu"]);
        ended(&sampled, 2, &words);
        assert!(!run.join("samples/drawn.png").exists());
        let measured = sextant(folder.path(), &["eval", "run", "--device", "cpu"]);
        ended(&measured, 2, &words);
        assert!(!run.join("evaluation").exists());
    }
}

#[test]
fn weights_that_are_no_numbers_teach_nobody_and_begin_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let continued = r#"phases=[{ name = "align", steps = 2 }, { name = "train", steps = 2, init = "continue" }]"#;
    for (out, more) in [
        ("taught", vec!["--variant", "self-transcendence"]),
        ("continued", vec!["--set", continued]),
    ] {
        ended(&tiny(folder.path(), "train", out, &more), 0, &[]);
        let run = folder.path().join(out);
        // Depth 2 of 3 is read.
        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        assert_eq!(
            log.contains("the teacher keeps 2 of its 3 blocks"),
            out == "taught",
            "{log}"
        );
        // As if it had been killed between the two phases.
        fs::remove_file(run.join("result.json")).unwrap();
        fs::remove_dir_all(run.join("phases/train")).unwrap();
        let student = checkpoint(&run, "align").join("student.safetensors");
        poison(&student, "blocks.0.mlp.fc1.bias", f32::NAN, false);
        let resumed = sextant(folder.path(), &["train", "--resume", out, "--device", "cpu"]);
        let words = [
            "phases/align/step-",
            "student.safetensors",
            "`blocks.0.mlp.fc1.bias` holds NaN",
        ];
        ended(&resumed, 2, &words);
        assert!(!run.join("phases/train").exists());
    }
}

#[test]
fn a_file_that_is_no_number_begins_and_teaches_nothing_and_all_its_tensors_are_named() {
    let folder = tempfile::tempdir().unwrap();
    ended(
        &tiny(folder.path(), "train", "run", &set(&["phases.0.steps=2"])),
        0,
        &[],
    );
    let file = folder.path().join("poisoned.safetensors");
    fs::copy(
        checkpoint(&folder.path().join("run"), "train").join("student.safetensors"),
        &file,
    )
    .unwrap();
    poison(&file, "final_layer.linear.bias", f32::NAN, false);
    poison(&file, "blocks.0.mlp.fc1.bias", f32::NEG_INFINITY, false);
    let from = format!("from = \"{}\"", file.display());
    let init = format!("phases.0.init={{ {from} }}");
    let teacher = format!("phases.0.teacher={{ {from} }}");
    let taught = "phases.0.guidance=[{ plugin = \"self-transcendence\", config = { student_depth = 1, teacher_depth = 2, projector_width = 16 } }]";
    for (key, settings) in [
        ("phases.0.init.from", vec![&*init]),
        ("phases.0.teacher.from", vec![&*teacher, taught]),
    ] {
        let words = [
            key,
            "poisoned.safetensors: 2 tensors hold what no network computes with",
            "`blocks.0.mlp.fc1.bias` holds -inf",
            "`final_layer.linear.bias` holds NaN",
        ];
        for command in ["train", "compare"] {
            ended(&tiny(folder.path(), command, "new", &set(&settings)), 2, &words);
            assert!(!folder.path().join("new").exists(), "{command} left something behind");
        }
    }
}

#[test]
fn samples_that_are_no_numbers_are_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    ended(&tiny(folder.path(), "train", "run", &[]), 0, &[]);
    let run = folder.path().join("run");
    let ema = checkpoint(&run, "train").join("ema.safetensors");
    poison(&ema, "final_layer.linear.bias", f32::MAX, true);
    poison(&ema, "final_layer.linear.weight", f32::MAX, true);
    let words = ["ema.safetensors: sample 0, of class 0, came out as"];
    let sampled = sextant(folder.path(), &["sample", "run", "--device", "cpu"]);
    ended(&sampled, 1, &words);
    assert!(!run.join("samples/drawn.png").exists());
    let little = set(&["evaluation.quality.samples=20", "evaluation.quality.sweep_samples=20"]);
    let measured = sextant(
        folder.path(),
        &[&["eval", "run", "--device", "cpu"], &little[..]].concat(),
    );
    ended(&measured, 1, &["ema.safetensors: sample 0, ", "came out as"]);
}

#[test]
fn a_training_that_ends_in_infinity_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = set(&[
        "optimiser.weight_decay=1",
        "optimiser.lr=1000",
        "optimiser.ema_decay=0",
        "phases.0.steps=2",
        "output.log_every=1",
    ]);
    let without = [&settings[..], &set(&["phases.0.guidance=[]"])].concat();
    // Without a source that has a loss there is no coefficient that could be lower.
    for (out, settings) in [("none", &settings), ("run", &without)] {
        let trained = tiny(folder.path(), "train", out, settings);
        ended(
            &trained,
            1,
            &["the validation loss became", "at step 2", "optimiser.lr"],
        );
        assert!(!stderr(&trained).contains("coefficient"), "{}", stderr(&trained));
    }
    let run = RunFolder::new(folder.path().join("run"));
    assert!(run.result().is_none());
    assert!(run.failure().unwrap().message.contains("the validation loss became"));
    let compared = tiny(folder.path(), "compare", "all", &without);
    ended(&compared, 1, &["failed: none"]);
}

#[test]
fn an_evaluation_says_how_its_samples_were_drawn() {
    let folder = tempfile::tempdir().unwrap();
    ended(
        &tiny(folder.path(), "train", "run", &set(&["phases.0.steps=2"])),
        0,
        &[],
    );
    let settings = set(&[
        "evaluation.quality.samples=20",
        "evaluation.quality.sweep_samples=21",
        "evaluation.quality.scales=[2.0]",
    ]);
    let eval = |more: &[&str]| {
        let output = sextant(
            folder.path(),
            &[&["eval", "run", "--device", "cpu"], more, &settings].concat(),
        );
        ended(&output, 0, &["evaluation.quality.samples is 20"]);
        stdout(&output)
    };
    let json: serde_json::Value = serde_json::from_str(&eval(&["--json"])).unwrap();
    let wanted = serde_json::json!({
        "weights": "ema", "sampler": "euler", "steps": 2, "cfg_scales": [1.0, 2.0], "guidance_low": 0.0, "guidance_high": 1.0,
        "seed": 3, "count": 20, "sweep_count": 21,
    });
    assert_eq!(json["drawn"], wanted);
    let said = eval(&[]);
    assert!(
        said.starts_with("20 samples a scale, of the weights \"ema\"")
            && said.contains("Euler, 2 steps, guidance scale 1 and 2"),
        "{said}"
    );
}
