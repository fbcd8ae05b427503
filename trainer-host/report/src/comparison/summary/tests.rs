//! The words in each situation, from runs written by hand.

use super::super::fixture::{Written, evaluation};
use super::super::{Request, report};
use crate::Report;
use sextant_records::evaluation::{Copies, Evaluation};

/// The report of these runs.
fn reported(runs: &[(&str, u64, Written)]) -> Report {
    asked(runs, &Request::default())
}

fn asked(runs: &[(&str, u64, Written)], request: &Request) -> Report {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed, run) in runs {
        run.at(&folder.path().join(format!("seed-{seed}/{name}")));
    }
    report(&[folder.path().to_owned()], request).unwrap()
}

fn run(name: &'static str, seed: u64, loss: f64) -> (&'static str, u64, Written) {
    let plugin = (!name.starts_with("none")).then_some(name);
    (name, seed, Written::new(seed, plugin).loss(loss))
}

/// Runs with these means of the loss, and a spread of about a hundredth that a pair shares only in part.
fn seeded(seeds: u64, means: &[(&'static str, f64)]) -> Vec<(&'static str, u64, Written)> {
    let of = |seed: u64| {
        let runs = means.iter().enumerate();
        runs.map(move |(i, (name, mean))| run(name, seed, mean + 0.01 * (seed as f64 * 2.0 + i as f64).sin()))
    };
    (0..seeds).flat_map(of).collect()
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

#[test]
fn one_seed_ranks_nothing() {
    let summary = reported(&seeded(1, &[("none", 0.5), ("repa", 0.3)])).summary;
    contains(
        &summary,
        &["one seed", "ranks nothing", "no judge has looked at samples"],
    );
    lacks(&summary, &["better", "worse", "resolved", "best"]);
}

#[test]
fn two_seeds_rank_nothing() {
    let summary = reported(&seeded(2, &[("none", 0.5), ("repa", 0.1)])).summary;
    contains(&summary, &["each with 2 seeds", "Two seeds rank nothing."]);
    lacks(&summary, &["better", "worse", "resolved", "best"]);
}

#[test]
fn means_over_other_seeds_are_not_laid_side_by_side() {
    let mut runs = seeded(3, &[("none", 0.5), ("repa", 0.4)]);
    runs.pop();
    let summary = reported(&runs).summary;
    contains(
        &summary,
        &[
            "each with 2 to 3 seeds",
            "The mean difference to none in validation loss is -0.0996",
            "fewer than 3 seeds are common with none: this ranks nothing.",
        ],
    );
    lacks(&summary, &["% apart", "better", "best"]);
}

#[test]
fn three_seeds_say_who_is_resolved_and_how_large_the_rest_may_be() {
    let means = [("none", 0.5), ("repa", 0.2), ("sra", 0.9), ("haste", 0.501)];
    let summary = reported(&seeded(3, &means)).summary;
    contains(
        &summary,
        &[
            "By validation loss, repa (-0.30",
            "resolved as better than none",
            "sra (+0.39",
            "resolved as worse than none",
            "haste (",
            "is not resolved from none",
            "95 % interval",
            "repa is resolved as the best of all.",
        ],
    );
    let close = reported(&seeded(3, &[("none", 0.5), ("repa", 0.499)])).summary;
    contains(
        &close,
        &[
            "repa (",
            "is not resolved from none",
            "No variant is resolved as the best of all.",
        ],
    );
    lacks(&close, &["resolved as better"]);
}

#[test]
fn a_score_chosen_afterwards_is_said_to_be() {
    let runs = || {
        seeded(3, &[("none", 0.5), ("repa", 0.2)])
            .into_iter()
            .map(|(name, seed, run)| {
                let spread = 0.001 * (seed as f64 + if name == "repa" { 1.0 } else { 2.0 }).sin();
                let kernel = if name == "repa" { 0.1 } else { 0.3 } + spread;
                (name, seed, run.evaluation(evaluation([kernel, kernel])))
            })
    };
    let declared = reported(&runs().collect::<Vec<_>>()).summary;
    lacks(&declared, &["after the runs"]);
    let request = Request {
        primary: Some(sextant_recipe::Score::KernelDistance),
        ..Request::default()
    };
    let summary = asked(&runs().collect::<Vec<_>>(), &request).summary;
    contains(
        &summary,
        &[
            "kernel distance (judge embedded, chosen scale), chosen as the primary score after the runs and not before, repa (-0.199",
        ],
    );
}

#[test]
fn samples_stand_beside_their_floor_and_judges_beside_each_other() {
    let judged = |ours: [f64; 2]| {
        let runs = seeded(3, &[("none", 0.5), ("repa", 0.2)])
            .into_iter()
            .map(|(name, seed, run)| {
                let spread = 1e-3 * (seed as f64 * 2.0 + if name == "repa" { 1.0 } else { 0.0 }).sin();
                let kernel = if name == "repa" { ours } else { [0.3, 0.3] };
                (name, seed, run.evaluation(evaluation(kernel.map(|k| k + spread))))
            });
        reported(&runs.collect::<Vec<_>>())
    };
    let agreed = judged([0.1, 0.2]);
    contains(
        &agreed.summary,
        &[
            "mean kernel distance of samples by judge embedded",
            "against 0.00100 of real images",
            "both judges see each variant on the same side of none",
        ],
    );
    lacks(&agreed.summary, &["no judge has looked", "disagree", "at that floor"]);
    assert!(agreed.disagreements.is_empty());
    assert!(
        agreed
            .scores
            .iter()
            .any(|s| s.score == "Frechet distance (judge embedded, scale 1)")
    );

    let split = judged([0.1, 0.6]);
    contains(
        &split.summary,
        &["The judges disagree: On kernel distance at chosen scale, judge embedded puts repa before none"],
    );
    assert_eq!(
        split.disagreements.len(),
        8,
        "four at each scale: {:?}",
        split.disagreements
    );
    contains(
        &judged([0.0005, 0.0005]).summary,
        &["at that floor this judge tells no samples from images"],
    );
}

#[test]
fn copies_are_told_with_what_the_rule_says_of_held_out_images() {
    let with = |fraction: f64| {
        let measured = Evaluation {
            copies: Some(Copies {
                fraction,
                held_out_fraction: 0.01,
                ..Copies::default()
            }),
            ..evaluation([0.1, 0.1])
        };
        let (name, seed, written) = run("repa", 0, 0.4);
        reported(&[run("none", 0, 0.5), (name, seed, written.evaluation(measured))]).summary
    };
    contains(
        &with(0.05),
        &[
            "called copies of training images in 5.0 % of repa",
            "calls 1.0 % of the held-out",
        ],
    );
    contains(&with(0.01), &["No variant copies training images more often"]);
}

#[test]
fn a_failed_and_an_unfinished_variant_leave_the_others() {
    let failed = Written::new(0, Some("repa")).loss(None);
    let folder = tempfile::tempdir().unwrap();
    run("none", 0, 0.5).2.at(&folder.path().join("none"));
    run("sra", 0, 0.4).2.at(&folder.path().join("sra"));
    failed.at(&folder.path().join("haste"));
    failed.at(&folder.path().join("repa")).note_failure("no teacher");
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    contains(
        &report.summary,
        &["2 variants of 300 steps", "2 of 4 variants did not finish"],
    );
    let page = crate::render(&report);
    contains(&page, &["no teacher", "interrupted after step 300"]);
    assert_eq!(report.verdict.unwrap().without_score, ["haste", "repa"]);
}

#[test]
fn nothing_finished_is_nothing_compared() {
    let unfinished = |name, seed| (name, seed, Written::new(seed, None).loss(None).curve(&[]));
    let summary = reported(&[unfinished("none", 0), unfinished("none", 1)]).summary;
    assert_eq!(summary, "No variant has finished; nothing can be compared.");
}

#[test]
fn a_value_that_is_no_number_takes_its_variant_out() {
    let mut runs = seeded(3, &[("none", 0.5), ("repa", 0.2)]);
    let (_, _, broken) = runs.remove(3);
    runs.push(("repa", 1, broken.curve(&[(100, 1.0), (200, f64::NAN), (300, 0.1)])));
    let report = reported(&runs);
    contains(
        &report.summary,
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
    assert!(report.variants[1].seed_curves[1]["validation"][1].value.is_nan());
}

#[test]
fn a_single_step_is_a_report() {
    let single = |name: &'static str, loss| {
        let (name, seed, run) = run(name, 0, loss);
        (
            name,
            seed,
            run.curve(&[(1, loss)]).change(|recipe| recipe.phases[0].steps = 1),
        )
    };
    let report = reported(&[single("none", 0.5), single("repa", 0.4)]);
    contains(&report.summary, &["2 variants of 1 step, each with one seed"]);
    assert!(!crate::render(&report).is_empty());
    let none = reported(&[("none", 0, Written::new(0, None).curve(&[]))]);
    contains(&none.summary, &["One variant, none, finished 300 steps with one seed."]);
}

#[test]
fn controls_are_told_from_strategies() {
    let mut runs = seeded(3, &[("none", 0.5), ("none-long", 0.3), ("repa", 0.299)]);
    for (name, _, written) in &mut runs {
        if *name == "none-long" {
            let longer = std::mem::replace(written, Written::new(0, None));
            *written = longer.change(|recipe| recipe.phases[0].steps = 600);
        }
    }
    let report = reported(&runs);
    contains(
        &report.summary,
        &[
            "Controls: none-long (600 steps without guidance) is better than none",
            "repa is not resolved from none-long",
        ],
    );
}

#[test]
fn cost_and_speed_stand_beside_the_verdict() {
    let runs = (0..3).flat_map(|seed| {
        let none = run("none", seed, 0.5).2.operations(2e9);
        let repa = run("repa", seed, 0.2 + 0.01 * seed as f64).2.earlier(50);
        let repa = repa.step_seconds([0.75, 1.25, 1.75][seed as usize]).operations(3e9);
        let at = 0.4 + 0.01 * seed as f64;
        [
            ("none", seed, none),
            ("repa", seed, repa.curve(&[(100, 0.8), (200, at), (300, 0.2)])),
        ]
    });
    let summary = reported(&runs.collect::<Vec<_>>()).summary;
    contains(
        &summary,
        &[
            "none's final validation loss is reached for good, in steps of the last phase, by repa in fewer steps (1.70 times, ",
            "Cost of a step against none's, time on this machine: repa +50 % operations, +25 % time (-25 to +75 over seeds) after 50 s of earlier \
             phases.",
        ],
    );
}

#[test]
fn a_pace_that_is_not_resolved_is_no_speed() {
    let runs = (0..3).flat_map(|seed| {
        // Sooner with one seed and at the very end with the others.
        let at = if seed == 0 { 0.3 } else { 0.7 };
        let repa = run("repa", seed, 0.5).2.curve(&[(100, 1.0), (200, at), (300, 0.5)]);
        [run("none", seed, 0.5), ("repa", seed, repa)]
    });
    let summary = reported(&runs.collect::<Vec<_>>()).summary;
    contains(&summary, &["by repa at a pace that is not resolved from its own ("]);
    lacks(&summary, &["fewer steps"]);
}

#[test]
fn a_failed_seed_leaves_no_lucky_ones() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed, written) in seeded(4, &[("none", 0.5), ("repa", 0.2), ("sra", 0.501)]) {
        let fails = (name, seed) == ("repa", 3);
        let written = if fails { written.loss(None) } else { written };
        let run = written.at(&folder.path().join(format!("seed-{seed}/{name}")));
        if fails {
            run.note_failure("the loss is not a number");
        }
    }
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    contains(
        &report.summary,
        &[
            "repa failed with seed 3, and is not compared: its other seeds are the lucky ones",
            "repa cannot be tested",
        ],
    );
    lacks(&report.summary, &["better", "best by"]);
    let verdict = report.verdict.unwrap();
    assert_eq!((verdict.without_score, verdict.best), (vec!["repa".to_owned()], None));
    assert!(!report.speed_ups.contains_key("repa"));
}

#[test]
fn what_runs_share_is_said_of_those_that_share_it() {
    let mut runs = seeded(1, &[("none", 0.5), ("repa", 0.4), ("sra", 0.4)]);
    let words = "share initial weights, batches, times, noise and dropped labels";
    contains(&reported(&runs).summary, &[&format!("{words}. ")]);
    let (name, seed, written) = runs.pop().unwrap();
    runs.push((name, seed, written.change(|recipe| recipe.model.hidden_size = Some(64))));
    contains(
        &reported(&runs).summary,
        &[&format!("{words}, but for the initial weights of sra. ")],
    );
}

#[test]
fn devices_that_differ_are_said() {
    let (name, seed, written) = run("repa", 0, 0.4);
    let summary = reported(&[run("none", 0, 0.5), (name, seed, written.device("H100"))]).summary;
    contains(&summary, &["different devices"]);
}

#[test]
fn a_score_that_a_seed_lacks_is_not_that_of_the_others() {
    let judged = |trouble: bool| {
        let runs = seeded(4, &[("none", 0.5), ("repa", 0.2)]);
        let runs = runs.into_iter().map(|(name, seed, run)| {
            let mut measured = evaluation([0.3 + 1e-3 * seed as f64, 0.3]);
            if trouble && (name, seed) == ("repa", 2) {
                measured.quality.clear();
                measured.trouble = Some("a measure is not defined".into());
            }
            (name, seed, run.evaluation(measured))
        });
        reported(&runs.collect::<Vec<_>>())
    };
    let of = |report: &Report| {
        let kernel = report
            .scores
            .iter()
            .find(|score| score.score.starts_with("kernel distance"));
        kernel.map(|score| score.rows[0].seeds)
    };
    let (whole, troubled) = (judged(false), judged(true));
    assert_eq!((of(&whole), of(&troubled)), (Some(4), None));
    contains(
        &troubled.summary,
        &["repa, seed 2: its representations were not measured: a measure is not defined."],
    );
    assert_eq!(troubled.verdict.unwrap().rows[0].seeds, 4, "it has a validation loss");
}

#[test]
fn an_evaluation_of_another_step_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = Written::new(0, None)
        .evaluation(evaluation([0.1, 0.1]))
        .at(&folder.path().join("none"));
    let file = run.path().join("evaluation/evaluation.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"step\":300"), "{text}");
    std::fs::write(&file, text.replace("\"step\":300", "\"step\":200")).unwrap();
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    assert!(report.variants[0].evaluations[0].is_none());
    contains(&report.summary, &["its evaluation is of step 200 and not of step 300"]);
}

#[test]
fn a_training_whose_evaluation_failed_is_still_compared() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed, written) in seeded(1, &[("none", 0.5), ("repa", 0.2)]) {
        let _ = seed;
        let run = written.at(&folder.path().join(name));
        if name == "repa" {
            run.note_failure("the judge is gone");
        }
    }
    let report = report(&[folder.path().to_owned()], &Request::default()).unwrap();
    contains(
        &report.summary,
        &["repa, seed 0: trained, and then failed: the judge is gone."],
    );
    assert_eq!(report.verdict.unwrap().rows[0].seeds, 1);
}
