//! What the seeds support: every variant against the baseline by the primary score.

use super::content::Report;
use super::markup::{Section, escape};
use super::number::{percent, signed, significant};
use super::sheet::{Sheet, SheetRow};
use super::terminal::aligned;
use sextant_stats::statistics::{
    Comparison, Direction, Interval, Outcome, Ranking, Row, SpeedUp, SpeedUpOutcome, Verdict,
};

/// Columns of the table over seeds.
pub(super) const COLUMNS: [&str; WIDTH] = [
    "variant",
    "seeds",
    "difference",
    "interval",
    "simultaneous",
    "Holm's p",
    "verdict",
    "speed-up, steps",
    "speed-up, seconds",
];
const WIDTH: usize = 9;

/// The table over seeds and what it says, as text for a terminal; empty for one seed, of which the summary says as much. Ends with
/// a line break.
pub fn text(report: &Report) -> String {
    match report.verdict.as_ref().filter(|_| report.seeds.len() > 1) {
        Some(verdict) => format!(
            "{}\n{}\n",
            aligned(&COLUMNS, &rows(report, verdict)),
            sentences(verdict).join(" ")
        ),
        None => String::new(),
    }
}

/// The page's section; none without a baseline.
pub fn section(report: &Report) -> Option<Section> {
    let verdict = report.verdict.as_ref()?;
    let paragraphs: String = sentences(verdict)
        .iter()
        .map(|sentence| format!("<p>{}</p>\n", escape(sentence)))
        .collect();
    let others = others(report).html();
    let others = match others.as_str() {
        "" => others,
        others => format!(
            "<h3>Other scores</h3>\n<p>These were not chosen as primary. Each is corrected for the number of variants, and not for the number of \
             scores: among many, one that is resolved by chance is to be expected.</p>\n{others}"
        ),
    };
    let body = format!(
        "{}{paragraphs}<p>{}</p>\n{others}<details><summary>How to read it</summary>\n<p>{}</p>\n</details>\n",
        sheet(report, verdict).html(),
        whose(report),
        escape(&method(report, verdict))
    );
    Section::new("seeds", &title(report), body)
}

/// The section's title.
pub(super) fn title(report: &Report) -> String {
    match report.seeds.len() {
        1 => "Over one seed".into(),
        seeds => format!("Over {seeds} seeds"),
    }
}

/// Which seeds the other sections show.
fn whose(report: &Report) -> String {
    match report.seeds.as_slice() {
        [] => String::new(),
        [only] => format!("All of this page is of seed {only}."),
        [first, ..] => {
            format!("The results above are means over the seeds; samples and plugins are those of seed {first}.")
        }
    }
}

/// The table over seeds without the speed-ups, which have a section of their own on the page.
fn sheet(report: &Report, verdict: &Comparison) -> Sheet {
    let shown = WIDTH - 2;
    let rows = rows(report, verdict).into_iter().map(|row| SheetRow {
        variant: report.variants.iter().position(|v| v.name == row[0]),
        ..SheetRow::plain(&row[0], row[1..shown].to_vec())
    });
    Sheet {
        caption: format!("{}, each variant minus {}", verdict.score, verdict.baseline),
        heads: COLUMNS[..shown].iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.collect(),
        words: vec![shown - 1],
    }
}

/// What the seeds say of every score beside the primary one.
pub(super) fn others(report: &Report) -> Sheet {
    let mut table = Sheet {
        caption: "Every other score, each variant minus the baseline".into(),
        heads: std::iter::once("score")
            .chain(COLUMNS[..WIDTH - 2].iter().copied())
            .map(str::to_owned)
            .collect(),
        words: vec![1, WIDTH - 2],
        ..Sheet::default()
    };
    if report.verdict.is_none() {
        return table;
    }
    for comparison in &report.scores {
        for row in rows(report, comparison) {
            let arrow = match comparison.direction {
                Direction::LowerIsBetter => "↓",
                Direction::HigherIsBetter => "↑",
            };
            let name = format!("{} {arrow}", comparison.score);
            table.rows.push(SheetRow::plain(&name, row[..WIDTH - 2].to_vec()));
        }
    }
    table
}

/// One row a variant, as words.
pub(super) fn rows(report: &Report, verdict: &Comparison) -> Vec<[String; WIDTH]> {
    verdict.rows.iter().map(|row| cells(report, verdict, row)).collect()
}

fn cells(report: &Report, verdict: &Comparison, row: &Row) -> [String; WIDTH] {
    let nothing = || "—".to_owned();
    let difference = row.mean_difference.map_or_else(nothing, signed);
    let [interval, simultaneous, p, words] = match &row.outcome {
        Outcome::Tested(tested) => [
            range(&tested.interval),
            range(&tested.simultaneous),
            significant(tested.adjusted_p, 2, 4),
            words(verdict, tested.verdict),
        ],
        Outcome::Unranked(reason) => [nothing(), nothing(), nothing(), format!("not ranked: {reason}")],
    };
    [
        row.name.clone(),
        row.seeds.to_string(),
        difference,
        interval,
        simultaneous,
        p,
        words,
        speed_up(report.speed_ups.get(&row.name).map(|of| &of.steps)),
        speed_up(report.speed_ups.get(&row.name).map(|of| &of.seconds)),
    ]
}

/// The ratio with its interval, or why there is none.
fn speed_up(of: Option<&SpeedUp>) -> String {
    match of.map(|of| &of.outcome) {
        None => "—".into(),
        Some(SpeedUpOutcome::NotReached { reached, seeds }) => format!("not reached ({reached}/{seeds})"),
        Some(SpeedUpOutcome::Undefined(reason)) => format!("none: {reason}"),
        Some(SpeedUpOutcome::Reached { ratio, bound, .. }) => {
            let least = if *bound { "at least " } else { "" };
            let interval = ratio.interval.map_or_else(
                |_| String::new(),
                |i| format!(" ({} to {})", significant(i.low, 3, 2), significant(i.high, 3, 2)),
            );
            format!("{least}{}{interval}", significant(ratio.value, 3, 2))
        }
    }
}

fn words(verdict: &Comparison, of: Verdict) -> String {
    match of {
        Verdict::Better => format!("better than {}", verdict.baseline),
        Verdict::Worse => format!("worse than {}", verdict.baseline),
        Verdict::NotResolved => "not resolved".into(),
    }
}

fn range(interval: &Interval) -> String {
    format!("{} to {}", signed(interval.low), signed(interval.high))
}

/// What follows from the table, and no more.
pub(super) fn sentences(verdict: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    for row in &verdict.rows {
        let difference = row.mean_difference.map_or_else(String::new, signed);
        sentences.push(match &row.outcome {
            Outcome::Tested(tested) => format!(
                "{}: {} {difference} against {}, {} ({} interval {}, not corrected for the number of variants).",
                row.name,
                verdict.score,
                verdict.baseline,
                match tested.verdict {
                    Verdict::Better => "resolved as better",
                    Verdict::Worse => "resolved as worse",
                    Verdict::NotResolved => "not resolved",
                },
                percent(tested.interval.level.value()),
                range(&tested.interval),
            ),
            Outcome::Unranked(reason) => format!("{}: not ranked, {reason}.", row.name),
        });
    }
    let untested = verdict.rows.iter().all(|row| row.verdict().is_none());
    let unranked = match verdict.ranking {
        Ranking::NothingToRank => "There is nothing to rank.",
        _ if untested => "Fewer than three seeds rank nothing: no interval and no ranking is given.",
        _ => "There are fewer than three seeds that all variants have: no ranking is given.",
    };
    sentences.push(best(verdict).unwrap_or_else(|| unranked.into()));
    if let Ranking::Ranked(places) = &verdict.ranking {
        let places: Vec<String> = places
            .iter()
            .map(|place| format!("{}. {} ({})", place.place, place.name, significant(place.mean, 4, 4)))
            .collect();
        sentences.push(format!(
            "By mean {}, where neighbours need not be resolved from each other: {}.",
            verdict.score,
            places.join(", ")
        ));
    }
    sentences
}

/// Who is resolved as the best, or that nobody is; none where nothing was ranked.
pub fn best(verdict: &Comparison) -> Option<String> {
    match (&verdict.best, &verdict.ranking) {
        (Some(best), _) if verdict.without_score.is_empty() => Some(format!("{best} is resolved as the best of all.")),
        (Some(best), _) => Some(format!("{best} is resolved as the best of those that have this score.")),
        (None, Ranking::Ranked(_)) => Some("No variant is resolved as the best of all.".into()),
        (None, _) => None,
    }
}

/// How the verdicts were come to.
pub(super) fn method(report: &Report, verdict: &Comparison) -> String {
    let level = percent(verdict.level.value());
    let when = match report.chosen_afterwards {
        true => "chosen after the runs; the recipes had declared another",
        false => "declared in the recipe before the run",
    };
    let shared = match report.shared.trim() {
        "" => String::new(),
        shared => format!("{shared} "),
    };
    format!(
        "The primary score is {}, {when}. {shared}A variant is compared with {} seed by seed: differences are variant minus {}. The \
         interval, which takes three seeds, is the paired t interval of {level} for that difference alone; the simultaneous ones \
         (Bonferroni) hold all at once. A difference is resolved where the p \
         value of the paired t test, after Holm's correction over the variants, is at most {}. One that is not resolved is not \
         shown to be none: its interval says how large it may be. The speed-up is the baseline's end over where a variant reaches the \
         baseline's final validation loss of the same seed for good, interpolated between evaluations, as a geometric mean over \
         seeds with its {level} interval; seconds are those of training steps, earlier phases on the bill.",
        verdict.score,
        verdict.baseline,
        verdict.baseline,
        percent(verdict.level.error_rate())
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn one_seed_has_differences_and_ranks_nothing() {
        let report = fixture::seeded_with(1);
        let section = section(&report).unwrap();
        assert_eq!(section.title, "Over one seed");
        for words in [
            "-0.049",
            "not ranked: one seed",
            "rank nothing",
            "All of this page is of seed 0.",
        ] {
            assert!(section.body.contains(words), "{words} in\n{}", section.body);
        }
        for words in ["resolved as", "By mean", "not corrected for"] {
            assert!(!section.body.contains(words), "{words} in\n{}", section.body);
        }
        assert!(text(&report).is_empty(), "the terminal stays short");
        assert!(super::section(&fixture::report()).is_none(), "without a baseline");
    }

    #[test]
    fn the_method_says_when_the_score_was_chosen_and_what_seeds_share() {
        let mut report = fixture::seeded();
        let said = |report: &Report| method(report, report.verdict.as_ref().unwrap());
        let declared = said(&report);
        assert!(declared.contains("validation loss, declared in the recipe before the run. A variant is"));
        report.chosen_afterwards = true;
        report.shared = "Runs of one seed share nothing but the data.".into();
        let chosen = said(&report);
        assert!(
            chosen.contains("after the runs; the recipes had declared another. Runs of one seed share nothing but")
        );
        assert!(!chosen.contains("before the run"), "{chosen}");
    }

    #[test]
    fn page_and_terminal_name_what_is_resolved_and_what_is_not() {
        let report = fixture::seeded();
        for output in [section(&report).unwrap().body, text(&report)] {
            for words in ["better than none", "not resolved", "+0.00", "no ranking", "not ranked"] {
                let expected = words != "no ranking" && words != "not ranked";
                assert_eq!(output.contains(words), expected, "{words} in\n{output}");
            }
            assert!(output.contains("clear is resolved as the best of all."), "{output}");
        }
    }

    #[test]
    fn two_seeds_rank_nothing() {
        let report = fixture::seeded_with(2);
        let output = text(&report);
        assert!(
            output.contains("no ranking is given") && output.contains("not ranked"),
            "{output}"
        );
        assert!(!output.contains("resolved as"), "{output}");
    }
}
