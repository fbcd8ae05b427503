//! Measures of a training, and the units of a table's columns.

use crate::content::{Measurements, Outcome, Report};
use crate::number;
use crate::table::{Cell, Column, Row, Table};

/// The kind of a number, which decides its unit and its digits.
#[derive(Clone, Copy, PartialEq)]
pub enum Quantity {
    Count,
    StepTime,
    Time,
    Bytes,
    Parameters,
    Operations,
}

/// A measure of a run: its name, and how to read it off a finished run, in plain units; none where it was not measured.
pub type Measure = (&'static str, fn(&Measurements) -> Option<f64>);

/// The measures of a training, from what matters most to what is good to know.
pub const MEASURES: [Measure; 11] = [
    ("validation loss", |m| Some(m.validation_loss)),
    ("guidance loss", |m| m.guidance_loss),
    ("time per step", |m| Some(m.seconds_per_step)),
    ("overhead", |m| m.overhead),
    ("peak memory", |m| m.peak_memory_bytes.map(|bytes| bytes as f64)),
    ("student parameters", |m| Some(m.student_parameters as f64)),
    ("guidance parameters", |m| Some(m.guidance_parameters as f64)),
    ("clipped steps", |m| Some(m.clipped_share)),
    ("steps", |m| Some(m.steps as f64)),
    ("total time", |m| Some(m.total_seconds)),
    ("earlier phases", |m| Some(m.earlier_phases_seconds)),
];

/// A column with an entry for every variant of the report.
pub type Entries = (Column, Vec<Cell>);

/// A column for each measure that any variant has, all in one unit.
pub fn columns(report: &Report, quantity: Quantity, measures: &[Measure]) -> Vec<Entries> {
    let value = |outcome: &Outcome, read: fn(&Measurements) -> Option<f64>| match outcome {
        Outcome::Finished(measured) => read(measured),
        _ => None,
    };
    let read = |(name, read): &Measure| {
        let variants = report.variants.iter();
        (*name, variants.map(|variant| value(&variant.outcome, *read)).collect())
    };
    let columns: Vec<(&str, Vec<Option<f64>>)> = measures.iter().map(read).collect();
    let unit = Unit::fitting(
        quantity,
        columns.iter().flat_map(|(_, values)| values).flatten().copied(),
    );
    let measured = columns
        .into_iter()
        .filter(|(_, values)| values.iter().any(Option::is_some));
    let column = |(name, values): (&str, Vec<Option<f64>>)| {
        let cells = values
            .into_iter()
            .map(|value| value.map(|value| unit.text(value)).into());
        (unit.head(name).into(), cells.collect())
    };
    measured.map(column).collect()
}

/// The columns as a table of the variants that have an entry in any.
pub fn table(report: &Report, caption: impl Into<String>, columns: Vec<Entries>) -> Table {
    let (heads, cells): (Vec<Column>, Vec<Vec<Cell>>) = columns.into_iter().unzip();
    let rows = report.variants.iter().enumerate().map(|(index, variant)| {
        let cells = cells.iter().map(|column| column[index].clone());
        Row::of(index, &variant.name, cells)
    });
    let has_entries = |row: &Row| row.cells.iter().skip(1).any(|cell| *cell != Cell::nothing());
    let heads = [Column::text("variant")].into_iter().chain(heads);
    Table::new(caption, heads).with(rows.filter(has_entries))
}

/// One unit for a whole column, so that its numbers compare at a glance.
pub struct Unit {
    /// Its symbol; empty for a pure number.
    pub name: &'static str,
    /// The size of one of it, in plain units.
    pub size: f64,
    /// Significant digits, and the most decimals.
    digits: (usize, usize),
}

impl Unit {
    /// The unit that fits the largest of these values.
    pub fn fitting(quantity: Quantity, values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite());
        let largest = finite.fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let pick = |units: &[(&'static str, f64)], at_least: f64, decimals: usize| {
            let fits = units.iter().find(|(_, size)| largest >= size * at_least);
            let (name, size) = *fits.unwrap_or(&units[units.len() - 1]);
            let digits = (3, decimals);
            Self { name, size, digits }
        };
        match quantity {
            Quantity::Count => Self {
                digits: (12, 0),
                ..pick(&[("", 1.0)], 1.0, 0)
            },
            Quantity::StepTime => pick(&[("s", 1.0), ("ms", 1e-3)], 0.1, 3),
            Quantity::Time => pick(&[("h", 3600.0), ("min", 60.0), ("s", 1.0)], 1.5, 2),
            Quantity::Bytes => pick(&[("GiB", 1024f64.powi(3)), ("MiB", 1024f64.powi(2))], 1.0, 2),
            Quantity::Parameters => pick(&[("M", 1e6), ("k", 1e3), ("", 1.0)], 1.0, 3),
            Quantity::Operations => {
                let units = [("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)];
                pick(&units, 1.0, 2)
            }
        }
    }

    /// The name of a column in this unit: `peak memory (GiB)`.
    pub fn head(&self, name: &str) -> String {
        match self.name {
            "" => name.into(),
            unit => format!("{name} ({unit})"),
        }
    }

    /// A value in this unit, without its symbol.
    pub fn text(&self, value: f64) -> String {
        number::significant(value / self.size, self.digits.0, self.digits.1)
    }
}
