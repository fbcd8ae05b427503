//! Libraries that break the contract in every way that we could think of: a message that names the plugin and the fault,
//! exit code 2 before training or a clean stop with a checkpoint that goes on without the plugin; no hang, no crash.
#![cfg(unix)]

mod library;
mod memory;
mod panic;
mod plan;
mod step;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sextant_tests::{c, command, recipe, stderr};

/// Longer than any case takes, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// The end of a run.
struct Outcome {
    code: Option<i32>,
    said: String,
}

/// Trains four steps with these sources, with a checkpoint after each second.
fn train(folder: &Path, run: &str, guidance: &str) -> Outcome {
    ended(&mut training(folder, run, guidance))
}

fn training(folder: &Path, run: &str, guidance: &str) -> Command {
    let recipe = recipe("tiny.toml");
    let guidance = format!("phases.0.guidance=[{guidance}]");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", run, "--device", "cpu"];
    for set in [
        &guidance,
        "phases.0.steps=4",
        "evaluation.images=2",
        "evaluation.samples=1",
        "evaluation.sampler.steps=1",
        "output.checkpoint_every=2",
        "output.log_every=1",
        "output.share_every=0",
    ] {
        arguments.extend(["--set", set]);
    }
    command(folder, &arguments)
}

fn resume_without(folder: &Path, run: &str, name: &str) -> Outcome {
    let arguments = ["train", "--resume", run, "--without", name, "--device", "cpu"];
    ended(&mut command(folder, &arguments))
}

fn ended(command: &mut Command) -> Outcome {
    let started = Instant::now();
    let output = command.output().expect("it starts");
    assert!(started.elapsed() < LIMIT, "{command:?} took {:?}", started.elapsed());
    Outcome {
        code: output.status.code(),
        said: stderr(&output),
    }
}

fn source(library: &Path, case: &str) -> String {
    format!(
        r#"{{ plugin = "{}", name = "{case}", config = {{ case = "{case}" }} }}"#,
        library.display()
    )
}

/// Does each case on two threads.
fn each<T: Sync>(cases: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(case);
                }
            });
        }
    });
}

fn build(name: &str, library: &Path, flags: &[&str]) {
    let source = c::file(&format!("tests/hostile/{name}.c"));
    c::build(&source, &c::file("plugin-api/include"), library, flags);
}

/// Refused before training, with exit code 2, in words that hold all of these.
fn refused(outcome: &Outcome, case: &str, words: &[&str]) {
    assert_eq!(outcome.code, Some(2), "{case}: {}", outcome.said);
    for word in words {
        assert!(outcome.said.contains(word), "{case}: no {word:?} in {}", outcome.said);
    }
}
