//! Several ranks: the run of one, whatever is cut how, and an end of all where one fails. Here they are threads of a process; `mpi` has
//! processes.

use std::path::Path;
use std::process::{Command, Output};

use sextant_data::{Dataset, load};
use sextant_model::read_safetensors;
use sextant_recipe::{DataConfig, Weights};
use sextant_records::checkpoint::list;
use sextant_records::{RunFolder, journal};
use sextant_tests::fixture::max_abs_error;
use sextant_tests::{Running, floats, recipe, refused, sextant, started_by, stderr, tiny};
use sextant_train::checkpoint::{Saved, SavedTensors, Tensors};

use super::runs::{contents, same, succeed};

/// Steps of a training whose ranks are compared.
const STEPS: u64 = 50;

fn train(folder: &Path, out: &str, device: &str, more: &[&str]) -> Output {
    let tiny = tiny();
    sextant(
        folder,
        &[&["train", &tiny, "--out", out, "--device", device], more].concat(),
    )
}

fn last(folder: &Path, run: &str) -> Saved {
    list(&folder.join(run).join("phases/train"))
        .pop()
        .expect("a checkpoint")
}

fn buffers(folder: &Path, run: &str) -> Tensors {
    read_safetensors(last(folder, run).folder.join("buffers.safetensors")).unwrap()
}

fn distance(a: &Tensors, b: &Tensors) -> f64 {
    assert!(a.keys().eq(b.keys()));
    let squares = a.iter().flat_map(|(name, a)| {
        let pairs = floats(a).into_iter().zip(floats(&b[name]));
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).collect::<Vec<_>>()
    });
    squares.sum::<f64>().sqrt()
}

/// All that a run has learnt, by kind: of its sources the parameters, but not the buffers.
fn learnt(run: &Saved) -> [(&'static str, Tensors); 3] {
    let sources = ["vae-align", "self-transcendence", "test-memory"];
    [
        ("weights", run.weights(Weights::Model).unwrap()),
        ("averages", run.weights(Weights::Ema).unwrap()),
        ("sources", run.sources_of(&sources).unwrap()),
    ]
}

/// The two runs' weights, averages and sources differ by less than 1e-5 of the way from `start`, and their logs by rounding.
fn agree(folder: &Path, one: &str, several: &str, start: &str) {
    let [start, of_one, of_several] = [start, one, several].map(|run| learnt(&last(folder, run)));
    for (((name, start), (_, one)), (_, several)) in start.into_iter().zip(of_one).zip(of_several) {
        let (off, way) = (distance(&one, &several), distance(&one, &start));
        println!("{name}: off by {off:.1e} of {way:.1e} that was travelled");
        assert!(off < 1e-5 * way || one.is_empty(), "{name}: off by {off} of {way}");
    }
    let lines = |run: &str| journal::read(&folder.join(run).join("metrics.jsonl"));
    let (one, several) = (lines(one), lines(several));
    assert_eq!(one.len(), several.len());
    for (one, several) in one.iter().zip(&several) {
        let of = |line: &journal::Line| {
            line.of_training()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Vec<_>>()
        };
        for ((name, a), (other, b)) in of(one).into_iter().zip(of(several)) {
            assert_eq!(name, other);
            // Those are of fewer samples on several ranks.
            let close = name.starts_with("share.") || (a - b).abs() <= 1e-4 * a.abs().max(1e-2);
            assert!(close, "step {}: {name} is {a} on one rank, {b} on several", one.step);
        }
    }
}

#[test]
fn several_ranks_train_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let steps = format!("phases.0.steps={STEPS}");
    // A range so narrow that most ranks have no sample inside it, and their projector no gradient; and a buffer of each agreement, on
    // which the loss depends.
    let narrow = r#"phases.0.guidance=[{ plugin = "vae-align", config = { depth = 1, projector_width = 16, t_min = 0.45, t_max = 0.55 } }, { plugin = "test-memory" }]"#;
    let rows = |run: &str| RunFolder::new(at.join(run)).result().unwrap().teacher.rows;
    for (name, variant) in [("none", "none"), ("narrow", "none"), ("taught", "self-transcendence")] {
        let mut more = vec!["--variant", variant, "--set", &steps, "--set", "optimiser.lr=1e-4"];
        if name == "narrow" {
            more.extend(["--set", narrow]);
        }
        let run = |count: &str| format!("{name}-{count}");
        succeed(&train(
            at,
            &run("start"),
            "cpu",
            &[&more[..], &["--set", "phases.0.steps=1"]].concat(),
        ));
        succeed(&train(at, &run("1"), "cpu", &more));
        for (count, device) in [("2", "cpu,cpu"), ("4", "cpu,cpu,cpu,cpu")] {
            succeed(&train(at, &run(count), device, &more));
            agree(at, &run("1"), &run(count), &run("start"));
            assert_eq!(rows(&run("1")), rows(&run(count)), "{name}: rows of the teacher");
            let [one, several] = [run("1"), run(count)].map(|run| buffers(at, &run));
            assert!(one.keys().eq(several.keys()));
            for (path, one) in &one {
                // The mean is rounded, and what is seen and counted is not.
                let error = max_abs_error(&several[path], one);
                assert!(
                    error <= if path.ends_with("centre") { 1e-5 } else { 0.0 },
                    "{path} is off by {error}"
                );
            }
        }
    }
    assert_eq!(buffers(at, "narrow-4").len(), 3);
    let info = std::fs::read_to_string(at.join("none-4/run.json")).unwrap();
    assert!(info.contains("4 ranks") && info.contains("local"), "{info}");
}

#[test]
fn ranks_are_as_parts_of_a_batch_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (run, device, accumulation) in [("one", "cpu", 4), ("four", "cpu,cpu,cpu,cpu", 1), ("two", "cpu,cpu", 2)] {
        let accumulation = format!("optimiser.accumulation={accumulation}");
        succeed(&train(
            at,
            run,
            device,
            &["--variant", "aligned", "--set", &accumulation],
        ));
    }
    // Added up in the same order, to the bit.
    let file = |run: &str, name: &str| contents(&last(at, run).folder.join(name));
    for name in [
        "student.safetensors",
        "ema.safetensors",
        "sources.safetensors",
        "optimiser.bpk",
    ] {
        assert!(file("one", name) == file("four", name), "{name}");
    }
    succeed(&train(
        at,
        "start",
        "cpu",
        &["--variant", "aligned", "--set", "phases.0.steps=1"],
    ));
    agree(at, "one", "two", "start");
}

#[test]
fn a_buffer_that_should_be_the_same_on_all_ranks_and_is_not_ends_them() {
    let folder = tempfile::tempdir().unwrap();
    let own = r#"phases.0.guidance=[{ plugin = "test-memory", config = { own_at = 6 } }]"#;
    let output = train(folder.path(), "run", "cpu,cpu", &["--variant", "none", "--set", own]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("test-memory.count") && said.contains("rank 1"), "{said}");
    assert_eq!(last(folder.path(), "run").step, 5);
}

/// The first sample that a rank of four sees in the batch of a step, counted from 1.
fn sample(rank: usize, step: u64) -> u64 {
    let dataset: Dataset = load(&DataConfig::emoji(8, 0)).unwrap();
    dataset.batch(3, step - 1, 8).unwrap().ids[2 * rank]
}

/// The setting of a source that fails at step 7 on this rank of four.
pub fn failing_on(rank: usize, how: &str) -> String {
    let sample = sample(rank, 7);
    format!(
        r#"phases.0.guidance=[{{ plugin = "test-faulty", config = {{ how = "{how}", step = 7, sample = {sample} }} }}]"#
    )
}

#[test]
fn a_fault_of_one_rank_ends_all_after_the_last_good_step_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (how, words, saved) in [
        ("error", ["rank 2", "asked to fail"], 6),
        ("panic", ["rank 2", "asked to panic"], 6),
        ("nan", ["step 7", "rank 2"], 4),
    ] {
        let guidance = failing_on(2, how);
        let output = train(at, how, "cpu,cpu,cpu,cpu", &["--variant", "none", "--set", &guidance]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(last(at, how).step, saved, "{how}");
    }
    // The checkpoint is good: without the fault the run goes on, on fewer ranks.
    let resumed = sextant(
        at,
        &[
            "train",
            "--resume",
            "error",
            "--device",
            "cpu,cpu",
            "--without",
            "test-faulty",
        ],
    );
    succeed(&resumed);
    assert_eq!(last(at, "error").step, 8);
}

#[test]
fn a_rank_that_is_lost_ends_a_comparison_and_not_each_of_its_variants() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let stalls = failing_on(2, "stall");
    let output = sextant(
        at,
        &[
            "compare",
            &tiny,
            "--out",
            "all",
            "--device",
            "cpu,cpu",
            "--set",
            &stalls,
            "--set",
            "ranks.patience=1",
        ],
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("rank 1 on cpu is gone, or did not answer for 1 s"),
        "{said}"
    );
    assert_eq!(last(at, "all/none").step, 6);
    assert!(!at.join("all/aligned/failed.json").exists());
}

#[test]
fn a_first_rank_that_stands_still_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (at, stalls) = (folder.path(), failing_on(0, "stall"));
    let tiny = tiny();
    let mut limited = Command::new("timeout");
    limited.arg("60");
    let arguments = [
        "train",
        &tiny,
        "--out",
        "run",
        "--device",
        "cpu,cpu",
        "--variant",
        "none",
    ];
    let settings = ["--set", &stalls, "--set", "ranks.patience=4"];
    let output = started_by(limited, at, &[&arguments[..], &settings].concat())
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let words = "error: rank 0 on cpu is gone, or did not answer for 4 s";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    last(at, "run").read_all().unwrap();
    assert_eq!(last(at, "run").step, 4);
}

#[test]
fn what_was_stopped_goes_on_on_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let settings = [
        "--variant",
        "aligned",
        "--set",
        "phases.0.steps=60",
        "--set",
        "optimiser.lr=1e-4",
        "--set",
        "output.checkpoint_every=0",
    ];
    let tiny = tiny();
    let start = |out: &'static str| {
        let begin = ["train", tiny.as_str(), "--out", out, "--device", "cpu,cpu,cpu,cpu"];
        [&begin[..], &settings[..]].concat()
    };
    let mut running = Running::start(at, &start("stopped"));
    running.until_it_trains(&at.join("stopped"));
    running.signal("TERM");
    let output = running.end();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let step = last(at, "stopped").step;
    assert!(step > 0 && step < 60);
    succeed(&sextant(at, &start("whole")));
    succeed(&sextant(
        at,
        &[&start("start")[..], &["--set", "phases.0.steps=1"]].concat(),
    ));
    for device in ["cpu,cpu", "cpu"] {
        let copy = format!("from-{}", device.len());
        let resume = format!("stopped@{step}");
        succeed(&sextant(
            at,
            &["train", "--resume", &resume, "--out", &copy, "--device", device],
        ));
        assert_eq!(last(at, &copy).step, 60);
        agree(at, "whole", &copy, "start");
        let [moved] = &RunFolder::new(at.join(&copy)).info().unwrap().changes[..] else {
            panic!("one change, of devices")
        };
        assert_eq!((moved.key.as_str(), moved.step), ("device", step));
        assert!(moved.from.to_string().contains("4 ranks"), "{}", moved.from);
    }
    succeed(&sextant(
        at,
        &["train", "--resume", "stopped", "--device", "cpu,cpu,cpu,cpu"],
    ));
    // As many ranks add up in the same order.
    same(&at.join("whole"), &at.join("stopped"), 60);
}

#[test]
fn a_comparison_runs_on_several_devices() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = tiny();
    let arguments = ["compare", &tiny, "--out", "all", "--device", "cpu,cpu"];
    succeed(&sextant(folder.path(), &arguments));
    assert!(folder.path().join("all/report.html").exists());
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let tiny = recipe("tiny.toml").display().to_string();
    let train = ["train", &tiny, "--variant", "none", "--out", "run"];
    refused(
        at,
        &[&train[..], &["--device", "cpu,cpu,cpu"]].concat(),
        &["optimiser.batch is 8", "1, 2, 4, 8 ranks"],
    );
    let gathered = ["--device", "cpu,cpu", "--set", "ranks.coupled=gathered"];
    refused(at, &[&train[..], &gathered].concat(), &["ranks.coupled", "collective"]);
    refused(at, &["bench", &tiny, "--device", "cpu,cpu"], &["cpu,cpu", "name one"]);
    refused(
        at,
        &[&train[..], &["--device", "cpu,nothing"]].concat(),
        &["--device nothing"],
    );
    assert!(!at.join("run").exists());
}

/// Without MPI, several processes would be as many trainings in one folder.
#[test]
#[cfg(not(feature = "mpi"))]
fn a_launcher_of_several_processes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = tiny();
    for (rank, words) in [("0", &["built without MPI", "--features mpi"][..]), ("1", &[])] {
        let arguments = ["train", &tiny, "--variant", "none", "--out", "run"];
        let mut command = sextant_tests::command(folder.path(), &arguments);
        command
            .env("OMPI_COMM_WORLD_SIZE", "2")
            .env("OMPI_COMM_WORLD_RANK", rank);
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            words.iter().all(|word| said.contains(word)) && said.is_empty() == words.is_empty(),
            "{said}"
        );
    }
    assert!(!folder.path().join("run").exists());
}
