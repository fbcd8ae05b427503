//! Why a measure has no value.

/// A set of features that a measure is not defined for; the message says which, and what would be right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MeasureError {
    /// No row, or rows of no width.
    #[error("features need at least one row and one column, these are [{rows}, {width}]")]
    Empty {
        /// Rows given.
        rows: usize,
        /// Width given.
        width: usize,
    },
    /// Values that do not fill whole rows.
    #[error("{values} values do not make whole rows of width {width}")]
    Ragged {
        /// Values given.
        values: usize,
        /// Width given.
        width: usize,
    },
    /// A value that is not a number, infinite, or so large that its products would be.
    #[error("row {row}, column {column} of the features is {value}; values must be finite and at most 1e20")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// Counted from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Fewer rows than the definition needs.
    #[error("{measure} needs at least {least} {set} rows, there are {rows}")]
    TooFew {
        /// The measure.
        measure: &'static str,
        /// The set that is short.
        set: &'static str,
        /// Its rows.
        rows: usize,
        /// The number that would do.
        least: usize,
    },
    /// Fewer classes than the definition needs.
    #[error("{measure} needs at least two classes, all rows have label {label}")]
    OneClass {
        /// The measure.
        measure: &'static str,
        /// The only label.
        label: i64,
    },
    /// Features on which the definition divides by zero.
    #[error("{measure} is not defined here: {reason}")]
    Degenerate {
        /// The measure.
        measure: &'static str,
        /// The reason, which names what vanishes.
        reason: &'static str,
    },
}
