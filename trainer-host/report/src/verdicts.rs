//! The table of verdicts: the page's answer.

use sextant_stats::statistics::{Interval, Outcome as Tested, Sample, SpeedUp, SpeedUpOutcome, Verdict};

use crate::content::{Measurements, Outcome, Report, Variant};
use crate::measure::{Quantity, Unit};
use crate::number::{count, percent, signed, signed_to, significant};
use crate::sections::quality;
use crate::seed_mean::{SeedMean, with_error};
use crate::table::{Cell, Column, Row, Table, Tone, one_line};

/// A row a variant: its score with an interval over seeds, its difference to the baseline, what is decided, and its cost.
pub fn table(report: &Report) -> Table {
    let columns = columns(report);
    let mut table = Table::new("", columns.iter().map(|(column, _)| column.clone()));
    for (index, variant) in report.variants.iter().enumerate() {
        table.rows.push(Row {
            variant: Some(index),
            cells: columns.iter().map(|(_, cell)| cell(variant)).collect(),
            ..Row::default()
        });
        match &variant.outcome {
            Outcome::Failed { message } => table
                .notes
                .push(format!("{} failed: {}", variant.name, one_line(message))),
            Outcome::Interrupted { step } => table.notes.push(format!(
                "{} was interrupted after step {}; the same command resumes it",
                variant.name,
                count(*step)
            )),
            Outcome::Finished(_) => {}
        }
    }
    table.notes.extend(legend(report));
    table
}

type Read<'a> = Box<dyn Fn(&Variant) -> Cell + 'a>;

fn columns(report: &Report) -> Vec<(Column, Read<'_>)> {
    let finished: Vec<&Measurements> = report.finished().map(|(.., measured)| measured).collect();
    let mut columns: Vec<(Column, Read)> =
        vec![(Column::text("variant"), Box::new(|variant| variant.name.clone().into()))];
    let name = if report.score.is_empty() {
        "validation loss"
    } else {
        &report.score
    };
    if report.verdict.is_some() {
        columns.push((Column::text("verdict"), Box::new(|variant| decided(report, variant))));
    }
    columns.push((name.into(), Box::new(|variant| score(report, variant))));
    if let Some(verdict) = &report.verdict {
        let head = format!("difference to {}", verdict.baseline);
        columns.push((head.into(), Box::new(|variant| difference(report, variant))));
        if !report.speed_ups.is_empty() {
            let head = Column {
                meaning: "What the baseline trained to its end over what the variant trained to be as good for good, in steps of the last phase and \
                          in seconds of all training",
                .."speed-up in steps / time".into()
            };
            columns.push((head, Box::new(|variant| speed_up(report, variant))));
        }
    }
    if !name.starts_with("kernel distance") && report.evaluations().any(|e| quality::first_judged(e).is_some()) {
        let kernel = |variant: &Variant| {
            let of = SeedMean::evaluations(variant, |e| Some(quality::first_judged(e)?.scores.kernel));
            of.map(|of| of.text()).into()
        };
        let head = Column {
            meaning: "Kernel distance (KID) of samples in the first judge’s features, at each run’s chosen guidance scale; ± is the standard deviation over seeds",
            .."KID ↓".into()
        };
        columns.push((head, Box::new(kernel)));
    }
    let step = Unit::fitting(Quantity::StepTime, finished.iter().map(|m| m.seconds_per_step));
    let head = step.head("time per step");
    let time = move |variant: &Variant| match &variant.outcome {
        Outcome::Finished(m) => match m.overhead {
            Some(extra) => format!("{} ({} %)", step.text(m.seconds_per_step), Unit::EXTRA.text(extra)).into(),
            None => step.text(m.seconds_per_step).into(),
        },
        _ => Cell::nothing(),
    };
    columns.push((head.into(), Box::new(time)));
    measured(
        &mut columns,
        &finished,
        "operations per step",
        Quantity::Operations,
        |m| Some(m.operations?.step()),
    );
    measured(&mut columns, &finished, "total time", Quantity::Time, |m| {
        Some(m.total_seconds)
    });
    measured(&mut columns, &finished, "memory", Quantity::Bytes, |m| {
        m.peak_memory_bytes.map(|bytes| bytes as f64)
    });
    columns
}

/// A column of what was measured, if it was of any variant.
fn measured(
    columns: &mut Vec<(Column, Read<'_>)>,
    finished: &[&Measurements],
    name: &str,
    quantity: Quantity,
    value: fn(&Measurements) -> Option<f64>,
) {
    let values: Vec<f64> = finished.iter().filter_map(|m| value(m)).collect();
    if values.is_empty() {
        return;
    }
    let unit = Unit::fitting(quantity, values);
    let head = unit.head(name);
    let cell = move |variant: &Variant| match &variant.outcome {
        Outcome::Finished(m) => value(m).map(|value| unit.text(value)).into(),
        _ => Cell::nothing(),
    };
    columns.push((head.into(), Box::new(cell)));
}

/// The mean over seeds with its interval, which takes three of them.
fn score(report: &Report, variant: &Variant) -> Cell {
    let Some(of) = report.scores.get(&variant.name).filter(|of| !of.is_empty()) else {
        return match &variant.outcome {
            // Without scores of their own, as many digits as one run has.
            Outcome::Finished(m) if report.scores.is_empty() => significant(m.validation_loss, 4, 4).into(),
            _ => Cell::nothing(),
        };
    };
    let mean = of.values().sum::<f64>() / of.len() as f64;
    let interval = Sample::new(of.iter().map(|(seed, score)| (*seed, *score)))
        .ok()
        .and_then(|sample| sample.interval().ok());
    match interval {
        Some(interval) => with_error(mean, Some(interval.half_width())).into(),
        None => significant(mean, 4, 4).into(),
    }
}

fn difference(report: &Report, variant: &Variant) -> Cell {
    let row = report.verdict.as_ref().and_then(|verdict| verdict.row(&variant.name));
    let Some((row, difference)) = row.and_then(|row| Some((row, row.mean_difference?))) else {
        return Cell::nothing();
    };
    match &row.outcome {
        Tested::Tested(tested) => {
            // All three to the second digit of the interval.
            let magnitude = tested.interval.half_width().log10().floor();
            let decimals = (1.0 - magnitude).clamp(0.0, 6.0) as usize;
            let text = |value: f64| signed_to(value, decimals);
            let Interval { low, high, .. } = tested.interval;
            format!("{} [{}, {}]", text(difference), text(low), text(high)).into()
        }
        Tested::Unranked(_) => signed(difference).into(),
    }
}

/// `low to high` with signs.
pub fn range(interval: &Interval) -> String {
    format!("{} to {}", signed(interval.low), signed(interval.high))
}

/// The verdict as a value.
fn decided(report: &Report, variant: &Variant) -> Cell {
    match &variant.outcome {
        Outcome::Failed { .. } => return Cell::new("failed", Tone::Bad),
        Outcome::Interrupted { .. } => return Cell::new("interrupted", Tone::Bad),
        Outcome::Finished(_) => {}
    }
    let Some(verdict) = &report.verdict else {
        return Cell::nothing();
    };
    let best = if verdict.best.as_ref() == Some(&variant.name) {
        ", best"
    } else {
        ""
    };
    if verdict.baseline == variant.name {
        return Cell::new(format!("baseline{best}"), Tone::Quiet);
    }
    match verdict.row(&variant.name).map(|row| &row.outcome) {
        Some(outcome) => {
            let cell = decision(outcome);
            Cell::new(cell.text + best, cell.tone)
        }
        None => Cell::nothing(),
    }
}

/// The decision of a test: better, worse, not resolved, or too little to decide.
pub fn decision(outcome: &Tested) -> Cell {
    use sextant_stats::statistics::NoInterval;
    match outcome {
        Tested::Tested(tested) => match tested.verdict {
            Verdict::Better => Cell::new("better", Tone::Good),
            Verdict::Worse => Cell::new("worse", Tone::Bad),
            Verdict::NotResolved => Cell::new("not resolved", Tone::Quiet),
        },
        Tested::Unranked(NoInterval::TooFewSeeds { .. }) => Cell::new("too few seeds", Tone::Quiet),
        Tested::Unranked(NoInterval::NoSpread { .. }) => Cell::new("no spread", Tone::Quiet),
    }
}

fn speed_up(report: &Report, variant: &Variant) -> Cell {
    let Some(of) = report.speed_ups.get(&variant.name) else {
        return Cell::nothing();
    };
    let ratio = |of: &SpeedUp| match &of.outcome {
        SpeedUpOutcome::Reached { ratio, bound, .. } => Some(format!(
            "{}{}×",
            if *bound { "≥ " } else { "" },
            significant(ratio.value, 3, 2)
        )),
        _ => None,
    };
    match (ratio(&of.steps), ratio(&of.seconds)) {
        (Some(steps), Some(seconds)) => format!("{steps} / {seconds}").into(),
        _ => Cell::new("not reached", Tone::Quiet),
    }
}

/// A line on how to read the table.
fn legend(report: &Report) -> Vec<String> {
    let Some(verdict) = &report.verdict else {
        return Vec::new();
    };
    let level = percent(verdict.level);
    vec![format!(
        "± and [ ]: {level} intervals over seeds, which take three. better, worse: resolved by a paired t test after Holm’s correction; not \
         resolved: not shown to differ, and not shown to be equal."
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn column(report: &Report, name: &str) -> Vec<String> {
        let table = table(report);
        let at = table
            .columns
            .iter()
            .position(|column| column.name.starts_with(name))
            .unwrap();
        table.rows.iter().map(|row| row.cells[at].text.clone()).collect()
    }

    #[test]
    fn four_seeds_have_intervals_and_verdicts() {
        let report = fixture::seeded(4);
        assert_eq!(column(&report, "verdict"), ["baseline", "better, best", "not resolved"]);
        assert!(
            column(&report, "validation loss")
                .iter()
                .all(|cell| cell.contains(" ± "))
        );
        let differences = column(&report, "difference to none");
        assert_eq!(differences[0], "—");
        assert!(differences[1].starts_with("-0.0500 [-0.05"), "{differences:?}");
    }

    #[test]
    fn fewer_than_three_seeds_have_differences_and_no_verdict() {
        for seeds in [1, 2] {
            let report = fixture::seeded(seeds);
            assert_eq!(
                column(&report, "verdict"),
                ["baseline", "too few seeds", "too few seeds"]
            );
            assert!(
                column(&report, "validation loss")
                    .iter()
                    .all(|cell| !cell.contains('±'))
            );
            assert_eq!(
                column(&report, "difference")[1],
                if seeds == 1 { "-0.0490" } else { "-0.0501" }
            );
        }
    }

    #[test]
    fn a_failed_variant_says_why() {
        let report = fixture::example();
        assert_eq!(column(&report, "verdict").last().unwrap(), "failed");
        assert!(table(&report).notes[0].starts_with("broken failed: step 412"));
        let hostile = table(&fixture::hostile());
        assert!(
            hostile.notes[0].contains("failed: step 7: [31mno </script> teacher"),
            "{:?}",
            hostile.notes
        );
        assert!(hostile.notes[1].contains("interrupted after step 12,000"));
        assert!(
            hostile.columns.iter().all(|column| column.name != "verdict"),
            "without a baseline"
        );
    }
}
