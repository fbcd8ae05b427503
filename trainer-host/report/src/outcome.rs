//! The report's one sentence.

use sextant_stats::statistics::{Comparison, MIN_SEEDS, Verdict};

use crate::content::Report;
use crate::number::{count, signed};

/// One sentence on what was compared and how it ended, composed from the table of verdicts.
pub fn outcome(report: &Report) -> String {
    let steps: Vec<u64> = report.finished().map(|(.., measured)| measured.steps).collect();
    let (Some(least), Some(most)) = (steps.iter().min(), steps.iter().max()) else {
        return "No variant has finished: there is nothing to compare.".into();
    };
    let steps_of = match least == most {
        true => format!("{} {}", count(*most), if *most == 1 { "step" } else { "steps" }),
        false => format!("{} to {} steps", count(*least), count(*most)),
    };
    let seeds = match report.seeds.len() {
        0 | 1 => "one seed".to_owned(),
        seeds => format!("{seeds} seeds"),
    };
    let unfinished = match report.variants.len() - steps.len() {
        0 => String::new(),
        rest => format!("; {rest} of {} variants did not finish", report.variants.len()),
    };
    let Some(verdict) = &report.verdict else {
        let names = list(report.finished().map(|(_, name, _)| name));
        return format!("{names}: {steps_of}, {seeds}, and nothing to compare with{unfinished}.");
    };
    format!("{steps_of} with {seeds}{}{unfinished}.", compared(report, verdict))
}

/// The verdicts in words, to follow what was trained.
fn compared(report: &Report, verdict: &Comparison) -> String {
    let Comparison { baseline, rows, .. } = verdict;
    let afterwards = if report.chosen_afterwards {
        ", a score chosen after the runs"
    } else {
        ""
    };
    let by = format!("by {}{afterwards}", verdict.score);
    if rows.iter().all(|row| row.verdict().is_none()) {
        let names = list(rows.iter().map(|row| row.name.as_str()));
        let (verb, takes) = (is(rows.len()), MIN_SEEDS);
        return match rows.iter().map(|row| row.seeds).max().unwrap_or_default() {
            0 => {
                format!(": this ranks nothing, since no seed has the score of {baseline} and of another variant, {by}")
            }
            seeds if seeds < MIN_SEEDS => {
                format!(
                    ": this ranks nothing, since to tell whether {names} {verb} better or worse than {baseline} {by} takes {takes} seeds"
                )
            }
            _ => format!(
                ": this ranks nothing, since there is no spread over seeds to test {names} against {baseline}, {by}"
            ),
        };
    }
    let group = |of: Option<Verdict>, words: &str| {
        let of = rows.iter().filter(|row| row.verdict() == of);
        let names: Vec<String> = of
            .map(|row| match (row.verdict(), row.mean_difference) {
                (Some(Verdict::Better | Verdict::Worse), Some(difference)) => {
                    format!("{} ({})", row.name, signed(difference))
                }
                _ => row.name.clone(),
            })
            .collect();
        let all = list(names.iter().map(String::as_str));
        (!names.is_empty()).then(|| format!("{all} {} {words}", is(names.len())))
    };
    let parts = [
        group(Some(Verdict::Better), &format!("better than {baseline}")),
        group(Some(Verdict::Worse), &format!("worse than {baseline}")),
        group(Some(Verdict::NotResolved), &format!("not resolved from {baseline}")),
        group(None, "not tested"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!(", {by}: {}", parts.join("; "))
}

fn is(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// The most names that a sentence lists.
const MOST_NAMES: usize = 5;

/// `a, b and c`; of many names the first.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.len() > MOST_NAMES {
        let (first, others) = names.split_at(MOST_NAMES - 1);
        return format!("{} and {} others", first.join(", "), others.len());
    }
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn three_seeds_say_who_is_resolved() {
        assert_eq!(
            outcome(&fixture::seeded(4)),
            "1600 steps with 4 seeds, by validation loss: clear (-0.0500) is better than none; unclear is not resolved from none."
        );
    }

    #[test]
    fn a_sentence_does_not_list_a_dozen_names() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(list(names.into_iter()), "a, b, c, d and 3 others");
        assert_eq!(list(names.into_iter().take(5)), "a, b, c, d and e");
        assert_eq!(list(names.into_iter().take(1)) + &list([].into_iter()), "a");
    }

    #[test]
    fn what_did_not_finish_and_what_has_no_baseline_is_said() {
        let said = outcome(&fixture::hostile());
        assert!(
            said.contains("nothing to compare with; 2 of 4 variants did not finish"),
            "{said}"
        );
        assert!(outcome(&Report::default()).contains("nothing to compare"));
        let mut report = fixture::seeded(4);
        report.chosen_afterwards = true;
        assert!(outcome(&report).contains("by validation loss, a score chosen after the runs: clear"));
    }
}
