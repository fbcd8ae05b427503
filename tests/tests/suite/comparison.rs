//! A whole comparison: table, report, what is done again and what is not.

use std::time::SystemTime;

use sextant_tests::{recipe, sextant, stderr, stdout};

#[test]
fn a_comparison_ends_in_a_report_and_runs_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let arguments = ["compare", recipe.to_str().unwrap(), "--out", "all", "--device", "cpu"];
    let output = sextant(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    for words in ["none", "aligned", "self-transcendence", "ranks nothing", "report.html"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    let all = folder.path().join("all");
    let page = std::fs::read_to_string(all.join("report.html")).unwrap();
    assert!(page.contains("self-transcendence") && page.contains("data:image/png;base64,"));
    assert!(!page.contains("http://") && !page.contains("https://") || !page.contains("src=\"http"));

    let written = |run: &str| -> SystemTime {
        std::fs::metadata(all.join(run).join("result.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = ["none", "aligned", "self-transcendence"].map(written);
    // One of them as if it had been interrupted.
    std::fs::remove_file(all.join("aligned/result.json")).unwrap();
    let output = sextant(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(written("none"), before[0], "none ran again");
    assert_eq!(written("self-transcendence"), before[2], "self-transcendence ran again");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["comparison"]["variants"].as_array().unwrap().len(), 3);

    let output = sextant(
        folder.path(),
        &[&arguments[..], &["--set", "optimiser.lr=1e-4"]].concat(),
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another recipe"), "{}", stderr(&output));
}

#[test]
fn three_seeds_give_a_verdict_and_two_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let compare = |seeds: &str| {
        let mut arguments = vec!["compare", recipe.to_str().unwrap(), "--out", "all", "--device", "cpu"];
        arguments.extend(["--seeds", seeds, "--set", "phases.0.steps=3"]);
        let output = sextant(folder.path(), &arguments);
        (stdout(&output), stderr(&output), output.status.code())
    };
    let (two, _, code) = compare("0,1");
    assert_eq!(code, Some(0));
    assert!(
        two.contains("this ranks nothing") && two.contains("too few seeds"),
        "{two}"
    );
    let all = folder.path().join("all");
    let before = std::fs::read(all.join("seed-1/none/run.json")).unwrap();

    // A seed more adds its runs to those that are there.
    let (three, error, code) = compare("0,1,2");
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(std::fs::read(all.join("seed-1/none/run.json")).unwrap(), before);
    assert!(
        three.contains("by validation loss: ") && !three.contains("ranks nothing"),
        "{three}"
    );
    assert!(three.contains("speed-up in steps / time"), "{three}");
    let page = std::fs::read_to_string(all.join("report.html")).unwrap();
    assert!(page.contains("Statistics over 3 seeds") && page.contains("--seeds 0,1,2"));
    let csv = std::fs::read_to_string(all.join("results.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 9);
    assert!(
        std::fs::read_to_string(all.join("report.md"))
            .unwrap()
            .contains("## Statistics over 3 seeds")
    );

    let (_, _, code) = compare("2,1");
    assert_eq!(code, Some(0));
    let page = std::fs::read_to_string(all.join("report.html")).unwrap();
    assert!(page.contains("moving average of the weights; seed 2"));

    let (_, error, code) = compare("4,4");
    assert_eq!(code, Some(2));
    assert!(error.contains("--seeds names 4 twice"), "{error}");
}

#[test]
fn the_last_phases_of_all_variants_are_paired() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    // Without guidance in the last phase, a variant with an earlier phase must train the very same network.
    for (out, more) in [
        ("alone", vec![]),
        (
            "after",
            vec![
                r#"phases=[{ name = "before", steps = 3 }, { name = "train", steps = 8, guidance = [{ plugin = "none" }] }]"#,
            ],
        ),
    ] {
        let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
        more.iter().for_each(|set| arguments.extend(["--set", *set]));
        let output = sextant(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let weights = |run: &str| {
        std::fs::read(
            folder
                .path()
                .join(run)
                .join("phases/train/step-000008/student.safetensors"),
        )
    };
    assert!(weights("alone").unwrap() == weights("after").unwrap());
    let before = |run: &str, phase: &str| {
        sextant_records::journal::read(&folder.path().join(run).join("metrics.jsonl"))
            .into_iter()
            .find(|line| line.phase == phase)
            .unwrap()
    };
    // The earlier phase draws from a stream of its own.
    assert_ne!(
        before("after", "before").values["denoising"],
        before("after", "train").values["denoising"]
    );
}

#[test]
fn samples_are_drawn_from_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let output = sextant(
        folder.path(),
        &["train", recipe.to_str().unwrap(), "--out", "run", "--device", "cpu"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    for sampler in ["euler", "heun", "sde"] {
        let output = sextant(
            folder.path(),
            &[
                "sample",
                "run",
                "--sampler",
                sampler,
                "--steps",
                "3",
                "--cfg",
                "1.5",
                "--guidance-high",
                "0.7",
                "--count",
                "5",
                "--out",
                "drawn",
                "--name",
                sampler,
                "--json",
            ],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(folder.path().join(format!("drawn/{sampler}.png")).exists());
    }
    let first = std::fs::read(folder.path().join("drawn/euler.npz")).unwrap();
    assert_ne!(first, std::fs::read(folder.path().join("drawn/sde.npz")).unwrap());
    let output = sextant(folder.path(), &["sample", "run", "--class", "99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--class 99"));
}
