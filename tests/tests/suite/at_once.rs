//! Two processes that are started at the same moment: one writes, and what is there afterwards is one's.
//!
//! `SEXTANT_AT_ONCE=50` for as many rounds; a few by default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use sextant_tests::{Running, copy_files, stderr, tiny};

use super::files::succeed;
use super::kills::outcome;

fn rounds(default: usize) -> usize {
    std::env::var("SEXTANT_AT_ONCE").map_or(default, |rounds| rounds.parse().unwrap())
}

/// Starts the same command twice; what became of both, with their process ids.
fn twice(folder: &Path, arguments: &[&str]) -> [(u32, Output); 2] {
    let both = [(); 2].map(|()| Running::start(folder, arguments));
    both.map(|mut one| (one.id(), one.end()))
}

/// Wants the same weights, logs and pictures as of the one that nobody disturbed.
fn same(got: &BTreeMap<PathBuf, Vec<u8>>, wanted: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (path, content) in got {
        assert!(*content == wanted[path], "{} differs", path.display());
    }
}

#[test]
fn of_two_that_go_on_with_a_run_one_does() {
    let whole = tempfile::tempdir().unwrap();
    let tiny = tiny();
    let begin = [
        "train",
        &tiny,
        "--variant",
        "aligned",
        "--out",
        "run",
        "--device",
        "cpu",
    ];
    succeed(whole.path(), &begin);
    let begun = tempfile::tempdir().unwrap();
    copy_files(whole.path(), begun.path());
    // Long enough that both are there before one is done.
    let resume = ["train", "--resume", "run", "--device", "cpu", "--steps", "60"];
    succeed(whole.path(), &resume);
    let wanted = outcome(whole.path());

    for _ in 0..rounds(4) {
        let folder = tempfile::tempdir().unwrap();
        copy_files(begun.path(), folder.path());
        let mut ended = twice(folder.path(), &resume);
        ended.sort_by_key(|(_, output)| output.status.code());
        let [(winner, first), (_, second)] = &ended;
        let (code, said) = (second.status.code(), stderr(second));
        assert_eq!(first.status.code(), Some(0), "{}", stderr(first));
        match code {
            Some(2) => assert!(said.contains(&format!("process {winner} on ")), "{said}"),
            // It came when the other was done.
            _ => assert!(
                code == Some(0) && (said + &stderr(first)).contains("nothing is left to train"),
                "{code:?}"
            ),
        }
        same(&outcome(folder.path()), &wanted);
    }
}

#[test]
fn two_that_compare_end_in_the_comparison_of_one() {
    let whole = tempfile::tempdir().unwrap();
    let tiny = tiny();
    let compare = ["compare", &tiny, "--out", "all", "--device", "cpu"];
    succeed(whole.path(), &compare);
    // A page that was made before the other's last run was done has less.
    let runs = |folder: &Path| {
        let mut outcome = outcome(folder);
        outcome.retain(|path, _| path.components().count() > 2);
        outcome
    };
    let wanted = runs(whole.path());
    assert!(wanted.len() > 20, "{:?}", wanted.keys());
    for _ in 0..rounds(2) {
        let folder = tempfile::tempdir().unwrap();
        for (_, output) in twice(folder.path(), &compare) {
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
        same(&runs(folder.path()), &wanted);
    }
}
