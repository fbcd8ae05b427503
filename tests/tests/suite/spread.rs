//! What ranks share beside the steps: validation, samples, evaluations, and the runs of a comparison. The results are those of one rank.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sextant_records::RunFolder;
use sextant_tests::{Running, refused, sextant, stderr, tiny};

use super::runs::{same, succeed};

/// Several devices of this machine, as `--device` names them.
const DEVICES: [&str; 2] = ["cpu,cpu", "cpu,cpu,cpu,cpu"];

/// As many as cannot share the recipe's batch.
const THREE: &str = "cpu,cpu,cpu";

fn run(folder: &Path, words: &str, more: &[&str]) -> String {
    let words: Vec<&str> = words.split(' ').chain(more.iter().copied()).collect();
    let output = sextant(folder, &words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// More samples than one pass has, and more validation.
const MUCH: &str = "--set evaluation.samples=150 --set evaluation.images=40 --set evaluation.times=4 --set evaluation.every=3 \
                    --set output.samples_every=3";

#[test]
fn several_ranks_validate_and_draw_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let train = |out: &str, device: &str, accumulation: usize| {
        let words = format!("train {tiny} --variant aligned --out {out} --device {device} {MUCH}");
        let parts = format!("optimiser.accumulation={accumulation}");
        run(at, &words, &["--set", &parts]);
    };
    // With as many parts of a batch the weights are the same, to the bit.
    for device in DEVICES {
        let ranks = device.split(',').count();
        let [one, several] = ["one", "several"].map(|name| format!("{name}-{ranks}"));
        train(&one, "cpu", ranks);
        train(&several, device, 1);
        let [one, several] = [one, several].map(|run| at.join(run));
        same(&one, &several, 8);
        let log = fs::read_to_string(one.join("metrics.jsonl")).unwrap();
        assert!(log.matches("\"validation\"").count() == 3, "{log}");
        let of = |run: &Path| RunFolder::new(run).result().unwrap();
        let (of_one, of_several) = (of(&one), of(&several));
        assert_eq!(of_one.validation_by_time, of_several.validation_by_time);
        assert_eq!(of_one.validation_by_time.len(), 4);
        for name in [
            "train-step-000003-ema.png",
            "train-step-000006-model.png",
            "final.npz",
            "final.png",
        ] {
            let of = |run: &Path| fs::read(run.join("samples").join(name)).unwrap();
            assert!(of(&one) == of(&several), "{ranks} ranks: {name}");
        }
    }
}

/// Settings of an evaluation that takes several passes of everything, the last of them not whole.
const EVALUATION: &str = "--set evaluation.quality.samples=150 --set evaluation.quality.sweep_samples=70 \
                          --set evaluation.quality.scales=[1.0,2.0]";

#[test]
fn several_ranks_measure_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    run(
        at,
        &format!("train {tiny} --variant self-transcendence --out run --device cpu"),
        &[],
    );
    let measured = |device: &str| -> Value {
        let words = format!("eval run --json --out {} --device {device} {EVALUATION}", device.len());
        serde_json::from_str(&run(at, &words, &[])).unwrap()
    };
    let one = measured("cpu");
    assert!(one["evaluation"]["quality"][0]["samples"] == 150, "{one}");
    for device in [DEVICES[0], THREE] {
        assert_eq!(measured(device), one, "{device}");
        for name in ["samples-1.npz", "samples-2.npz", "neighbours.png"] {
            let [one, several] = ["cpu", device].map(|device| at.join(device.len().to_string()).join(name));
            if one.exists() || name != "samples-2.npz" {
                assert!(fs::read(one).unwrap() == fs::read(several).unwrap(), "{device}: {name}");
            }
        }
    }
    // At the end of a training, and with another run for the same ranks after it.
    let little = "--set evaluation.quality.samples=20 --set evaluation.quality.scales=[1.0]";
    let compare = format!("compare {tiny} --out all --device cpu,cpu --set phases.0.steps=2 {little}");
    run(at, &compare, &[]);
    for variant in ["none", "aligned"] {
        assert!(at.join("all").join(variant).join("evaluation/evaluation.json").exists());
    }
}

#[test]
fn several_devices_draw_the_samples_of_one_and_go_on_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    run(at, &format!("train {tiny} --variant none --out run --device cpu"), &[]);
    let settings = "--sampler sde --steps 20 --cfg 1.5 --labels random --batch 8 --count 120";
    let sample = |npz: &str, device: &str| format!("sample run --device {device} {settings} --npz {npz}");
    run(at, &sample("one.npz", "cpu"), &[]);
    let one = fs::read(at.join("one.npz")).unwrap();
    for device in DEVICES {
        run(at, &sample("several.npz", device), &[]);
        assert!(fs::read(at.join("several.npz")).unwrap() == one, "{device}");
        fs::remove_file(at.join("several.npz")).unwrap();
    }
    let words = sample("stopped.npz", "cpu,cpu,cpu");
    let words: Vec<&str> = words.split(' ').collect();
    let mut running = Running::start(at, &words);
    let partial = at.join("stopped.npz.partial");
    running.until("images", || {
        fs::metadata(&partial).is_ok_and(|file| file.len() > 20 * 192)
    });
    running.signal("TERM");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(partial.exists());
    succeed(&sextant(at, &words));
    assert!(fs::read(at.join("stopped.npz")).unwrap() == one);
    // A grid, in memory.
    for (name, device) in [("alone", "cpu"), ("shared", "cpu,cpu")] {
        run(
            at,
            &format!("sample run --device {device} --batch 8 --count 30 --out grids --name {name}"),
            &[],
        );
    }
    let grid = |name: &str| fs::read(at.join("grids").join(name)).unwrap();
    assert!(grid("alone.npz") == grid("shared.npz") && grid("alone.json") == grid("shared.json"));
    refused(
        at,
        &["sample", "none", "--device", "cpu,cpu"],
        &["none", "nor a file of weights"],
    );
}

#[test]
fn groups_of_ranks_train_the_variants_of_a_comparison_as_they_would_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let compare = |out: &str, more: &str| run(at, &format!("compare {tiny} --out {out} {more}"), &[]);
    compare("alone", "--device cpu,cpu");
    compare("groups", "--device cpu,cpu,cpu,cpu --groups 2");
    compare("singles", "--device cpu,cpu,cpu --groups 3");
    compare("single", "--device cpu");
    for variant in ["none", "aligned", "self-transcendence"] {
        let of = |out: &str| at.join(out).join(variant);
        same(&of("alone"), &of("groups"), 8);
        same(&of("single"), &of("singles"), 8);
        let log = fs::read_to_string(of("groups").join("log.txt")).unwrap();
        assert!(log.contains(&format!("{variant} (")), "{variant}: {log}");
        assert!(
            fs::read_to_string(of("groups").join("run.json"))
                .unwrap()
                .contains("2 ranks")
        );
    }
    for out in ["groups", "singles"] {
        assert!(at.join(out).join("report.html").exists());
    }
    // What is finished is not run again.
    let before = fs::read(at.join("groups/aligned/result.json")).unwrap();
    compare("groups", "--device cpu,cpu --groups 2");
    assert!(fs::read(at.join("groups/aligned/result.json")).unwrap() == before);

    let sweep = |out: &str, more: &str| {
        run(
            at,
            &format!("sweep {tiny} --out {out} --steps 3 --lr 1e-3,3e-3 {more}"),
            &[],
        );
        let swept: Value = serde_json::from_slice(&fs::read(at.join(out).join("sweep.json")).unwrap()).unwrap();
        swept["variants"].clone()
    };
    assert_eq!(
        sweep("swept", "--device cpu"),
        sweep("spread", "--device cpu,cpu --groups 2")
    );
}

#[test]
fn a_variant_that_fails_in_one_group_does_not_end_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let faulty = r#"variants.1.phases.0.guidance=[{ plugin = "test-faulty", config = { how = "error", step = 7 } }]"#;
    let compare = [
        "compare",
        &tiny,
        "--out",
        "all",
        "--device",
        "cpu,cpu,cpu,cpu",
        "--groups",
        "2",
    ];
    let output = sextant(at, &[&compare[..], &["--set", faulty]].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed: aligned"), "{said}");
    let result = |variant: &str| RunFolder::new(at.join("all").join(variant)).result();
    assert!(result("none").is_some() && result("aligned").is_none() && result("self-transcendence").is_some());
    assert!(at.join("all/report.html").exists());

    // Nor does one whose folder cannot be made.
    fs::create_dir(at.join("blocked")).unwrap();
    fs::write(at.join("blocked/aligned"), "in the way").unwrap();
    let output = sextant(
        at,
        &[
            "compare", &tiny, "--out", "blocked", "--device", "cpu,cpu", "--groups", "2",
        ],
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed: aligned"), "{said}");
    assert!(at.join("blocked/report.html").exists());

    refused(
        at,
        &["compare", &tiny, "--out", "new", "--device", "cpu,cpu", "--groups", "3"],
        &["--groups 3", "2 ranks", "there can be 1, 2"],
    );
    refused(at, &["compare", &tiny, "--out", "new", "--groups", "0"], &["--groups"]);
    assert!(!at.join("new").exists());
}

#[test]
fn a_comparison_that_is_stopped_in_its_groups_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let settings = ["--set", "phases.0.steps=200", "--set", "output.checkpoint_every=0"];
    let compare = |out: &'static str, devices: &'static [&'static str]| {
        [&["compare", tiny.as_str(), "--out", out], devices, &settings].concat()
    };
    let spread: &[&str] = &["--device", "cpu,cpu", "--groups", "2"];
    let mut running = Running::start(at, &compare("stopped", spread));
    running.until_it_trains(&at.join("stopped/none"));
    running.signal("TERM");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(RunFolder::new(at.join("stopped/none")).result().is_none());
    succeed(&sextant(at, &compare("stopped", spread)));
    succeed(&sextant(at, &compare("whole", &["--device", "cpu"])));
    for variant in ["none", "aligned"] {
        same(&at.join("whole").join(variant), &at.join("stopped").join(variant), 200);
    }
}
