//! Measures on features, and statistics over seeds: pure functions of numbers.

pub mod measure;
pub mod statistics;
