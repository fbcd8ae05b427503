//! The comparison's table. Its rows are made once; the page and the terminal show the same numbers under the same names.

use super::content::{Measurements, Outcome, Report, Variant};
use super::measure::{MEASURES, Quantity, Unit, Value};
use super::over::Over;
use super::{number, quality};
use sextant_records::evaluation::Scores;

/// The table before it is HTML or text.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns after the variant's name.
    pub columns: Vec<Column>,
    /// One row a variant, in the report's order.
    pub rows: Vec<Row>,
    /// Reasons that cells without a number refer to.
    pub notes: Vec<String>,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, a few words.
    pub name: &'static str,
    /// The unit of its numbers; empty for a pure number.
    pub unit: &'static str,
    /// What it measures, in a sentence.
    pub meaning: &'static str,
}

/// One variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The variant's name.
    pub variant: String,
    /// Its numbers, one a column, or in their place the words that say why there are none.
    pub cells: Result<Vec<Cell>, String>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// A number, or `—`.
    pub text: String,
    /// The note that says why there is no number (index into [`Table::notes`]).
    pub note: Option<usize>,
}

/// A column with how its numbers are read.
struct Shown<'a> {
    name: &'static str,
    meaning: &'static str,
    unit: Unit,
    value: Read<'a>,
}

type Read<'a> = Box<dyn Fn(&Variant, &Measurements) -> Value + 'a>;

/// A score's name, meaning, and how to read it off.
type Score = (&'static str, &'static str, fn(&Scores) -> f64);

/// Scores of samples in the table, all at each run's chosen scale, by the first judge.
const SCORES: [Score; 2] = [
    (
        "kernel distance",
        "KID between samples and data in the first judge’s features, at each run’s chosen guidance scale; unbiased, and lower is better.",
        |scores| scores.kernel,
    ),
    (
        "Fréchet distance",
        "Between Gaussians in the same features; biased upward where samples are few, and lower is better.",
        |scores| scores.frechet,
    ),
];

fn mean_score(variant: &Variant, score: fn(&Scores) -> f64) -> Option<f64> {
    let of = Over::evaluations(variant, |evaluation| {
        let judge = quality::first_judge(evaluation)?;
        Some(score(&quality::chosen(evaluation, judge)?.scores))
    });
    of.map(|over| over.mean)
}

impl Table {
    /// The table of a report: its measures and, where samples were judged, how good they are.
    pub fn new(report: &Report) -> Self {
        let finished = report.variants.iter().filter_map(|variant| match &variant.outcome {
            Outcome::Finished(measurements) => Some(measurements),
            _ => None,
        });
        let finished: Vec<_> = finished.collect();
        let mut shown: Vec<Shown> = MEASURES
            .iter()
            .map(|measure| Shown {
                name: measure.name,
                meaning: measure.meaning,
                unit: Unit::of(measure.quantity, &finished),
                value: Box::new(|_, measurements| (measure.value)(measurements)),
            })
            .collect();
        // Beside the validation loss, which is what they qualify.
        for (name, meaning, score) in SCORES.into_iter().rev() {
            if report
                .variants
                .iter()
                .any(|variant| mean_score(variant, score).is_some())
            {
                let value = move |variant: &Variant, _: &Measurements| {
                    mean_score(variant, score).ok_or("its samples were not judged")
                };
                shown.insert(
                    1,
                    Shown {
                        name,
                        meaning,
                        unit: Unit::of(Quantity::Loss, &[]),
                        value: Box::new(value),
                    },
                );
            }
        }
        let mut notes = Vec::new();
        let mut cell = |value: Value, unit: &Unit| match value {
            Ok(value) => Cell {
                text: unit.text(value),
                note: None,
            },
            Err(reason) => {
                let known = notes.iter().position(|note| note == reason);
                let note = known.unwrap_or_else(|| {
                    notes.push(reason.to_string());
                    notes.len() - 1
                });
                Cell {
                    text: "—".to_string(),
                    note: Some(note),
                }
            }
        };
        let rows = report.variants.iter().map(|variant| Row {
            variant: variant.name.clone(),
            cells: match &variant.outcome {
                Outcome::Finished(measurements) => {
                    let cells = shown.iter().map(|of| cell((of.value)(variant, measurements), &of.unit));
                    Ok(cells.collect())
                }
                Outcome::Interrupted { step } => Err(format!(
                    "interrupted after step {}; the same command resumes it",
                    number::count(*step)
                )),
                Outcome::Failed { message } => Err(format!("failed: {}", one_line(message))),
            },
        });
        let rows = rows.collect();
        let columns = shown.iter().map(|of| Column {
            name: of.name,
            unit: of.unit.name,
            meaning: of.meaning,
        });
        Self {
            columns: columns.collect(),
            rows,
            notes,
        }
    }

    /// How many characters the fractions of a column take, their point included; what aligns the points.
    pub fn fraction_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.cells.as_ref().ok()?.get(column));
        cells.map(|cell| cell.parts().1.len()).max().unwrap_or(0)
    }
}

impl Cell {
    /// The number before and from its decimal point (or exponent) on.
    pub fn parts(&self) -> (&str, &str) {
        self.text
            .split_at(self.text.find(['.', 'e']).unwrap_or(self.text.len()))
    }
}

/// The letter of a note: a, b, c, …
pub fn note_mark(note: usize) -> char {
    char::from(b'a' + (note % 26) as u8)
}

/// Words separated by single spaces, without control characters: a message must neither break the table nor talk to
/// the terminal.
pub fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_column_has_one_unit_and_columns_of_one_quantity_share_it() {
        let table = Table::new(&fixture::report());
        let units: Vec<&str> = table.columns.iter().map(|column| column.unit).collect();
        assert_eq!(units, ["", "", "s", "%", "MiB", "M", "M", "%", "%", "", "min", "min"]);
    }

    #[test]
    fn an_absent_number_has_a_reason() {
        let table = Table::new(&fixture::report());
        for cell in table.rows.iter().flat_map(|row| &row.cells).flatten() {
            assert_eq!(cell.text == "—", cell.note.is_some());
        }
        assert_eq!(table.notes.len(), 3);
    }

    #[test]
    fn judged_samples_have_columns_beside_the_validation_loss() {
        let table = Table::new(&super::super::example());
        let names: Vec<&str> = table.columns.iter().take(4).map(|column| column.name).collect();
        assert_eq!(
            names,
            [
                "validation loss",
                "kernel distance",
                "Fréchet distance",
                "guidance loss"
            ]
        );
    }
}
