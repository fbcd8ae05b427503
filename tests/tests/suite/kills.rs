//! `kill -9` at random moments: what goes on afterwards ends as if nobody had killed it.
//!
//! Twenty kills of real processes, over training, sampling, evaluation and comparison; `SEXTANT_KILLS=200` for more,
//! `SEXTANT_KILL_SEED` for other moments.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sextant_tests::{LITTLE, command, files, stderr, tiny};

use super::report::{PAGES, page};
use super::runs::contents;

/// Something that is started, killed, and started again.
struct Job {
    name: &'static str,
    /// Makes ready the folder that it works in.
    prepare: fn(&Path),
    /// Its arguments, by what is in the folder.
    arguments: fn(&Path) -> Vec<String>,
}

const JOBS: [Job; 4] = [
    Job {
        name: "train",
        prepare: |_| {},
        arguments: |folder| match folder.join("run/recipe.toml").exists() {
            true => words(&["train", "--resume", "run"]),
            false => train(&["--set", "phases.0.steps=12", "--set", "output.samples_every=4"]),
        },
    },
    Job {
        name: "sample",
        prepare: |folder| succeed(folder, &train(&[])),
        arguments: |_| words(&["sample", "run", "--count", "64", "--steps", "20", "--out", "drawn"]),
    },
    Job {
        name: "eval",
        prepare: |folder| succeed(folder, &train(&LITTLE)),
        arguments: |_| words(&["eval", "run", "--out", "measured"]),
    },
    Job {
        name: "compare",
        prepare: |_| {},
        arguments: |_| {
            let tiny = tiny();
            words(&[&["compare", &tiny, "--out", "all"], &LITTLE[..]].concat())
        },
    },
];

fn train(more: &[&str]) -> Vec<String> {
    let tiny = tiny();
    words(
        &[
            &["train", &tiny, "--variant", "self-transcendence", "--out", "run"],
            more,
        ]
        .concat(),
    )
}

fn words(words: &[&str]) -> Vec<String> {
    words
        .iter()
        .chain(&["--device", "cpu"])
        .map(|word| (*word).to_owned())
        .collect()
}

fn succeed(folder: &Path, arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = command(folder, &arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
}

/// True if it was killed; false if it had ended well before.
fn killed(folder: &Path, arguments: &[String], after: Duration) -> bool {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = command(folder, &arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.success() || status.code().is_none(),
        "{arguments:?} ended with {status}"
    );
    !status.success()
}

/// All that has to be the same: weights, logs, samples, pictures and measures, by path. Left out is what tells of time, of the
/// machine, and of how often something was begun.
pub fn outcome(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let content = |path: &PathBuf| match path.extension()?.to_str()? {
        "safetensors" | "npz" | "png" | "toml" | "jsonl" => Some(contents(path)),
        "csv" if path.ends_with("measures.csv") => Some(without_time(&fs::read_to_string(path).unwrap()).into_bytes()),
        _ => None,
    };
    let within = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    files(folder)
        .iter()
        .filter_map(|path| Some((within(path), content(path)?)))
        .collect()
}

/// The outcome, and the pages.
fn whole_outcome(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut outcome = outcome(folder);
    outcome.extend(pages(folder));
    outcome
}

/// The pages of a comparison, to the byte but for their date: those that it wrote itself, which must be what its runs say, and as they
/// are where every run took the same time and memory. Times and memory are the one thing that a kill may change, and stand in tables,
/// sentences and charts in whatever unit fits them: so they are made alike in the runs, of which everything on a page is a function, and
/// not cut out of the pages. Empty where nothing is compared.
fn pages(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = folder.join("all");
    if !all.join("comparison.json").exists() {
        return BTreeMap::new();
    }
    let again = |out: &str| {
        let report = ["report", "all", "--out", out].map(str::to_owned);
        succeed(folder, &report);
        PAGES.map(|file| page(&folder.join(out), file))
    };
    for ((written, said), file) in PAGES.map(|file| page(&all, file)).iter().zip(again("again")).zip(PAGES) {
        assert!(*written == said, "all/{file} is not what the runs say");
    }
    for path in files(&all) {
        if path.ends_with("result.json") {
            let text = fs::read(&path).unwrap();
            let mut result: Value = serde_json::from_slice(&text).unwrap();
            same_machine(&mut result);
            fs::write(&path, result.to_string()).unwrap();
        }
    }
    let alike = again("alike");
    let named = PAGES.iter().map(PathBuf::from);
    named.zip(alike.map(String::into_bytes)).collect()
}

/// Sets every time and every figure of the machine in a result.
fn same_machine(result: &mut Value) {
    for (key, value) in result.as_object_mut().into_iter().flatten() {
        match key.as_str() {
            "peak_memory_bytes" => *value = Value::from(1 << 30),
            "seconds" => value
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, part)| *part = Value::from(2.0)),
            "teacher" => value["seconds"] = Value::from(2.0),
            // Without an earlier phase there is no time of one.
            key if key.contains("seconds") && value.as_f64() > Some(0.0) => *value = Value::from(2.0),
            _ => {}
        }
    }
}

fn without_time(csv: &str) -> String {
    let timed = [
        "seconds of",
        "time per step",
        "total time",
        "teacher time",
        "earlier phases",
        "overhead",
        "peak memory",
    ];
    let timed = |line: &str| timed.iter().any(|measure| line.contains(measure));
    csv.lines().filter(|line| !timed(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_killed_goes_on_to_what_it_would_have_been() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let kills = number("SEXTANT_KILLS", 20);
    let mut moments = ChaCha8Rng::seed_from_u64(number("SEXTANT_KILL_SEED", 1));
    for (i, job) in JOBS.iter().enumerate() {
        let whole = tempfile::tempdir().unwrap();
        (job.prepare)(whole.path());
        let since = Instant::now();
        succeed(whole.path(), &(job.arguments)(whole.path()));
        let length = since.elapsed();
        let wanted = whole_outcome(whole.path());
        assert!(!wanted.is_empty());

        let mut left = kills / 4 + u64::from((i as u64) < kills % 4);
        while left > 0 {
            let folder = tempfile::tempdir().unwrap();
            (job.prepare)(folder.path());
            while left > 0
                && killed(
                    folder.path(),
                    &(job.arguments)(folder.path()),
                    length.mul_f64(moments.random()),
                )
            {
                left -= 1;
            }
            succeed(folder.path(), &(job.arguments)(folder.path()));
            let got = whole_outcome(folder.path());
            let names = |outcome: &BTreeMap<PathBuf, Vec<u8>>| outcome.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&got), names(&wanted), "{}", job.name);
            for (path, content) in &got {
                let differs = || {
                    let (got, wanted) = (String::from_utf8_lossy(content), String::from_utf8_lossy(&wanted[path]));
                    let lines = got.lines().zip(wanted.lines()).find(|(got, wanted)| got != wanted);
                    format!("{}: {} differs: {lines:.300?}", job.name, path.display())
                };
                assert!(*content == wanted[path], "{}", differs());
            }
        }
    }
}
