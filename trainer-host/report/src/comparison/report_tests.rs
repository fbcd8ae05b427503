//! Reports of folders: what is refused, what is put together, and that a report can be made again.

use std::path::{Path, PathBuf};

use super::{Request, report, write};
use crate::fixture::{Written, evaluation, record};
use sextant_recipe::DataConfig;
use sextant_recipe::Score;
use sextant_records::{FileError, Place};

/// The error of these folders.
fn refused(folders: &[&Path]) -> String {
    let folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    report(&folders, &Request::default()).unwrap_err().to_string()
}

fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Written::new(0, None).evaluation(evaluation([0.1, 0.1])).at(&at("none"));
    let other = Written::new(0, Some("repa"));
    other
        .info(|info| info.data = "beef".into())
        .change(|r| r.data = DataConfig::emoji(8, 1))
        .at(&at("split"));
    contains(
        &refused(&[&at("none"), &at("split")]),
        &[
            "data.split_seed is 0 in",
            "/none and 1 in",
            "/split",
            "cannot be compared",
        ],
    );
    let mut judged = evaluation([0.1, 0.1]);
    judged.judges[1].fingerprint = "another".into();
    Written::new(0, Some("repa")).evaluation(judged).at(&at("judge"));
    contains(
        &refused(&[&at("none"), &at("judge")]),
        &["judge \"untrained\"", "\"another\" in"],
    );
}

#[test]
fn one_variant_and_seed_is_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    Written::new(0, None).at(&a.join("none"));
    Written::new(0, None)
        .change(|r| r.optimiser.lr = 0.5)
        .at(&b.join("none"));
    contains(
        &refused(&[&a, &b]),
        &["a/none and", "b/none are both runs of variant \"none\" with seed 0"],
    );
    let c = folder.path().join("c");
    Written::new(1, None)
        .change(|r| r.optimiser.lr = 0.5)
        .at(&c.join("none"));
    contains(&refused(&[&a, &c]), &["different recipes: optimiser.lr is", "0.5 in"]);
}

#[test]
fn a_run_that_two_folders_have_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for comparison in ["first", "second"] {
        // What is written, and how it is titled, is no part of a training.
        Written::new(0, None)
            .change(|r| r.title = comparison.into())
            .at(&at(comparison).join("none"));
    }
    Written::new(0, Some("repa")).at(&at("first/repa"));
    Written::new(0, Some("sra")).at(&at("second/sra"));
    let report = report(&[at("first"), at("second")], &Request::default()).unwrap();
    let names: Vec<_> = report.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!((names, report.runs.len()), (vec!["none", "repa", "sra"], 3));
    contains(
        &report.remarks.join(" "),
        &["Runs of none are the same in several of", "taken once"],
    );
}

#[test]
fn a_primary_score_is_declared_before_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    Written::new(0, None).at(&folder.path().join("none"));
    Written::new(0, Some("repa")).at(&folder.path().join("repa"));
    let afterwards = |declared: Option<Score>, request: Option<Score>| {
        let mut record = record(&["none", "repa"], &["none", "repa"]);
        record.declared = declared;
        record.write(folder.path()).unwrap();
        let request = Request {
            primary: request,
            ..Request::default()
        };
        report(&[folder.path().to_owned()], &request).unwrap().chosen_afterwards
    };
    assert!(!afterwards(None, None));
    assert!(
        afterwards(Some(Score::FrechetDistance), None),
        "the recipe was changed since"
    );
    assert!(
        !afterwards(None, Some(Score::ValidationLoss)),
        "asking for what is declared"
    );
}

#[test]
fn variants_that_have_not_begun_are_in_the_family() {
    let folder = tempfile::tempdir().unwrap();
    for (name, plugin) in [("none", None), ("repa", Some("repa"))] {
        Written::new(0, plugin).at(&folder.path().join(name));
    }
    record(&["none", "repa", "sra"], &["none", "repa", "sra"])
        .write(folder.path())
        .unwrap();
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    contains(&report.remarks.join(" "), &["Not begun yet: sra"]);
    let rows = report.verdict.unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["repa", "sra"]
    );
    assert_eq!(report.variants.len(), 2);
}

#[test]
fn folders_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for seed in 0..2 {
        Written::new(seed, Some("repa")).at(&at(&format!("first/seed-{seed}/a-repa")));
        Written::new(seed, None).at(&at(&format!("first/seed-{seed}/none")));
        Written::new(seed, Some("sra")).at(&at(&format!("second/seed-{seed}/sra")));
    }
    Written::new(2, Some("sra")).at(&at("third/sra"));
    let request = Request {
        command: "sextant report first second third/sra".into(),
        ..Request::default()
    };
    let report = report(&[at("first"), at("second"), at("third/sra")], &request).unwrap();
    let names: Vec<_> = report.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(
        (names, report.seeds.as_slice()),
        (vec!["none", "a-repa", "sra"], &[0, 1, 2][..])
    );
    assert_eq!(report.runs.len(), 7);
    assert_eq!(report.command, request.command);
    assert_eq!(report.variants[0].overlay, "");
    contains(&report.variants[1].overlay, &["plugin = \"repa\""]);
    assert_eq!(report.variants[0].curves.len(), 3);
    assert!(report.variants[0].curves[2].is_empty(), "none has no third seed");
}

#[test]
fn a_recorded_comparison_is_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in [(7, "repa"), (7, "none"), (3, "repa"), (3, "none"), (9, "sra")] {
        let plugin = (name != "none").then_some(name);
        Written::new(seed, plugin).at(&folder.path().join(format!("seed-{seed}/{name}")));
    }
    let runs = ["seed-7/repa", "seed-7/none", "seed-3/repa", "seed-3/none"];
    record(&["repa", "none"], &runs).write(folder.path()).unwrap();
    let of = |request: &Request| report(&[folder.path().to_owned()], request).unwrap();
    let plain = Request {
        command: "sextant report".into(),
        ..Request::default()
    };
    let report = of(&plain);
    let names: Vec<_> = report.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!((names, report.seeds.as_slice()), (vec!["repa", "none"], &[7, 3][..]));
    assert_eq!(report.command, "sextant compare tiny.toml");
    assert_eq!(
        (report.base_recipe.as_str(), report.variants[0].overlay.as_str()),
        ("# base\n", "# as repa\n")
    );
    let based = Request {
        baseline: Some("repa".into()),
        ..plain
    };
    let report = of(&based);
    assert_eq!(report.verdict.as_ref().unwrap().baseline, "repa");
    assert_eq!(report.command, "sextant compare tiny.toml\nsextant report");
    let error = super::report(
        &[folder.path().to_owned()],
        &Request {
            baseline: Some("nobody".into()),
            ..Request::default()
        },
    );
    contains(&error.unwrap_err().to_string(), &["--baseline nobody", "repa, none"]);
}

#[test]
fn pictures_and_evaluations_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("none");
    let mut measured = evaluation([0.1, 0.2]);
    measured.representations = Some(Default::default());
    measured.representations.as_mut().unwrap().maps = vec![sextant_records::evaluation::Map {
        file: "student-2.png".into(),
        ..Default::default()
    }];
    Written::new(0, None).evaluation(measured).at(&run);
    for file in [
        "samples/final.png",
        "evaluation/grids/step-000200.png",
        "evaluation/grids/step-000100.png",
        "evaluation/grids/notes.txt",
        "evaluation/neighbours.png",
        "evaluation/maps/student-2.png",
    ] {
        let path = run.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    let report = report(std::slice::from_ref(&run), &Request::default()).unwrap();
    let variant = &report.variants[0];
    let steps: Vec<u64> = variant.grids.iter().map(|grid| grid.step).collect();
    assert_eq!(steps, [100, 200, 300], "the last is that of the end");
    assert_eq!(
        variant.neighbours_png.as_deref(),
        Some(&b"evaluation/neighbours.png"[..])
    );
    assert_eq!(variant.map_pngs["student-2.png"], b"evaluation/maps/student-2.png");
    assert!(variant.evaluations[0].is_some());

    std::fs::write(run.join("evaluation/evaluation.json"), r#"{"step": null}"#).unwrap();
    let report = super::report(&[run], &Request::default()).unwrap();
    assert!(report.variants[0].evaluations[0].is_none());
    contains(
        &report.remarks.join(" "),
        &["its evaluation cannot be read", "evaluation.json"],
    );
}

#[test]
fn warnings_are_on_the_page_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, run: Written| run.at(&folder.path().join(name)).path().to_owned();
    let runs = [
        write(
            "none",
            Written::new(0, None).info(|info| info.warnings = vec!["few samples".into()]),
        ),
        write(
            "repa",
            Written::new(0, Some("repa")).info(|info| info.warnings = vec!["few samples".into(), "no time".into()]),
        ),
    ];
    let report = report(&runs, &Request::default()).unwrap();
    assert_eq!(report.remarks, ["Warning: few samples.", "Warning of repa: no time."]);
    contains(&crate::render(&report), &["<li>Warning of repa: no time.</li>"]);
}

#[test]
fn broken_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("none");
    Written::new(0, None).at(&run);
    let result = std::fs::read_to_string(run.join("result.json")).unwrap();
    std::fs::write(run.join("result.json"), "{").unwrap();
    contains(&refused(&[&run]), &["result.json", "is not a result"]);
    let infinite = result.replace("\"validation_loss\": 0.5", "\"validation_loss\": null");
    std::fs::write(run.join("result.json"), infinite).unwrap();
    let report = report(std::slice::from_ref(&run), &Request::default()).unwrap();
    contains(&crate::render(&report), &["validation loss is not a number"]);
    std::fs::remove_file(run.join("run.json")).unwrap();
    contains(&refused(&[&run]), &["run.json"]);
}

#[test]
fn a_report_is_written_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    Written::new(0, None).at(&folder.path().join("none"));
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    let out = folder.path().join("not/there/yet");
    write(&report, &out).unwrap();
    for file in ["report.html", "report.md", "results.csv"] {
        assert!(out.join(file).is_file(), "{file}");
    }
}

#[test]
fn what_was_changed_after_the_beginning_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = Written::new(0, None).at(&folder.path().join("run"));
    let before = run.recipe().unwrap();
    let mut after = before.clone();
    after.optimiser.lr = 0.5;
    let place = Place {
        phase: "train".into(),
        step: 0,
    };
    let changed = run.change_recipe(&before, &after, &place, || Ok::<_, FileError>(()));
    changed.unwrap();
    let page = crate::render(&report(&[run.path().into()], &Request::default()).unwrap());
    let change = format!("optimiser.lr: {} → 0.5", before.optimiser.lr);
    contains(&page, &["Changed after a run had begun", &change, "step 1 of train"]);
    let untouched = Written::new(0, None).at(&folder.path().join("untouched"));
    let page = crate::render(&report(&[untouched.path().into()], &Request::default()).unwrap());
    assert!(!page.contains("Changed after"));
}
