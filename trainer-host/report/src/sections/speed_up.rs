//! Speed-up: how much sooner a variant is as good as the baseline at its end.

use sextant_stats::statistics::{SpeedUp, SpeedUpOutcome};

use crate::content::{Report, SpeedUps};
use crate::measure::Unit;
use crate::number::significant;
use crate::section::{Block, Section};
use crate::spent::Spent;
use crate::table::{Cell, Column, Row, Table, Tone};

/// A way to count a training, and how to read its speed-up off.
type Counted = (Spent, fn(&SpeedUps) -> Option<&SpeedUp>);

const COUNTED: [Counted; 4] = [
    (Spent::Steps, |of| Some(&of.steps)),
    (Spent::Images, |of| of.images.as_ref()),
    (Spent::Operations, |of| of.operations.as_ref()),
    (Spent::Time, |of| Some(&of.seconds)),
];

/// The section; none where no variant was compared with a baseline.
pub fn section(report: &Report) -> Option<Section> {
    let baseline = &report.verdict.as_ref()?.baseline;
    let words = format!(
        "What {baseline} spent to its end over what a variant needs to reach the final validation loss of {baseline} with the same seed and to stay there, \
         interpolated between evaluations: a geometric mean over seeds, with its interval where there are three, and what was needed. Earlier phases are on \
         the bill of everything but steps, encoders on that of operations. The last column is the floor: the same ratio in steps for {baseline} against \
         itself, above 1 where it had been as good before its end."
    );
    let blocks = vec![Block::Words(words), Block::Table(table(report))];
    Section::new("speed-up", format!("Speed-up to the loss of {baseline}"), blocks)
}

fn table(report: &Report) -> Table {
    let variants = report.variants.iter().enumerate();
    let of: Vec<(usize, &str, &SpeedUps)> = variants
        .filter_map(|(i, v)| Some((i, v.name.as_str(), report.speed_ups.get(&v.name)?)))
        .collect();
    let units = COUNTED.map(|(spent, read)| {
        let all = of.iter().filter_map(|(.., of)| needed(read(of)?));
        Unit::fitting(spent.quantity(), all)
    });
    let rows = of.iter().map(|(i, name, of)| {
        let counted = COUNTED.iter().zip(&units);
        let cells = counted.map(|((_, read), unit)| read(of).map_or_else(Cell::nothing, |of| cell(of, unit)));
        let floor = match &of.steps.outcome {
            SpeedUpOutcome::Reached { baseline_itself, .. } => times(*baseline_itself).into(),
            _ => Cell::nothing(),
        };
        Row::of(*i, name, cells.chain([floor]))
    });
    let heads = COUNTED.map(|(spent, _)| Column::from(format!("in {}", spent.name())));
    let heads = [Column::text("variant")].into_iter().chain(heads);
    Table::new("", heads.chain(["baseline itself".into()])).with(rows)
}

fn needed(of: &SpeedUp) -> Option<f64> {
    match &of.outcome {
        SpeedUpOutcome::Reached { needed, .. } => Some(needed.value),
        _ => None,
    }
}

fn cell(of: &SpeedUp, unit: &Unit) -> Cell {
    let (
        Some(text),
        SpeedUpOutcome::Reached {
            ratio, needed, bound, ..
        },
    ) = (ratio(of), &of.outcome)
    else {
        let words = match &of.outcome {
            SpeedUpOutcome::NotReached { reached, seeds } => format!("not reached ({reached} of {seeds} seeds)"),
            SpeedUpOutcome::Undefined(reason) => format!("none: {reason}"),
            SpeedUpOutcome::Reached { .. } => String::new(),
        };
        return Cell::new(words, Tone::Quiet);
    };
    let interval = ratio.interval.map(|interval| {
        let ends = [interval.low, interval.high].map(|end| significant(end, 3, 2));
        format!(" [{}]", ends.join(", "))
    });
    let most = if *bound { "≤ " } else { "" };
    let needed = format!("{most}{} {}", unit.text(needed.value), unit.name);
    format!("{text}{} after {}", interval.unwrap_or_default(), needed.trim_end()).into()
}

/// The ratio in words; none where the loss is not reached.
pub fn ratio(of: &SpeedUp) -> Option<String> {
    match &of.outcome {
        SpeedUpOutcome::Reached { ratio, bound, .. } => {
            let least = if *bound { "≥ " } else { "" };
            Some(format!("{least}{}", times(ratio.value)))
        }
        _ => None,
    }
}

fn times(ratio: f64) -> String {
    format!("{}×", significant(ratio, 3, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn reached_and_not_reached_are_said_with_numbers_and_floors() {
        let table = table(&fixture::example());
        assert!(
            table.rows.len() == 3 && table.rows.iter().all(|row| row.cells.len() == 6),
            "{table:?}"
        );
        let [repa, .., single] = table.rows.as_slice() else {
            panic!("{table:?}")
        };
        assert!(
            repa.cells[1].text.contains("× [") && repa.cells[1].text.contains("] after "),
            "{repa:?}"
        );
        assert!(
            repa.cells[3].text.ends_with("TFLOP") && repa.cells[5].text.ends_with('×'),
            "{repa:?}"
        );
        assert_eq!(single.cells[1].text, "not reached (0 of 3 seeds)");
        let one_seed = super::table(&fixture::example_with(1));
        let ratio = &one_seed.rows[0].cells[1].text;
        assert!(ratio.contains("× after ") && !ratio.contains('['), "{ratio}");
        assert!(section(&fixture::hostile()).is_none());
    }
}
