//! What a comparison can and cannot tell, in words that its numbers support.

mod samples;

use super::control::Control;
use crate::{self as report, Measurements, Outcome, Report, significant};
use sextant_stats::statistics::{Comparison, MIN_SEEDS, Row, SpeedUpOutcome, Tested, Verdict};

/// What the words need beside the report.
#[derive(Debug, Default)]
pub struct Background {
    /// Variants that rule something out.
    pub controls: Vec<Control>,
    /// For each control that is longer: the guided variants against it, by the primary score.
    pub against_longer: Vec<Comparison>,
    /// What went wrong, a sentence each.
    pub remarks: Vec<String>,
}

/// The sentences over the table; an empty line parts paragraphs. What a section of the page shows in full is named here once.
pub fn summary(report: &Report, background: &Background) -> String {
    let finished: Vec<(&str, &Measurements)> = report
        .variants
        .iter()
        .filter_map(|variant| match &variant.outcome {
            Outcome::Finished(measured) => Some((variant.name.as_str(), measured)),
            _ => None,
        })
        .collect();
    let mut paragraphs = vec![vec![scope(report, &finished)]];
    if !finished.is_empty() {
        paragraphs[0].extend(primary(report, &finished));
        let mut of_samples = vec![samples::quality(report)];
        of_samples.extend(samples::copies(report));
        let reached = sooner(report).into_iter().chain(controls(report, background));
        let costs = cost(report, &finished).into_iter();
        paragraphs.extend([of_samples, reached.collect(), costs.collect()]);
    }
    paragraphs.push(background.remarks.clone());
    paragraphs.retain(|sentences| !sentences.is_empty());
    let paragraphs: Vec<String> = paragraphs.iter().map(|sentences| sentences.join(" ")).collect();
    paragraphs.join("\n\n")
}

/// What was compared.
fn scope(report: &Report, finished: &[(&str, &Measurements)]) -> String {
    let Some((only, _)) = finished.first() else {
        return "No variant has finished; nothing can be compared.".into();
    };
    let (least, most) = range(finished.iter().map(|(_, measured)| measured.steps as f64)).unwrap_or_default();
    let steps = match (least == most, most == 1.0) {
        (true, true) => "1 step".to_owned(),
        (true, false) => format!("{least} steps"),
        (false, _) => format!("{least} to {most} steps"),
    };
    let seeds = match seeds_each(report, finished) {
        (1, 1) => "one seed".to_owned(),
        (fewest, most) if fewest == most => format!("{most} seeds"),
        (fewest, most) => format!("{fewest} to {most} seeds"),
    };
    let unfinished = match report.variants.len() - finished.len() {
        0 => String::new(),
        rest => format!(" {rest} of {} variants did not finish.", report.variants.len()),
    };
    match finished.len() {
        1 => format!("One variant, {only}, finished {steps} with {seeds}.{unfinished}"),
        n => format!(
            "{n} variants of {steps}, each with {seeds}.{unfinished} {}",
            report.shared
        ),
    }
}

/// The fewest and the most seeds that a finished variant was run with.
fn seeds_each(report: &Report, finished: &[(&str, &Measurements)]) -> (usize, usize) {
    let runs = |name: &str| report.runs.iter().filter(|run| run.variant == name).count();
    let counts = finished.iter().map(|(name, _)| runs(name));
    (
        counts.clone().min().unwrap_or_default(),
        counts.max().unwrap_or_default(),
    )
}

/// What the primary score supports.
fn primary(report: &Report, finished: &[(&str, &Measurements)]) -> Vec<String> {
    let Some(verdict) = &report.verdict else {
        let losses = range(finished.iter().map(|(_, measured)| measured.validation_loss));
        let losses = losses.map(|(low, high)| match low == high {
            true => format!("The validation loss is {}; ", score(low)),
            false => format!("Validation losses lie between {} and {}; ", score(low), score(high)),
        });
        let nothing = "without a variant to compare with the unguided baseline, this ranks nothing.";
        return vec![losses.unwrap_or_default() + nothing];
    };
    let name = match report.chosen_afterwards {
        true => format!(
            "{}, chosen as the primary score after the runs and not before",
            verdict.score
        ),
        false => verdict.score.clone(),
    };
    let seeds = verdict.rows.iter().map(|row| row.seeds).max().unwrap_or_default();
    if seeds < MIN_SEEDS {
        return vec![unranked(report, verdict, &name, finished)];
    }
    let groups = [
        (Verdict::Better, "resolved as better than"),
        (Verdict::Worse, "resolved as worse than"),
        (Verdict::NotResolved, "not resolved from"),
    ];
    let mut parts: Vec<String> = Vec::new();
    for (group, words) in groups {
        let members: Vec<String> = verdict.rows.iter().filter_map(|row| member(row, group)).collect();
        if !members.is_empty() {
            let is = if members.len() == 1 { "is" } else { "are" };
            parts.push(format!("{} {is} {words} {}", members.join(", "), verdict.baseline));
        }
    }
    let untested: Vec<String> = verdict
        .rows
        .iter()
        .filter(|row| row.verdict().is_none())
        .map(|r| r.name.clone())
        .collect();
    if !untested.is_empty() {
        parts.push(format!("{} cannot be tested", untested.join(", ")));
    }
    let level = verdict.level.value() * 100.0;
    let tested = verdict.rows.iter().any(|row| row.verdict().is_some());
    let how = match tested {
        true => format!(" (mean difference with its {level} % interval; resolved means after Holm's correction)"),
        false => String::new(),
    };
    let mut sentences = vec![format!("By {name}, {}{how}.", parts.join("; "))];
    let unranked = || "Too few seeds are common to all variants for a ranking.".to_owned();
    sentences.push(report::best(verdict).unwrap_or_else(unranked));
    sentences
}

/// `repa (-0.012, -0.015 to -0.009)`, if the row has this verdict.
fn member(row: &Row, group: Verdict) -> Option<String> {
    let sextant_stats::statistics::Outcome::Tested(Tested { verdict, interval, .. }) = row.outcome else {
        return None;
    };
    let difference = row.mean_difference?;
    let name = &row.name;
    (verdict == group).then(|| {
        format!(
            "{name} ({}, {} to {})",
            signed(difference),
            signed(interval.low),
            signed(interval.high)
        )
    })
}

/// What one or two seeds show, which is no order.
fn unranked(report: &Report, verdict: &Comparison, name: &str, finished: &[(&str, &Measurements)]) -> String {
    let losses = finished.iter().map(|(_, measured)| measured.validation_loss);
    if verdict.rows.iter().all(|row| row.seeds == 0) {
        return format!(
            "No variant has {name} with a seed of which {} has it: this ranks nothing.",
            verdict.baseline
        );
    }
    // Another score than the loss has no values here, and means over other seeds do not compare: only differences do.
    let (fewest, most) = seeds_each(report, finished);
    let spread = match (verdict.score.as_str(), range(losses)) {
        ("validation loss", Some((low, high))) if finished.len() > 1 && fewest == most => format!(
            "Their mean validation losses lie between {} and {}, {:.1} % apart",
            score(low),
            score(high),
            (high / low - 1.0) * 100.0
        ),
        _ => {
            let differences = verdict.rows.iter().filter_map(|row| row.mean_difference);
            let (low, high) = range(differences).unwrap_or_default();
            let between = match low == high {
                true => format!("is {}", signed(low)),
                false => format!("lies between {} and {}", signed(low), signed(high)),
            };
            format!("The mean difference to {} in {name} {between}", verdict.baseline)
        }
    };
    let why = match report.seeds.len() {
        1 => "one seed cannot tell such a difference from chance: this comparison ranks nothing.".to_owned(),
        2 => "Two seeds rank nothing.".to_owned(),
        _ => format!(
            "fewer than {MIN_SEEDS} seeds are common with {}: this ranks nothing.",
            verdict.baseline
        ),
    };
    let join = if why.starts_with("Two") { ". " } else { "; " };
    format!("{spread}{join}{why}")
}

/// How much sooner variants are as good as the baseline at its end, in steps; only where it was reached with every seed of at
/// least three.
fn sooner(report: &Report) -> Option<String> {
    let baseline = &report.verdict.as_ref()?.baseline;
    let mut reached = Vec::new();
    let mut not = Vec::new();
    for variant in &report.variants {
        match report.speed_ups.get(&variant.name).map(|of| of.steps.outcome) {
            Some(SpeedUpOutcome::Reached {
                ratio,
                bound,
                baseline_itself,
                ..
            }) => {
                let Ok(interval) = ratio.interval else { continue };
                let least = if bound { "at least " } else { "" };
                let range = format!(
                    "{least}{} times, {} to {}",
                    significant(ratio.value, 3, 2),
                    significant(interval.low, 3, 2),
                    significant(interval.high, 3, 2)
                );
                // A baseline that was as good before its end is faster than itself by that much.
                reached.push(match interval.low > baseline_itself.max(1.0) {
                    true => format!("{} in fewer steps ({range})", variant.name),
                    false => format!("{} at a pace that is not resolved from its own ({range})", variant.name),
                });
            }
            Some(SpeedUpOutcome::NotReached { seeds, .. }) if seeds >= MIN_SEEDS => not.push(variant.name.clone()),
            _ => {}
        }
    }
    let missed = match not.is_empty() {
        true => String::new(),
        false => format!("{} did not reach it with every seed", not.join(", ")),
    };
    match (reached.is_empty(), not.is_empty()) {
        (true, true) => None,
        (false, _) => {
            let missed = if missed.is_empty() {
                missed
            } else {
                format!("; {missed}")
            };
            Some(format!(
                "{baseline}'s final validation loss is reached for good, in steps of the last phase, by {}{missed}.",
                reached.join(", ")
            ))
        }
        (true, false) => Some(format!("Of {baseline}'s final validation loss: {missed}.")),
    }
}

/// What the controls say by the primary score. Untested ones say nothing.
fn controls(report: &Report, background: &Background) -> Option<String> {
    let verdict = report.verdict.as_ref()?;
    let mut parts = Vec::new();
    for control in &background.controls {
        let Some(of) = verdict.row(&control.name).and_then(Row::verdict) else {
            continue;
        };
        parts.push(format!(
            "{} ({}) is {}",
            control.name,
            control.what,
            against(of, &verdict.baseline)
        ));
    }
    for comparison in &background.against_longer {
        for group in [Verdict::Better, Verdict::Worse, Verdict::NotResolved] {
            let rows = comparison.rows.iter().filter(|row| row.verdict() == Some(group));
            let names: Vec<&str> = rows.map(|row| row.name.as_str()).collect();
            if !names.is_empty() {
                let is = if names.len() == 1 { "is" } else { "are" };
                parts.push(format!(
                    "{} {is} {}",
                    names.join(", "),
                    against(group, &comparison.baseline)
                ));
            }
        }
    }
    (!parts.is_empty()).then(|| format!("Controls: {}.", parts.join("; ")))
}

fn against(verdict: Verdict, whom: &str) -> String {
    match verdict {
        Verdict::Better => format!("better than {whom}"),
        Verdict::Worse => format!("worse than {whom}"),
        Verdict::NotResolved => format!("not resolved from {whom}"),
    }
}

/// What a step costs against the baseline's. Seconds are of a machine that may have done other things too, so how far seeds
/// differ is said beside them; operations are exact.
fn cost(report: &Report, finished: &[(&str, &Measurements)]) -> Option<String> {
    let baseline = report.verdict.as_ref().map(|verdict| verdict.baseline.as_str());
    let step = |measured: &Measurements| measured.operations.map(|operations| operations.step());
    let base = finished.iter().find(|(name, _)| Some(*name) == baseline);
    let base = base.and_then(|(_, measured)| step(measured)).filter(|base| *base > 0.0);
    let costs = finished.iter().filter_map(|(name, measured)| {
        let time = measured.overhead? * 100.0;
        let operations = step(measured).zip(base);
        let operations = operations.map(|(step, base)| format!("{:+.0} % operations, ", (step / base - 1.0) * 100.0));
        let seeds = overhead_over_seeds(report, name).unwrap_or_default();
        let before = match measured.earlier_phases_seconds {
            s if s > 0.0 => format!(" after {} of earlier phases", sextant_records::duration(s)),
            _ => String::new(),
        };
        let operations = operations.unwrap_or_default();
        Some(format!("{name} {operations}{time:+.0} % time{seeds}{before}"))
    });
    let costs: Vec<String> = costs.collect();
    let baseline = baseline.unwrap_or("the baseline");
    (!costs.is_empty()).then(|| {
        format!(
            "Cost of a step against {baseline}'s, time on this machine: {}.",
            costs.join("; ")
        )
    })
}

/// ` (-25 to +75 over seeds)`, where they differ.
fn overhead_over_seeds(report: &Report, name: &str) -> Option<String> {
    let runs = report.runs.iter().filter(|run| run.variant == name);
    let overheads = runs.filter_map(|run| match &run.outcome {
        Outcome::Finished(measured) => measured.overhead,
        _ => None,
    });
    let (low, high) = range(overheads.map(|overhead| overhead * 100.0))?;
    (low != high).then(|| format!(" ({low:+.0} to {high:+.0} over seeds)"))
}

/// The least and the greatest; none of none.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

fn score(value: f64) -> String {
    significant(value, 4, 4)
}

fn signed(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(value, 3, 5))
}

#[cfg(test)]
mod tests;
