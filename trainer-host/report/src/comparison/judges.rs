//! Where judges disagree, in words.

use super::entry::Entry;
use super::verdict::{self, FRECHET, KERNEL, Scale, Yardstick};
use crate::Error;
use sextant_stats::statistics::{Comparison, Disagreement, Outcome, Row, Verdict};

/// What every other judge says otherwise than the first, at each scale: a sentence each. Fewer than three seeds order
/// nothing, and nobody can disagree.
///
/// # Errors
/// Two variants of one name.
pub fn disagreements(baseline: &str, others: &[String], entries: &[Entry]) -> Result<Vec<String>, Error> {
    let Some(judged) = entries.iter().find(|entry| entry.is_judged()) else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = judged
        .evaluation
        .iter()
        .flat_map(|e| &e.judges)
        .map(|judge| judge.name.as_str())
        .collect();
    let mut sentences = Vec::new();
    for scale in Scale::of(entries) {
        for (aspect, what) in [(&KERNEL, "kernel distance"), (&FRECHET, "Frechet distance")] {
            let of = |index: usize| {
                let yardstick = Yardstick::quality(index, names[index], *scale, aspect);
                verdict::compare(&yardstick, baseline, others, entries)
            };
            let what = format!("{what} at {}", scale.name());
            for index in 1..names.len() {
                sentences.extend(between(&what, (names[0], &of(0)?), (names[index], &of(index)?))?);
            }
        }
    }
    Ok(sentences)
}

/// What two judges disagree on.
fn between(
    what: &str,
    (first, one): (&str, &Comparison),
    (second, other): (&str, &Comparison),
) -> Result<Vec<String>, Error> {
    let disagreement = Disagreement::between(one, other)?;
    let mut sentences = Vec::new();
    for row in &one.rows {
        let Some(theirs) = other.row(&row.name) else { continue };
        let (Outcome::Tested(_), Outcome::Tested(_)) = (&row.outcome, &theirs.outcome) else {
            continue;
        };
        let (Some(ours_ahead), Some(theirs_ahead)) = (ahead(one, row), ahead(other, theirs)) else {
            continue;
        };
        if ours_ahead != theirs_ahead {
            let (before, after) = if ours_ahead {
                (&row.name, &one.baseline)
            } else {
                (&one.baseline, &row.name)
            };
            sentences.push(format!(
                "On {what}, judge {first} puts {before} before {after}, judge {second} the other way; {}.",
                resolved((first, row.verdict()), (second, theirs.verdict()))
            ));
        }
    }
    if let Some([a, b]) = &disagreement.best {
        sentences.push(format!(
            "On {what}, judge {first} resolves {a} as the best of all, judge {second} {b}."
        ));
    } else if let Some([a, b]) = &disagreement.leaders {
        sentences.push(format!(
            "By mean {what}, judge {first} puts {a} first, judge {second} {b}; that order need not be resolved."
        ));
    }
    Ok(sentences)
}

/// Whether the variant's mean is better than the baseline's; none where they are equal.
fn ahead(comparison: &Comparison, row: &Row) -> Option<bool> {
    let gain = comparison.direction.gain(row.mean_difference?, 0.0);
    (gain != 0.0).then_some(gain > 0.0)
}

fn resolved((first, one): (&str, Option<Verdict>), (second, other): (&str, Option<Verdict>)) -> String {
    let resolves = |verdict| matches!(verdict, Some(Verdict::Better | Verdict::Worse));
    match (resolves(one), resolves(other)) {
        (true, true) => "both resolve it: the judges contradict each other".into(),
        (true, false) => format!("resolved by {first} alone"),
        (false, true) => format!("resolved by {second} alone"),
        (false, false) => "resolved by neither".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::judged;
    use super::*;

    fn said(seeds: u64, first: f64, second: f64) -> Vec<String> {
        let entries = judged(seeds, &[("none", [0.0, 0.0]), ("repa", [first, second])]);
        disagreements("none", &["repa".into()], &entries).unwrap()
    }

    #[test]
    fn judges_of_one_mind_say_nothing() {
        assert_eq!(said(3, -0.5, -0.4), Vec::<String>::new());
    }

    #[test]
    fn opposite_orders_are_said_with_who_resolves_them() {
        let both = said(4, -0.5, 0.5);
        assert!(
            both[0].contains("judge embedded puts repa before none, judge untrained the other way"),
            "{both:?}"
        );
        assert!(both[0].contains("contradict"), "{both:?}");
        assert!(
            both.iter()
                .any(|s| s.contains("resolves repa as the best of all, judge untrained none")),
            "{both:?}"
        );
        assert!(
            both.iter().any(|s| s.starts_with("On Frechet distance at scale 1")),
            "{both:?}"
        );
        let one = said(4, -0.5, 0.003);
        assert!(one[0].contains("resolved by embedded alone"), "{one:?}");
        assert!(one.iter().any(|s| s.contains("need not be resolved")), "{one:?}");
        let neither = said(4, -0.003, 0.003);
        assert!(neither[0].contains("resolved by neither"), "{neither:?}");
    }

    #[test]
    fn two_seeds_order_nothing() {
        assert_eq!(said(2, -0.5, 0.5), Vec::<String>::new());
    }
}
