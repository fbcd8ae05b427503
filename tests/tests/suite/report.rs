//! `sextant report`: the same page again, runs of several folders, and what is refused.

use std::fs;
use std::path::Path;

use sextant_tests::{Running, recipe, sextant, stderr, stdout};

/// The files of a report.
pub const PAGES: [&str; 4] = ["report.html", "report.md", "results.csv", "measures.csv"];

/// Trains the tiny comparison for a few steps into `out`.
fn compared(folder: &Path, out: &str, more: &[&str]) -> Option<i32> {
    let recipe = recipe("tiny.toml");
    let mut arguments = vec!["compare", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    arguments.extend(["--set", "phases.0.steps=3"]);
    arguments.extend(more);
    sextant(folder, &arguments).status.code()
}

/// The text of a report, without the time at which it was made.
pub fn page(folder: &Path, file: &str) -> String {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(" UTC") {
        let time = "2026-01-01 00:00".len();
        out.push_str(&rest[..at - time]);
        rest = &rest[at + 4..];
    }
    out + rest
}

/// Runs `sextant report` with these arguments and wants a message with these words.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    sextant_tests::refused(folder, &[&["report"], arguments].concat(), words);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(path, target).unwrap()),
        }
    }
}

/// Replaces `old` by `new` in a file, in which it must be.
fn edit(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{old:?} is not in {}:\n{text}", path.display());
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn the_same_page_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(compared(folder.path(), "all", &["--seeds", "1,0"]), Some(0));
    let all = folder.path().join("all");
    let files = PAGES;
    let first = files.map(|file| page(&all, file));
    for file in files {
        fs::remove_file(all.join(file)).unwrap();
    }
    let output = sextant(folder.path(), &["report", "all"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("report: all/report.html"),
        "{}",
        stdout(&output)
    );
    for (before, file) in first.iter().zip(files) {
        assert!(*before == page(&all, file), "{file} is another");
    }
    assert!(first[1].contains("sextant compare"), "{}", first[1]);

    let json = sextant(folder.path(), &["report", "all", "--out", "elsewhere", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["comparison"]["seeds"], serde_json::json!([1, 0]));
    assert!(page(&folder.path().join("elsewhere"), "report.html") == first[0]);
}

#[test]
fn a_run_that_is_being_trained_is_not_called_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let endless = [
        "train",
        recipe.to_str().unwrap(),
        "--out",
        "run",
        "--device",
        "cpu",
        "--set",
        "phases.0.steps=1000000",
    ];
    let mut running = Running::start(folder.path(), &endless);
    running.until_it_trains(&folder.path().join("run"));
    let reported = |out: &str| {
        let output = sextant(folder.path(), &["report", "run", "--out", out]);
        assert!(output.status.success(), "{}", stderr(&output));
        ["report.md", "results.csv"].map(|file| fs::read_to_string(folder.path().join(out).join(file)).unwrap())
    };
    let [page, csv] = reported("now");
    assert!(page.contains("run is being trained, and is past step"), "{page}");
    assert!(
        csv.contains("in training after step") && !page.contains("interrupted"),
        "{csv}{page}"
    );
    running.signal("TERM");
    assert_eq!(running.end().status.code(), Some(130));
    let [page, csv] = reported("then");
    assert!(
        page.contains("run was interrupted after step") && csv.contains("interrupted after step"),
        "{page}"
    );
}

#[test]
fn runs_of_several_folders_and_what_does_not_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(compared(path, "all", &[]), Some(0));
    let all = path.join("all");
    copy(&all.join("aligned"), &path.join("other/renamed"));

    refused(path, &["all", "other"], &["2 folders", "--out"]);
    let output = sextant(
        path,
        &["report", "all", "other", "--out", "both", "--baseline", "aligned"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let markdown = page(&path.join("both"), "report.md");
    assert!(markdown.contains("| renamed |"), "{markdown}");
    assert!(
        markdown.contains("sextant report all other --out both --baseline aligned"),
        "{markdown}"
    );

    fs::create_dir(path.join("empty")).unwrap();
    refused(path, &["empty"], &["empty", "holds no run"]);
    refused(path, &["nowhere"], &["nowhere", "no such folder"]);
    // The same run in two folders is one; another of its name is not.
    copy(&all.join("none"), &path.join("more/none"));
    let output = sextant(path, &["report", "all", "more", "--out", "once"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains("Runs of none are the same in several of all, more: each is taken once."),
        "{said}"
    );
    edit(
        &path.join("more/none/recipe.toml"),
        "warmup_steps = ",
        "warmup_steps = 7",
    );
    // As if it had been trained so.
    edit(
        &path.join("more/none/run.json"),
        "\"warmup_steps\": ",
        "\"warmup_steps\": 7",
    );
    refused(
        path,
        &["all", "more", "--out", "x"],
        &["all/none and more/none are both runs of variant \"none\" with seed 3"],
    );
    refused(path, &["all", "--baseline", "x"], &["--baseline x", "none, aligned"]);
    refused(
        path,
        &["all", "--primary", "kernel-distance"],
        &["kernel-distance", "no judge"],
    );

    let other = path.join("other/renamed");
    edit(&other.join("recipe.toml"), "split_seed = 0", "split_seed = 4");
    edit(&other.join("run.json"), "\"split_seed\": 0", "\"split_seed\": 4");
    edit(&other.join("run.json"), "\"data\": \"", "\"data\": \"beef");
    refused(
        path,
        &["all", "other", "--out", "x"],
        &["data.split_seed is 0 in all/none and 4 in other/renamed"],
    );
    assert!(!path.join("x").exists(), "a refused report left something behind");
}

#[test]
fn one_that_failed_is_shown_and_the_others_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    // A learning rate that no training survives.
    let broken = "variants.1.optimiser={ lr = 1e3, max_grad_norm = 1e30 }";
    let code = compared(folder.path(), "all", &["--set", broken, "--set", "phases.0.steps=40"]);
    assert_eq!(code, Some(1));
    let all = folder.path().join("all");
    assert!(all.join("aligned/failed.json").is_file());
    let failure: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(all.join("aligned/failed.json")).unwrap()).unwrap();
    // What comes after quotes, which a page writes otherwise.
    let unquoted = failure["message"].as_str().unwrap().rsplit('"').next().unwrap();
    let message: String = unquoted.chars().take(30).collect();
    assert!(message.len() > 10, "{failure}");
    let page = fs::read_to_string(all.join("report.html")).unwrap();
    assert!(page.contains("failed: ") && page.contains(&message), "{message}");
    assert!(page.contains("self-transcendence"));
    // Made again, it still knows.
    let output = sextant(folder.path(), &["report", "all"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.contains("failed: ") && said.contains(&message),
        "{message}\n{said}"
    );
    assert!(said.contains("1 of 3 variants did not finish"), "{said}");
}

#[test]
fn what_does_not_change_the_training_does_not_train_again() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(compared(folder.path(), "all", &[]), Some(0));
    let run = folder.path().join("all/none");
    let state = |file: &str| fs::metadata(run.join(file)).and_then(|file| file.modified());
    let before = state("phases/train/step-000003").unwrap();
    assert_eq!(compared(folder.path(), "all", &["--set", "output.keep=3"]), Some(0));
    assert_eq!(state("phases/train/step-000003").unwrap(), before);
    assert!(
        fs::read_to_string(run.join("recipe.toml"))
            .unwrap()
            .contains("keep = 3")
    );
    assert!(run.join("recipe.1.toml").is_file(), "the one before is kept");
    assert_eq!(
        compared(folder.path(), "all", &["--set", "evaluation.times=3"]),
        Some(2)
    );
    assert_eq!(
        compared(folder.path(), "all", &["--set", "evaluation.primary=kernel-distance"]),
        Some(2),
        "without judges there is no such score"
    );
}
