//! Speed-up: how much sooner a variant is as good as the baseline at its end.

use sextant_stats::statistics::{SpeedUp, SpeedUpOutcome};

use crate::content::{Report, SpeedUps};
use crate::measure::{Quantity, Unit};
use crate::number::significant;
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table, Tone};

/// A way to count a training: its name, its unit, how to read it off.
type Counted = (&'static str, Quantity, fn(&SpeedUps) -> Option<&SpeedUp>);

const COUNTED: [Counted; 4] = [
    ("steps of the last phase", Quantity::Count, |of| Some(&of.steps)),
    ("images, earlier phases on the bill", Quantity::Count, |of| {
        of.images.as_ref()
    }),
    (
        "operations, earlier phases and encoders on the bill",
        Quantity::Operations,
        |of| of.operations.as_ref(),
    ),
    (
        "seconds of training, earlier phases on the bill",
        Quantity::Time,
        |of| Some(&of.seconds),
    ),
];

/// The section; none where no variant was compared with a baseline.
pub fn section(report: &Report) -> Option<Section> {
    let baseline = &report.verdict.as_ref()?.baseline;
    let words = format!(
        "What a variant needs to reach the final validation loss of {baseline} with the same seed and to stay there, interpolated between evaluations; and \
         what {baseline} spent to its end over that, a geometric mean over seeds with its interval. The last column is the floor: the same ratio for the \
         baseline against itself, above 1 where it had been as good before its end."
    );
    let tables = COUNTED.iter().map(|counted| Block::Table(table(report, counted)));
    Section::new(
        "speed-up",
        format!("Speed-up to the loss of {baseline}"),
        [Block::Words(words)].into_iter().chain(tables).collect(),
    )
}

fn table(report: &Report, (name, quantity, read): &Counted) -> Table {
    let of = report.variants.iter().enumerate();
    let of: Vec<(usize, &str, &SpeedUp)> = of
        .filter_map(|(i, v)| Some((i, v.name.as_str(), read(report.speed_ups.get(&v.name)?)?)))
        .collect();
    let needed = of.iter().filter_map(|(_, _, speed_up)| match &speed_up.outcome {
        SpeedUpOutcome::Reached { needed, .. } => Some(needed.value),
        _ => None,
    });
    let unit = Unit::fitting(*quantity, needed);
    let heads = [
        Column::text("variant"),
        unit.head("needed").into(),
        "speed-up".into(),
        "interval".into(),
        "baseline itself".into(),
    ];
    Table::new(format!("Counted in {name}"), heads)
        .with(of.iter().map(|(i, name, of)| Row::of(*i, name, cells(of, &unit))))
}

fn cells(of: &SpeedUp, unit: &Unit) -> [Cell; 4] {
    let factor = |value: f64| format!("{}×", significant(value, 3, 2));
    let only = |words: String| {
        [
            Cell::new(words, Tone::Quiet),
            Cell::nothing(),
            Cell::nothing(),
            Cell::nothing(),
        ]
    };
    match &of.outcome {
        SpeedUpOutcome::Reached {
            needed,
            ratio,
            baseline_itself,
            bound,
        } => {
            let (most, least) = if *bound { ("≤ ", "≥ ") } else { ("", "") };
            let interval = match ratio.interval {
                Ok(interval) => format!("{} to {}", factor(interval.low), factor(interval.high)).into(),
                Err(reason) => Cell::new(format!("none: {reason}"), Tone::Quiet),
            };
            [
                format!("{most}{}", unit.text(needed.value)).into(),
                format!("{least}{}", factor(ratio.value)).into(),
                interval,
                factor(*baseline_itself).into(),
            ]
        }
        SpeedUpOutcome::NotReached { reached, seeds } => only(format!("not reached ({reached} of {seeds} seeds)")),
        SpeedUpOutcome::Undefined(reason) => only(format!("none: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn said(report: &Report) -> String {
        format!("{:?}", section(report).unwrap())
    }

    #[test]
    fn reached_and_not_reached_are_said_with_numbers_and_floors() {
        let section = section(&fixture::example()).unwrap();
        assert_eq!(section.tables().count(), 4);
        assert!(
            section
                .tables()
                .all(|table| table.rows.len() == 3 && table.rows.iter().all(|row| row.cells.len() == 5))
        );
        let said = said(&fixture::example());
        assert!(
            said.contains("not reached (0 of 3 seeds)") && said.contains("× to "),
            "{said}"
        );
        assert!(super::section(&fixture::hostile()).is_none());
    }

    #[test]
    fn one_seed_has_a_ratio_and_says_why_it_has_no_interval() {
        let said = said(&fixture::example_with(1));
        assert!(
            said.contains("×") && said.contains("none: one seed; 3 are needed"),
            "{said}"
        );
    }
}
