//! What the table's columns measure, and in which units.

use super::content::Measurements;
use super::number;

/// What a column holds, which decides its unit and its digits.
#[derive(Clone, Copy, PartialEq)]
pub enum Quantity {
    Count,
    Loss,
    StepTime,
    Time,
    Bytes,
    Parameters,
    Operations,
    Fraction,
    Extra,
}

/// A number, or the reason why there is none.
pub type Value = Result<f64, &'static str>;

/// One measure of a run, which is one column.
pub struct Measure {
    /// The column's name.
    pub name: &'static str,
    /// What kind of number it is.
    pub quantity: Quantity,
    /// What it means, in a sentence or two.
    pub meaning: &'static str,
    /// Reads it off a finished run.
    pub value: fn(&Measurements) -> Value,
}

/// The columns, from what matters most to what is good to know.
pub const MEASURES: [Measure; 12] = [
    Measure {
        name: "validation loss",
        quantity: Quantity::Loss,
        meaning: "Denoising loss after the last step, on the fixed validation set with fixed times and noise: the same question to every variant.",
        value: |m| Ok(m.validation_loss),
    },
    Measure {
        name: "guidance loss",
        quantity: Quantity::Loss,
        meaning: "The source's own loss at the end, before its coefficient. Each source has its own scale, so two variants' values do not compare.",
        value: |m| m.guidance_loss.ok_or("no source guides at the end of this run"),
    },
    Measure {
        name: "time per step",
        quantity: Quantity::StepTime,
        meaning: "Median wall time of an optimiser step in the last phase, without validation and diagnostics.",
        value: |m| Ok(m.seconds_per_step),
    },
    Measure {
        name: "overhead",
        quantity: Quantity::Extra,
        meaning: "Extra time of a step against the variant without guidance.",
        value: |m| {
            m.overhead
                .ok_or("the baseline, which the others are measured against, or no baseline has finished")
        },
    },
    Measure {
        name: "peak memory",
        quantity: Quantity::Bytes,
        meaning: "Largest resident memory of the process while the variant ran (on the CPU; a GPU's own memory is not in it).",
        value: |m| {
            m.peak_memory_bytes
                .map(|b| b as f64)
                .ok_or("not reported by this system")
        },
    },
    Measure {
        name: "student parameters",
        quantity: Quantity::Parameters,
        meaning: "Trainable parameters of the network that is kept.",
        value: |m| Ok(m.student_parameters as f64),
    },
    Measure {
        name: "guidance parameters",
        quantity: Quantity::Parameters,
        meaning: "Trainable parameters of the source, such as projectors; dropped after training.",
        value: |m| Ok(m.guidance_parameters as f64),
    },
    Measure {
        name: "teacher time",
        quantity: Quantity::Fraction,
        meaning: "Share of the step's time spent in frozen networks.",
        value: |m| Ok(m.teacher_share),
    },
    Measure {
        name: "clipped steps",
        quantity: Quantity::Fraction,
        meaning: "Share of the steps whose gradient was longer than the clip.",
        value: |m| Ok(m.clipped_share),
    },
    Measure {
        name: "steps",
        quantity: Quantity::Count,
        meaning: "Optimiser steps of the last phase.",
        value: |m| Ok(m.steps as f64),
    },
    Measure {
        name: "total time",
        quantity: Quantity::Time,
        meaning: "Wall time of all training steps that the variant needed, earlier phases included.",
        value: |m| Ok(m.total_seconds),
    },
    Measure {
        name: "earlier phases",
        quantity: Quantity::Time,
        meaning: "The part of the total time that went into earlier phases, such as training a teacher.",
        value: |m| Ok(m.earlier_phases_seconds),
    },
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
    /// The unit for all measures of a quantity, by the largest value among the runs: columns of one quantity share it.
    pub fn of(quantity: Quantity, runs: &[&Measurements]) -> Self {
        let measures = MEASURES.iter().filter(|measure| measure.quantity == quantity);
        let values = measures.flat_map(|measure| runs.iter().filter_map(|run| (measure.value)(run).ok()));
        Self::fitting(quantity, values)
    }

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
            Quantity::Loss => (("", 1.0), Digits::Significant(4, 4)),
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
            Quantity::Fraction => (("%", 0.01), Digits::Fixed(1)),
            Quantity::Extra => (("%", 0.01), Digits::Signed(1)),
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

    /// What may not have been measured, in this unit, without its symbol.
    pub fn cell(&self, value: Option<f64>) -> String {
        value.map_or_else(|| "—".into(), |value| self.text(value))
    }

    /// What one of it is, in plain units.
    pub fn size(&self) -> f64 {
        self.size
    }

    /// A value in this unit, without its symbol.
    pub fn text(&self, value: f64) -> String {
        let value = value / self.size;
        match self.digits {
            Digits::Significant(digits, most) => number::significant(value, digits, most),
            Digits::Fixed(decimals) => number::fixed(value, decimals),
            Digits::Signed(decimals) => {
                let text = number::fixed(value, decimals);
                if value > 0.0 && !text.chars().all(|c| matches!(c, '0' | '.')) {
                    format!("+{text}")
                } else {
                    text
                }
            }
        }
    }
}
