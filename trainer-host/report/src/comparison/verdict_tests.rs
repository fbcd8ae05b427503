//! Verdicts in each situation, from runs written by hand.

use super::Request;
use crate::fixture::{self, Named, Written, evaluation};
use crate::{Report, SpeedUps, outcome};
use sextant_records::{ComputeCost, Operations};
use sextant_stats::statistics::{Comparison, SpeedUpOutcome, Verdict};

/// The report of these runs.
fn reported(runs: &[Named]) -> Report {
    asked(runs, &Request::default())
}

fn asked(runs: &[Named], request: &Request) -> Report {
    fixture::reported(runs, None, request)
}

fn run(name: &'static str, seed: u64, loss: f64) -> Named<'static> {
    let plugin = (!name.starts_with("none")).then_some(name);
    (name, seed, Written::new(seed, plugin).loss(loss))
}

/// Runs with these means of the loss, and a spread of about a hundredth that a pair shares only in part.
fn seeded(seeds: u64, means: &[(&'static str, f64)]) -> Vec<Named<'static>> {
    let of = |seed: u64| {
        let runs = means.iter().enumerate();
        runs.map(move |(i, (name, mean))| run(name, seed, mean + 0.01 * (seed as f64 * 2.0 + i as f64).sin()))
    };
    (0..seeds).flat_map(of).collect()
}

/// The same with each run changed.
fn changed(runs: Vec<Named<'static>>, change: impl Fn(&str, u64, Written) -> Written) -> Vec<Named<'static>> {
    let changed = |(name, seed, run)| (name, seed, change(name, seed, run));
    runs.into_iter().map(changed).collect()
}

fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

fn lacks(text: &str, words: &[&str]) {
    for word in words {
        assert!(!text.contains(word), "{word:?} is in: {text}");
    }
}

/// Every variant of a comparison with what is decided of it.
fn verdicts(of: &Comparison) -> Vec<(&str, Option<Verdict>)> {
    of.rows.iter().map(|row| (row.name.as_str(), row.verdict())).collect()
}

fn decided(report: &Report) -> Vec<(&str, Option<Verdict>)> {
    verdicts(report.verdict.as_ref().unwrap())
}

#[test]
fn fewer_than_three_seeds_rank_nothing() {
    for seeds in [1, 2] {
        let report = reported(&seeded(seeds, &[("none", 0.5), ("repa", 0.1)]));
        assert_eq!(decided(&report), [("repa", None)]);
        assert_eq!(report.verdict.as_ref().unwrap().best, None);
        contains(&outcome(&report), &["ranks nothing", "takes 3 seeds"]);
        lacks(
            &outcome(&report),
            &["is better than", "is worse than", "resolved", "best"],
        );
        contains(&crate::table_text(&report), &["too few seeds"]);
    }
}

#[test]
fn a_seed_that_the_baseline_lacks_does_not_count() {
    let mut runs = seeded(3, &[("none", 0.5), ("repa", 0.4)]);
    runs.pop();
    let report = reported(&runs);
    let row = &report.verdict.as_ref().unwrap().rows[0];
    assert_eq!((row.seeds, row.verdict()), (2, None));
    assert!((row.mean_difference.unwrap() + 0.0996).abs() < 1e-4, "{row:?}");
    contains(&outcome(&report), &["ranks nothing"]);
    assert_eq!((report.scores["none"].len(), report.scores["repa"].len()), (3, 2));
}

#[test]
fn three_seeds_say_who_is_resolved() {
    let means = [("none", 0.5), ("repa", 0.2), ("sra", 0.9), ("haste", 0.501)];
    let report = reported(&seeded(3, &means));
    let wanted = [
        ("haste", Verdict::NotResolved),
        ("repa", Verdict::Better),
        ("sra", Verdict::Worse),
    ];
    let mut found = decided(&report);
    found.sort_by_key(|(name, _)| *name);
    assert_eq!(found, wanted.map(|(name, verdict)| (name, Some(verdict))));
    assert_eq!(report.verdict.as_ref().unwrap().best.as_deref(), Some("repa"));
    contains(
        &outcome(&report),
        &[
            "300 steps with 3 seeds, by validation loss: repa (-0.30",
            "is better than none",
            "sra (+0.39",
            "haste is not resolved from none.",
        ],
    );
    let close = reported(&seeded(3, &[("none", 0.5), ("repa", 0.499)]));
    assert_eq!(decided(&close), [("repa", Some(Verdict::NotResolved))]);
    assert_eq!(close.verdict.as_ref().unwrap().best, None);
}

#[test]
fn a_score_chosen_afterwards_is_said_to_be() {
    let runs = changed(seeded(3, &[("none", 0.5), ("repa", 0.2)]), |name, seed, run| {
        let (mean, phase) = if name == "repa" { (0.1, 1.0) } else { (0.3, 2.0) };
        let kernel = mean + 0.001 * (seed as f64 + phase).sin();
        run.evaluation(evaluation([kernel, kernel]))
    });
    lacks(&outcome(&reported(&runs)), &["after the runs"]);
    let request = Request {
        primary: Some(sextant_recipe::Score::KernelDistance),
        ..Request::default()
    };
    let said = outcome(&asked(&runs, &request));
    contains(
        &said,
        &["by kernel distance (judge embedded, chosen scale), a score chosen after the runs: repa (-0.199"],
    );
}

#[test]
fn every_judge_has_its_own_verdict() {
    let judged = |ours: [f64; 2]| {
        let runs = changed(seeded(3, &[("none", 0.5), ("repa", 0.2)]), |name, seed, run| {
            let spread = 1e-3 * (seed as f64 * 2.0 + if name == "repa" { 1.0 } else { 0.0 }).sin();
            let kernel = if name == "repa" { ours } else { [0.3, 0.3] };
            run.evaluation(evaluation(kernel.map(|k| k + spread)))
        });
        reported(&runs)
    };
    let of = |report: &Report, judge: &str| {
        let name = format!("kernel distance (judge {judge}, chosen scale)");
        let score = report.other_scores.iter().find(|score| score.score == name).unwrap();
        score.rows[0].verdict()
    };
    let agreed = judged([0.1, 0.2]);
    assert_eq!(
        ["embedded", "untrained"].map(|judge| of(&agreed, judge)),
        [Some(Verdict::Better); 2]
    );
    assert!(
        agreed
            .other_scores
            .iter()
            .any(|s| s.score == "Fréchet distance (judge untrained, scale 1)")
    );
    let split = judged([0.1, 0.6]);
    assert_eq!(
        ["embedded", "untrained"].map(|judge| of(&split, judge)),
        [Some(Verdict::Better), Some(Verdict::Worse)]
    );
    let page = crate::markdown(&split);
    contains(&page, &["kernel distance (judge untrained, chosen scale) ↓ | repa"]);
}

#[test]
fn a_failed_and_an_unfinished_variant_leave_the_others() {
    let unfinished = |name, failure| (name, 0, Written::new(0, Some(name)).unfinished(failure));
    let (haste, repa) = (unfinished("haste", None), unfinished("repa", Some("no teacher")));
    let report = reported(&[run("none", 0, 0.5), run("sra", 0, 0.4), haste, repa]);
    contains(&outcome(&report), &["300 steps", "2 of 4 variants did not finish"]);
    contains(&crate::render(&report), &["no teacher", "interrupted after step 300"]);
    assert_eq!(report.verdict.unwrap().without_score, ["haste", "repa"]);
}

#[test]
fn nothing_finished_is_nothing_compared() {
    let unfinished = |name, seed| (name, seed, Written::new(seed, None).unfinished(None).curve(&[]));
    let report = reported(&[unfinished("none", 0), unfinished("none", 1)]);
    assert_eq!(
        outcome(&report),
        "No variant has finished: there is nothing to compare."
    );
}

#[test]
fn a_value_that_is_no_number_takes_its_variant_out() {
    let mut runs = seeded(3, &[("none", 0.5), ("repa", 0.2)]);
    let (_, _, broken) = runs.remove(3);
    runs.push(("repa", 1, broken.curve(&[(100, 1.0), (200, f64::NAN), (300, 0.1)])));
    let report = reported(&runs);
    contains(
        &report.remarks.join(" "),
        &[
            "repa, seed 1: validation is not a number at step 200; the curve has a gap there",
            "not compared",
        ],
    );
    let verdict = report.verdict.as_ref().unwrap();
    assert_eq!(
        (verdict.without_score.as_slice(), verdict.rows[0].seeds),
        (&["repa".to_owned()][..], 0)
    );
    assert!(report.speed_ups.is_empty());
    assert!(report.variants[1].curves[1]["validation"][1].value.is_nan());
}

#[test]
fn a_single_step_is_a_report() {
    let single = |name: &'static str, loss| {
        let (name, seed, run) = run(name, 0, loss);
        (name, seed, run.curve(&[(1, loss)]).steps(1))
    };
    let report = reported(&[single("none", 0.5), single("repa", 0.4)]);
    contains(&outcome(&report), &["1 step with one seed"]);
    assert!(!crate::render(&report).is_empty());
    let none = reported(&[("none", 0, Written::new(0, None).curve(&[]))]);
    assert_eq!(
        outcome(&none),
        "none: 300 steps, one seed, and nothing to compare with."
    );
}

#[test]
fn guided_variants_are_compared_with_longer_training() {
    let runs = seeded(3, &[("none", 0.5), ("none-long", 0.3), ("repa", 0.299)]);
    let runs = changed(
        runs,
        |name, _, run| if name == "none-long" { run.steps(600) } else { run },
    );
    let report = reported(&runs);
    assert_eq!(decided(&report)[0], ("none-long", Some(Verdict::Better)));
    let [against] = report.against_longer.as_slice() else {
        panic!("{:?}", report.against_longer)
    };
    assert_eq!(against.baseline, "none-long");
    assert_eq!(verdicts(against), [("repa", Some(Verdict::NotResolved))]);
    contains(
        &crate::markdown(&report),
        &["validation loss, each variant minus none-long"],
    );
}

#[test]
fn cost_and_speed_stand_beside_the_verdict() {
    let runs = seeded(3, &[("none", 0.5), ("repa", 0.2)]);
    let report = reported(&changed(runs, |name, seed, run| {
        let counted = |student: f64| ComputeCost {
            operations: Some(Operations {
                student,
                ..Operations::default()
            }),
            ..ComputeCost::default()
        };
        if name == "none" {
            return run.result(|result| result.cost = counted(2e9));
        }
        let at = 0.4 + 0.01 * seed as f64;
        let run = run.earlier(50, 1.0).curve(&[(100, 0.8), (200, at), (300, 0.2)]);
        run.result(|result| {
            result.seconds_per_step = [0.75, 1.25, 1.75][seed as usize];
            result.cost = counted(3e9);
        })
    }));
    let SpeedUps { steps, .. } = &report.speed_ups["repa"];
    let SpeedUpOutcome::Reached { ratio, .. } = steps.outcome else {
        panic!("{steps:?}")
    };
    assert!((ratio.value - 1.70).abs() < 0.01, "{ratio:?}");
    contains(
        &crate::table_text(&report),
        &["1.70× / ", "1.25 (+25.0 %)", "operations per step (GFLOP)"],
    );
}

#[test]
fn a_failed_seed_leaves_no_lucky_ones() {
    let runs = seeded(4, &[("none", 0.5), ("repa", 0.2), ("sra", 0.501)]);
    let report = reported(&changed(runs, |name, seed, run| match (name, seed) {
        ("repa", 3) => run.unfinished(Some("the loss is not a number")),
        _ => run,
    }));
    let said = format!("{} {}", outcome(&report), report.remarks.join(" "));
    contains(
        &said,
        &[
            "repa failed with seed 3, and is not compared: its other seeds are the lucky ones",
            "repa is not tested",
        ],
    );
    lacks(&said, &["is better", "best"]);
    let verdict = report.verdict.unwrap();
    assert_eq!((verdict.without_score, verdict.best), (vec!["repa".to_owned()], None));
    assert!(!report.speed_ups.contains_key("repa"));
}

#[test]
fn devices_that_differ_are_said() {
    let (name, seed, written) = run("repa", 0, 0.4);
    let summary = reported(&[
        run("none", 0, 0.5),
        (name, seed, written.info(|info| info.device = "H100".into())),
    ])
    .remarks
    .join(" ");
    contains(&summary, &["different devices"]);
}

#[test]
fn a_score_that_a_seed_lacks_is_not_that_of_the_others() {
    let judged = |trouble: bool| {
        let runs = seeded(4, &[("none", 0.5), ("repa", 0.2)]);
        reported(&changed(runs, |name, seed, run| {
            let mut measured = evaluation([0.3 + 1e-3 * seed as f64, 0.3]);
            if trouble && (name, seed) == ("repa", 2) {
                measured.quality.clear();
                measured.trouble = Some("a measure is not defined".into());
            }
            run.evaluation(measured)
        }))
    };
    let of = |report: &Report| {
        let kernel = report
            .other_scores
            .iter()
            .find(|score| score.score.starts_with("kernel distance"));
        kernel.map(|score| score.rows[0].seeds)
    };
    let (whole, troubled) = (judged(false), judged(true));
    assert_eq!((of(&whole), of(&troubled)), (Some(4), None));
    contains(
        &troubled.remarks.join(" "),
        &["repa, seed 2: its representations were not measured: a measure is not defined."],
    );
    assert_eq!(troubled.verdict.unwrap().rows[0].seeds, 4, "it has a validation loss");
}

#[test]
fn an_evaluation_of_another_step_is_none() {
    let (name, seed, mut written) = run("none", 0, 0.5);
    written.evaluation = Some(fixture::evaluation([0.1, 0.1]));
    written.evaluation.as_mut().unwrap().step = 200;
    let report = reported(&[(name, seed, written)]);
    assert!(report.variants[0].evaluations[0].is_none());
    let said = report.remarks.join(" ");
    contains(&said, &["its evaluation is of step 200 and not of step 300"]);
}

#[test]
fn a_training_whose_evaluation_failed_is_still_compared() {
    let (none, mut repa) = (run("none", 0, 0.5), run("repa", 0, 0.2));
    repa.2.failure = Some("the judge is gone".into());
    let report = reported(&[none, repa]);
    let said = report.remarks.join(" ");
    contains(&said, &["repa, seed 0: trained, and then failed: the judge is gone."]);
    assert_eq!(report.verdict.unwrap().rows[0].seeds, 1);
}
