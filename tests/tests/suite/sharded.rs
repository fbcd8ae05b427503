//! Optimiser state and averages split over ranks: the run of ranks that have everything, to the bit.

use std::path::Path;
use std::process::Output;

use sextant_records::RunFolder;
use sextant_records::checkpoint::list;
use sextant_tests::{refused, sextant, stderr, tiny};

use super::runs::{contents, same, succeed};

const SHARDED: [&str; 2] = ["--set", "ranks.sharded=true"];

fn train(folder: &Path, out: &str, device: &str, more: &[&[&str]]) -> Output {
    let tiny = tiny();
    let arguments = [
        &["train", &tiny, "--out", out, "--device", device],
        more.concat().as_slice(),
    ]
    .concat();
    sextant(folder, &arguments)
}

/// All that both runs have left is the same: checkpoints, log and pictures.
fn all_the_same(folder: &Path, one: &str, other: &str, step: u64) {
    let [one, other] = [one, other].map(|run| folder.join(run));
    same(&one, &other, step);
    let file = format!("phases/train/step-{step:06}/ema-0.9.safetensors");
    for file in [file.as_str(), "samples/final.npz", "samples/train-step-000004-ema.png"] {
        assert!(
            contents(&one.join(file)) == contents(&other.join(file)),
            "{file} differs"
        );
    }
}

#[test]
fn parts_of_the_state_make_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for variant in ["aligned", "self-transcendence"] {
        // A clip that takes hold, an average more, and what looks at averages on the way.
        let more = [
            "--variant",
            variant,
            "--set",
            "optimiser.max_grad_norm=0.5",
            "--set",
            "optimiser.further_ema_decays=[0.9]",
            "--set",
            "output.samples_every=4",
            "--set",
            "evaluation.every=4",
        ];
        for (ranks, device) in [(2, "cpu,cpu"), (4, "cpu,cpu,cpu,cpu")] {
            let [whole, parts] = ["whole", "parts"].map(|run| format!("{variant}-{run}-{ranks}"));
            succeed(&train(at, &whole, device, &[&more]));
            succeed(&train(at, &parts, device, &[&more, &SHARDED]));
            all_the_same(at, &whole, &parts, 8);
        }
    }
}

#[test]
fn a_run_goes_on_with_parts_and_without_on_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let aligned: &[&str] = &["--variant", "aligned"];
    succeed(&train(at, "whole", "cpu,cpu", &[aligned]));
    succeed(&train(at, "parts", "cpu,cpu", &[aligned, &SHARDED]));
    let resumed = |from: &str, device: &str, sharded: bool| {
        let out = format!("{from}-{device}-{sharded}");
        let (resume, sharded) = (format!("{from}@4"), format!("ranks.sharded={sharded}"));
        let set = ["--set", &sharded, "--device", device];
        succeed(&sextant(
            at,
            &[&["train", "--resume", &resume, "--out", &out], &set[..]].concat(),
        ));
        at.join(out)
    };
    same(&at.join("whole"), &resumed("parts", "cpu,cpu", false), 8);
    same(&at.join("whole"), &resumed("whole", "cpu,cpu", true), 8);
    let four = "cpu,cpu,cpu,cpu";
    let wanted = resumed("whole", four, false);
    same(&wanted, &resumed("parts", four, true), 8);
    same(&resumed("whole", "cpu", false), &resumed("parts", "cpu", true), 8);
}

#[test]
fn a_fault_of_one_rank_leaves_the_last_good_step_of_all_parts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let faulty = r#"phases.0.guidance=[{ plugin = "test-faulty", config = { how = "error", step = 7 } }]"#;
    let more: &[&str] = &["--variant", "none", "--set", faulty];
    for (run, sharded) in [("whole", &[][..]), ("parts", &SHARDED[..])] {
        let output = train(at, run, "cpu,cpu,cpu,cpu", &[more, sharded]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(
            list(&at.join(run).join("phases/train"))
                .pop()
                .expect("a checkpoint")
                .step,
            6
        );
    }
    same(&at.join("whole"), &at.join("parts"), 6);
}

#[test]
fn a_source_that_asks_for_the_average_in_its_steps_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = tiny();
    let sra = r#"phases.0.guidance=[{ plugin = "sra", config = { student_depth = 1, teacher_depth = 2 } }]"#;
    let train = [
        "train",
        &tiny,
        "--out",
        "run",
        "--variant",
        "none",
        "--set",
        sra,
        "--device",
    ];
    let words = ["ranks.sharded", "sra", "moving average"];
    refused(folder.path(), &[&train[..], &["cpu,cpu"], &SHARDED].concat(), &words);
    assert!(!folder.path().join("run").exists());
    // One rank has all of it.
    succeed(&sextant(folder.path(), &[&train[..], &["cpu"], &SHARDED].concat()));
}

#[test]
fn a_recipe_names_its_devices_and_the_command_line_others() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let named = r#"ranks.devices=["cpu", "cpu"]"#;
    let train = |out: &'static str, more: &[&'static str]| {
        let begin = ["train", &tiny, "--variant", "none", "--out", out, "--set", named];
        succeed(&sextant(at, &[&begin[..], more].concat()));
        RunFolder::new(at.join(out)).info().unwrap().device
    };
    let two = train("two", &[]);
    assert!(two.contains("2 ranks on cpu (2)"), "{two}");
    let one = train("one", &["--device", "cpu"]);
    assert!(!one.contains("ranks"), "{one}");
    // A run that goes on has them from its own recipe.
    succeed(&sextant(at, &["train", "--resume", "two", "--steps", "10"]));
    let other = r#"ranks.devices=["cpu", "cpu:7"]"#;
    let arguments = ["train", &tiny, "--variant", "none", "--out", "none", "--set", other];
    refused(at, &arguments, &["ranks.devices cpu:7", "here there are: cpu"]);
    assert!(!at.join("none").exists());
}
