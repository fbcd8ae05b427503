//! The numbers for other programs: `results.csv`.

use super::content::{Outcome, Report};
use super::measure::MEASURES;

/// One line a run, with a head: variant, seed, how it ended, and every measure in plain units (losses, seconds, bytes,
/// fractions). A measure that a run lacks is empty.
pub fn csv(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    };
    let heads = MEASURES.iter().map(|measure| measure.name.replace(' ', "_"));
    line(
        ["variant", "seed", "outcome"]
            .map(str::to_owned)
            .into_iter()
            .chain(heads)
            .collect(),
    );
    for run in &report.runs {
        let (outcome, values) = match &run.outcome {
            Outcome::Finished(measured) => {
                let values = MEASURES.iter().map(|measure| (measure.value)(measured));
                let values = values.map(|value| value.map_or_else(|_| String::new(), |value| value.to_string()));
                ("finished".to_owned(), values.collect())
            }
            Outcome::Interrupted { step } => (format!("interrupted after step {step}"), Vec::new()),
            Outcome::Failed { message } => (format!("failed: {message}"), Vec::new()),
        };
        let mut cells = vec![run.variant.clone(), run.seed.to_string(), outcome];
        cells.extend(values);
        cells.resize(3 + MEASURES.len(), String::new());
        line(cells);
    }
    out
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn every_run_is_a_line_with_as_many_cells_as_the_head() {
        let text = csv(&fixture::seeded());
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 1 + fixture::seeded().runs.len());
        let cells = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{text}");
        assert!(lines[0].starts_with("variant,seed,outcome,validation_loss"), "{text}");
        assert!(lines[1].starts_with("none,0,finished,0.5"), "{text}");
    }

    #[test]
    fn quotes_commas_and_line_breaks_stay_in_their_cell() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
