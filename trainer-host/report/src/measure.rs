//! Measures of a training, and the units of a table's columns.

use crate::content::Measurements;
use crate::number;
use crate::table::Cell;

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

/// A measure of a run.
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Reads it off a finished run, in plain units; none where it was not measured.
    pub value: fn(&Measurements) -> Option<f64>,
}

const fn measure(name: &'static str, value: fn(&Measurements) -> Option<f64>) -> Measure {
    Measure { name, value }
}

/// The measures of a training, from what matters most to what is good to know.
pub const MEASURES: [Measure; 11] = [
    measure("validation loss", |m| Some(m.validation_loss)),
    measure("guidance loss", |m| m.guidance_loss),
    measure("time per step", |m| Some(m.seconds_per_step)),
    measure("overhead", |m| m.overhead),
    measure("peak memory", |m| m.peak_memory_bytes.map(|bytes| bytes as f64)),
    measure("student parameters", |m| Some(m.student_parameters as f64)),
    measure("guidance parameters", |m| Some(m.guidance_parameters as f64)),
    measure("clipped steps", |m| Some(m.clipped_share)),
    measure("steps", |m| Some(m.steps as f64)),
    measure("total time", |m| Some(m.total_seconds)),
    measure("earlier phases", |m| Some(m.earlier_phases_seconds)),
];

/// One unit for a whole column, so that its numbers compare at a glance.
pub struct Unit {
    /// Its symbol; empty for a pure number.
    pub name: &'static str,
    size: f64,
    digits: Digits,
}

enum Digits {
    Significant(usize, usize),
    Fixed(usize),
    Signed(usize),
}

impl Unit {
    /// Of extra time, as per cent with a sign.
    pub const EXTRA: Self = Self {
        name: "%",
        size: 0.01,
        digits: Digits::Signed(1),
    };

    /// The unit that fits the largest of these values.
    pub fn fitting(quantity: Quantity, values: impl IntoIterator<Item = f64>) -> Self {
        let largest = values
            .into_iter()
            .filter(|v| v.is_finite())
            .fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let pick = |units: &[(&'static str, f64)], at_least: f64| {
            let fits = units.iter().copied().find(|(_, size)| largest >= size * at_least);
            fits.unwrap_or(units[units.len() - 1])
        };
        let ((name, size), digits) = match quantity {
            Quantity::Count => (("", 1.0), Digits::Fixed(0)),
            Quantity::StepTime => (pick(&[("s", 1.0), ("ms", 1e-3)], 0.1), Digits::Significant(3, 3)),
            Quantity::Time => (
                pick(&[("h", 3600.0), ("min", 60.0), ("s", 1.0)], 1.5),
                Digits::Significant(3, 2),
            ),
            Quantity::Bytes => (
                pick(&[("GiB", 1024f64.powi(3)), ("MiB", 1024f64.powi(2))], 1.0),
                Digits::Significant(3, 2),
            ),
            Quantity::Parameters => (
                pick(&[("M", 1e6), ("k", 1e3), ("", 1.0)], 1.0),
                Digits::Significant(3, 3),
            ),
            Quantity::Operations => (
                pick(&[("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6)], 1.0),
                Digits::Significant(3, 2),
            ),
        };
        Self { name, size, digits }
    }

    /// The name of a column in this unit: `peak memory (GiB)`.
    pub fn head(&self, name: &str) -> String {
        match self.name {
            "" => name.into(),
            unit => format!("{name} ({unit})"),
        }
    }

    /// A value that may not have been measured, in this unit, without its symbol.
    pub fn cell(&self, value: Option<f64>) -> Cell {
        value.map(|value| self.text(value)).into()
    }

    /// The size of one of it, in plain units.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// A value in this unit, without its symbol.
    pub fn text(&self, value: f64) -> String {
        let value = value / self.size;
        match self.digits {
            Digits::Significant(digits, most) => number::significant(value, digits, most),
            Digits::Fixed(decimals) => number::fixed(value, decimals),
            Digits::Signed(decimals) => number::signed_to(value, decimals),
        }
    }
}
