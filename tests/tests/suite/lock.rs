//! A run folder has one writer; a comparison is shared by those that each write into runs of their own.

use std::fs;
use std::path::{Path, PathBuf};

use sextant_records::FolderLock;
use sextant_tests::{Running, command, files, refused, sextant, stderr, tiny};

/// A command that trains the tiny recipe for so many steps.
fn begin<'a>(command: &'a str, tiny: &'a str, out: &'a str, steps: &'a str) -> [&'a str; 8] {
    [command, tiny, "--out", out, "--device", "cpu", "--set", steps]
}

/// This process, as whoever it keeps out is told of it.
fn this_process() -> String {
    format!("process {}", std::process::id())
}

/// All that lies in a folder, with what is in it.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let with_bytes = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    let mut found: Vec<_> = files(folder).into_iter().map(with_bytes).collect();
    found.sort();
    found
}

#[test]
fn of_two_that_begin_a_run_at_once_one_begins_it() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = tiny();
    for round in 0..6 {
        let out = format!("run-{round}");
        let arguments = begin("train", &tiny, &out, "phases.0.steps=4");
        let both = [(); 2].map(|()| Running::start(folder.path(), &arguments));
        let ended = both.map(Running::end);
        let mut codes = ended.each_ref().map(|output| output.status.code());
        codes.sort();
        let said = ended.each_ref().map(stderr);
        assert_eq!(codes, [Some(0), Some(2)], "{said:?}");
        let loser = ended.iter().position(|output| output.status.code() == Some(2)).unwrap();
        // The other may have ended by then.
        let (held, over) = ("another sextant writes here", "there is something in this folder");
        assert!(
            said[loser].contains(held) || said[loser].contains(over),
            "{}",
            said[loser]
        );
        let log = sextant_records::journal::read(&folder.path().join(&out).join("metrics.jsonl"));
        assert_eq!(log.iter().map(|line| line.step).collect::<Vec<_>>(), [2, 4]);
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_goes_on_is_nobody_elses_until_its_process_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, run) = (tiny(), folder.path().join("run"));
    let arguments = begin("train", &tiny, "run", "phases.0.steps=1000000");
    let resume = ["train", "--resume", "run", "--device", "cpu"];
    let mut first = Running::start(folder.path(), &arguments);
    first.until_it_trains(&run);
    let words = [
        "another sextant writes here",
        &format!("process {} on ", first.id()),
        "since 2",
    ];
    refused(folder.path(), &resume, &words);
    refused(folder.path(), &["eval", "run", "--device", "cpu"], &words);
    refused(folder.path(), &arguments, &words);
    first.signal("KILL");
    assert!(!first.end().status.success());

    let mut second = Running::start(folder.path(), &resume);
    second.until_it_holds(&run);
    refused(folder.path(), &resume, &[&format!("process {} on ", second.id())]);
    second.signal("TERM");
    assert_eq!(second.end().status.code(), Some(130));
}

#[test]
fn who_is_kept_out_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, run) = (tiny(), folder.path().join("run"));
    let arguments = begin("train", &tiny, "run", "phases.0.steps=2");
    let output = sextant(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let lock = FolderLock::take(&run).unwrap();
    let before = contents(folder.path());
    let words = [this_process()];
    let words = words.each_ref().map(String::as_str);
    for arguments in [
        &["train", "--resume", "run", "--without", "none"][..],
        &["eval", "run"],
        &arguments,
    ] {
        refused(folder.path(), arguments, &words);
        assert!(contents(folder.path()) == before, "{arguments:?}");
    }
    drop(lock);
    let output = sextant(folder.path(), &["train", "--resume", "run", "--device", "cpu"]);
    assert!(output.status.success(), "{}", stderr(&output));
    // What is no run is not made one.
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), &["train", "--resume", "empty"], &["is not a run"]);
    assert_eq!(fs::read_dir(folder.path().join("empty")).unwrap().count(), 0);
}

#[test]
fn a_comparison_leaves_to_others_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, all) = (tiny(), folder.path().join("all"));
    let arguments = begin("compare", &tiny, "all", "phases.0.steps=4");
    let take = |variant: &str| {
        fs::create_dir_all(all.join(variant)).unwrap();
        FolderLock::take(&all.join(variant)).unwrap()
    };
    // All of it: there is nothing to do.
    let locks = ["none", "aligned", "self-transcendence"].map(take);
    refused(folder.path(), &arguments, &[&this_process()]);
    assert!(!all.join("comparison.json").exists());

    let [none, aligned, last] = locks;
    drop((none, last));
    let output = sextant(folder.path(), &arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in ["left to another: ", "aligned", &this_process(), "sextant report all"] {
        assert!(said.contains(words), "{said} does not say {words}");
    }
    let ended = ["none", "aligned", "self-transcendence"].map(|run| all.join(run).join("result.json").exists());
    assert_eq!(ended, [true, false, true]);
    assert!(!all.join("aligned/recipe.toml").exists());
    assert!(all.join("report.html").exists());

    drop(aligned);
    let output = sextant(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("left to another"), "{}", stderr(&output));
    assert!(all.join("aligned/result.json").exists());
}

#[test]
fn two_that_compare_in_one_folder_share_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, all) = (tiny(), folder.path().join("all"));
    let arguments = begin("compare", &tiny, "all", "phases.0.steps=20");
    let both = [(); 2].map(|()| Running::start(folder.path(), &arguments));
    for output in both.map(Running::end) {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    for run in ["none", "aligned", "self-transcendence"] {
        assert!(all.join(run).join("result.json").exists(), "{run}");
        assert!(!all.join(run).join("failed.json").exists(), "{run}");
        let log = sextant_records::journal::read(&all.join(run).join("metrics.jsonl"));
        let steps = log
            .iter()
            .filter(|line| line.phase == "train" && line.values.contains_key("denoising"));
        assert_eq!(steps.count(), 10, "{run}");
    }
}

#[test]
fn a_sweep_is_one_processs() {
    let folder = tempfile::tempdir().unwrap();
    let (tiny, swept) = (tiny(), folder.path().join("swept"));
    fs::create_dir(&swept).unwrap();
    let _lock = FolderLock::take(&swept).unwrap();
    let arguments = [
        "sweep", &tiny, "--lr", "1e-3", "--steps", "2", "--out", "swept", "--device", "cpu",
    ];
    refused(folder.path(), &arguments, &[&this_process()]);
    assert_eq!(fs::read_dir(&swept).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_run_that_cannot_be_written_can_be_measured_elsewhere() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (tiny, run) = (tiny(), folder.path().join("run"));
    let little = "evaluation.quality={ samples = 20, sweep_samples = 20, scales = [1.0] }";
    let arguments = begin("train", &tiny, "run", "phases.0.steps=2");
    let output = sextant(folder.path(), &[&arguments[..], &["--set", little]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let mode = |mode| fs::set_permissions(&run, fs::Permissions::from_mode(mode)).unwrap();
    // The superuser may write into it all the same, and is held off by nothing.
    mode(0o555);
    let is_root = fs::write(run.join("probe"), "").is_ok();
    let look = |arguments: &[&str]| command(folder.path(), arguments).output();
    let measured = look(&["eval", "run", "--out", "measured", "--device", "cpu"]);
    let resumed = look(&["train", "--resume", "run", "--device", "cpu"]);
    let refused = [&["sample", "run", "--device", "cpu"][..], &["report", "run"]].map(look);
    mode(0o755);
    let resumed = resumed.unwrap();
    let said = stderr(&resumed);
    assert!(
        resumed.status.success() && said.contains("nothing is left to train"),
        "{said}"
    );
    for output in refused.map(Result::unwrap) {
        let said = stderr(&output);
        assert!(
            is_root || output.status.code() == Some(2) && said.contains("--out"),
            "{said}"
        );
    }
    let measured = measured.unwrap();
    assert!(measured.status.success(), "{}", stderr(&measured));
    assert!(folder.path().join("measured/evaluation.json").exists());
}
