//! The validation loss at each of the fixed times: where along the path a variant is better or worse.

use super::representations::time;
use crate::chart::{Chart, Line, Lines};
use crate::content::{Outcome, Report};
use crate::number::significant;
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table};

/// The section; none where no two times were measured.
pub fn section(report: &Report) -> Option<Section> {
    let chart = chart(report)?;
    let blocks = vec![Block::Charts(vec![chart]), Block::Table(table(report))];
    Section::new("times", "Validation loss along the path", blocks)
}

fn chart(report: &Report) -> Option<Chart> {
    let measured = report.finished().filter(|(_, _, m)| m.validation_by_time.len() > 1);
    let lines = measured.map(|(variant, name, m)| Line {
        variant,
        name: name.into(),
        points: m.validation_by_time.clone(),
        band: band(report, name, &m.validation_by_time),
        dots: true,
        ..Line::default()
    });
    let lines: Vec<Line> = lines.collect();
    let caption = "Denoising loss of held-out images after the last step at each of the fixed times, with the same noise for every variant; t = 0 is data, \
                   t = 1 is noise. The mean over the times is the validation loss.";
    (!lines.is_empty()).then(|| {
        let drawing = Lines {
            title: "validation loss".into(),
            x_label: "t, from data to noise".into(),
            lines,
            ..Lines::medium()
        };
        Chart::lines("validation-by-time", caption, drawing)
    })
}

/// From the least to the largest seed at each time; nothing for a single seed.
fn band(report: &Report, name: &str, times: &[[f64; 2]]) -> Vec<[f64; 3]> {
    let runs = report.runs.iter().filter(|run| run.variant == name);
    let losses = runs.filter_map(|run| match &run.outcome {
        Outcome::Finished(measured) => Some(&measured.validation_by_time),
        _ => None,
    });
    let losses: Vec<_> = losses.collect();
    if losses.len() < 2 || losses.iter().any(|of| of.len() != times.len()) {
        return Vec::new();
    }
    let at = |i: usize| losses.iter().map(move |of| of[i][1]);
    let span = |i: usize| [at(i).fold(f64::NAN, f64::min), at(i).fold(f64::NAN, f64::max)];
    let spans = times.iter().enumerate().map(|(i, [t, _])| (*t, span(i)));
    spans.map(|(t, [low, high])| [t, low, high]).collect()
}

fn table(report: &Report) -> Table {
    let times: Vec<f64> = report.finished().next().map_or_else(Vec::new, |(_, _, m)| {
        m.validation_by_time.iter().map(|[t, _]| *t).collect()
    });
    let rows = report.finished().map(|(index, name, m)| {
        let cell = |t: &f64| -> Cell {
            let found = m.validation_by_time.iter().find(|[of, _]| of == t);
            found.map(|[_, loss]| significant(*loss, 4, 4)).into()
        };
        Row::of(index, name, times.iter().map(cell))
    });
    let heads = times.iter().map(|t| Column::from(format!("t = {}", time(*t))));
    Table::new(
        "Validation loss by time",
        [Column::text("variant")].into_iter().chain(heads),
    )
    .with(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Measurements;
    use crate::fixture;

    #[test]
    fn every_finished_variant_has_a_row_and_every_time_a_column() {
        let mut report = fixture::hostile();
        assert!(section(&report).is_none());
        let by_time = [[[0.25, 0.5], [0.75, 0.125]], [[0.25, 0.4], [0.5, 9.0]]];
        for (variant, by_time) in report.variants.iter_mut().zip(by_time) {
            variant.outcome = Outcome::Finished(Measurements {
                validation_by_time: by_time.into(),
                ..Measurements::default()
            });
        }
        assert!(section(&report).is_some());
        let table = table(&report);
        let words: Vec<&str> = table
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .map(|cell| cell.text.as_str())
            .collect();
        assert_eq!(words, ["none", "0.5000", "0.1250", "self-transcendence", "0.4000", "—"]);
        assert_eq!(table.columns[2].name, "t = 0.75");
    }
}
