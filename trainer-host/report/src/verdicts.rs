//! The table of verdicts: the page's answer.

use sextant_records::evaluation::Evaluation;
use sextant_stats::statistics::{Interval, NoInterval, Outcome as Tested, Sample, Verdict};

use crate::content::{Measurements, Outcome, Report, Variant};
use crate::measure::{self, Entries, Measure, Quantity, Unit};
use crate::number::{count, percent, signed, signed_to, significant};
use crate::sections::{quality, speed_up as speed_ups};
use crate::seed_mean::{SeedMean, with_error};
use crate::table::{Cell, Column, Row, Table, Tone, one_line};

/// A row a variant: its score with an interval over seeds, its difference to the baseline, what is decided, and its cost.
pub fn table(report: &Report) -> Table {
    let columns = columns(report);
    let mut table = Table::new("", columns.iter().map(|(column, _)| column.clone()));
    for (index, variant) in report.variants.iter().enumerate() {
        table.rows.push(Row {
            variant: Some(index),
            cells: columns.iter().map(|(_, cells)| cells[index].clone()).collect(),
            ..Row::default()
        });
        let name = &variant.name;
        table.notes.extend(match &variant.outcome {
            Outcome::Finished(_) => None,
            Outcome::Failed { message } => Some(format!("{name} failed: {}", one_line(message))),
            Outcome::Interrupted { step } => {
                let step = count(*step);
                Some(format!(
                    "{name} was interrupted after step {step}; the same command resumes it"
                ))
            }
            Outcome::Running { step } => Some(format!("{name} is being trained, and is past step {}", count(*step))),
        });
    }
    // How to read it.
    table.notes.extend(report.verdict.as_ref().map(|verdict| {
        format!(
            "± and [ ]: {} intervals over seeds, which take three. better, worse: resolved by a paired t test after Holm’s correction; not \
             resolved: not shown to differ, and not shown to be equal.",
            percent(verdict.level)
        )
    }));
    table
}

fn columns(report: &Report) -> Vec<Entries> {
    let each = |head: Column, cell: &dyn Fn(&Variant) -> Cell| -> Entries {
        (head, report.variants.iter().map(cell).collect())
    };
    let mut columns = vec![each(Column::text("variant"), &|variant| variant.name.clone().into())];
    let name = match report.score.as_str() {
        "" => "validation loss",
        score => score,
    };
    if report.verdict.is_some() {
        columns.push(each(Column::text("verdict"), &|variant| decided(report, variant)));
    }
    columns.push(each(name.into(), &|variant| score(report, variant)));
    if let Some(verdict) = &report.verdict {
        let head = format!("difference to {}", verdict.baseline);
        columns.push(each(head.into(), &|variant| difference(report, variant)));
        if !report.speed_ups.is_empty() {
            let head = Column {
                meaning: "What the baseline trained to its end over what the variant trained to be as good for good, in steps of the last phase and \
                          in seconds of all training",
                .."speed-up in steps / time".into()
            };
            columns.push(each(head, &|variant| speed_up(report, variant)));
        }
    }
    let kernel = |e: &Evaluation| quality::first_judged(e)?.scores.kernel;
    if !name.starts_with("kernel distance") && report.evaluations().any(|e| kernel(e).is_some()) {
        let head = Column {
            meaning: "Kernel distance (KID) of samples in the first judge’s features, at each run’s chosen guidance scale; ± is the standard deviation over seeds",
            .."KID ↓".into()
        };
        columns.push(each(head, &|variant| {
            let of = SeedMean::evaluations(variant, kernel);
            of.map(|of| of.text()).into()
        }));
    }
    let seconds = |m: &Measurements| m.seconds_per_step;
    let unit = Unit::fitting(Quantity::StepTime, report.finished().map(|(.., m)| seconds(m)));
    columns.push(each(
        unit.head("time per step").into(),
        &|variant| match &variant.outcome {
            Outcome::Finished(m) => {
                let extra = m.overhead.map(|extra| format!(" ({} %)", signed_to(100.0 * extra, 1)));
                (unit.text(seconds(m)) + &extra.unwrap_or_default()).into()
            }
            _ => Cell::nothing(),
        },
    ));
    let costs: [(Quantity, Measure); 3] = [
        (
            Quantity::Operations,
            ("operations per step", |m| Some(m.operations?.step())),
        ),
        (Quantity::Time, ("total time", |m| Some(m.total_seconds))),
        (
            Quantity::Bytes,
            ("memory", |m| m.peak_memory_bytes.map(|bytes| bytes as f64)),
        ),
    ];
    columns.extend(
        costs
            .iter()
            .flat_map(|(quantity, cost)| measure::columns(report, *quantity, &[*cost])),
    );
    columns
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
    let sample = Sample::new(of.iter().map(|(seed, score)| (*seed, *score)));
    match sample.ok().and_then(|sample| sample.interval().ok()) {
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

/// The verdict as a value.
fn decided(report: &Report, variant: &Variant) -> Cell {
    match &variant.outcome {
        Outcome::Failed { .. } => return Cell::new("failed", Tone::Bad),
        Outcome::Interrupted { .. } => return Cell::new("interrupted", Tone::Bad),
        Outcome::Running { .. } => return Cell::new("in training", Tone::Quiet),
        Outcome::Finished(_) => {}
    }
    let Some(verdict) = &report.verdict else {
        return Cell::nothing();
    };
    let mut cell = match verdict.row(&variant.name) {
        _ if verdict.baseline == variant.name => Cell::new("baseline", Tone::Quiet),
        Some(row) => decision(&row.outcome),
        None => return Cell::nothing(),
    };
    if verdict.best.as_ref() == Some(&variant.name) {
        cell.text += ", best";
    }
    cell
}

/// The decision of a test: better, worse, not resolved, or too little to decide.
pub fn decision(outcome: &Tested) -> Cell {
    let (words, tone) = match outcome {
        Tested::Tested(tested) => match tested.verdict {
            Verdict::Better => ("better", Tone::Good),
            Verdict::Worse => ("worse", Tone::Bad),
            Verdict::NotResolved => ("not resolved", Tone::Quiet),
        },
        Tested::Unranked(NoInterval::TooFewSeeds { .. }) => ("too few seeds", Tone::Quiet),
        Tested::Unranked(NoInterval::NoSpread { .. }) => ("no spread", Tone::Quiet),
    };
    Cell::new(words, tone)
}

fn speed_up(report: &Report, variant: &Variant) -> Cell {
    let Some(of) = report.speed_ups.get(&variant.name) else {
        return Cell::nothing();
    };
    match (speed_ups::ratio(&of.steps), speed_ups::ratio(&of.seconds)) {
        (Some(steps), Some(seconds)) => format!("{steps} / {seconds}").into(),
        _ => Cell::new("not reached", Tone::Quiet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn column(report: &Report, name: &str) -> Vec<String> {
        let table = table(report);
        let mut columns = table.columns.iter();
        let at = columns.position(|column| column.name.starts_with(name)).unwrap();
        table.rows.iter().map(|row| row.cells[at].text.clone()).collect()
    }

    #[test]
    fn three_seeds_have_intervals_and_verdicts_and_fewer_differences_alone() {
        let report = fixture::seeded(4);
        assert_eq!(column(&report, "verdict"), ["baseline", "better, best", "not resolved"]);
        let scores = column(&report, "validation loss");
        assert!(scores.iter().all(|cell| cell.contains(" ± ")), "{scores:?}");
        let differences = column(&report, "difference to none");
        assert_eq!(differences[0], "—");
        assert!(differences[1].starts_with("-0.0500 [-0.05"), "{differences:?}");
        for (seeds, difference) in [(1, "-0.0490"), (2, "-0.0501")] {
            let report = fixture::seeded(seeds);
            assert_eq!(
                column(&report, "verdict"),
                ["baseline", "too few seeds", "too few seeds"]
            );
            let scores = column(&report, "validation loss");
            assert!(scores.iter().all(|cell| !cell.contains('±')), "{scores:?}");
            assert_eq!(column(&report, "difference")[1], difference);
        }
    }

    #[test]
    fn a_kernel_distance_that_was_not_measured_has_no_column() {
        let has = |report: &Report| {
            table(report)
                .columns
                .iter()
                .any(|column| column.name.starts_with("KID"))
        };
        assert!(has(&fixture::example()));
        assert!(!has(&fixture::against_statistics(3)));
    }

    #[test]
    fn a_failed_variant_says_why() {
        let report = fixture::example();
        assert_eq!(column(&report, "verdict").last().unwrap(), "failed");
        assert!(table(&report).notes[0].starts_with("broken failed: seed 0: step 412"));
        let Table { notes, columns, .. } = table(&fixture::hostile());
        assert!(
            notes[0].contains("failed: step 7: [31mno </script> teacher"),
            "{notes:?}"
        );
        assert!(notes[1].contains("interrupted after step 12,000"), "{notes:?}");
        assert!(
            columns.iter().all(|column| column.name != "verdict"),
            "without a baseline"
        );
    }
}
