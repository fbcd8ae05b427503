//! The comparison's page: one self-contained HTML file, and the same table as text for the terminal.
//!
//! The caller fills in [`Report`], plain data; [`render`], [`table_text`], [`markdown`] and [`csv`] are pure functions of it. This module knows
//! nothing of training, devices or plugins, and touches no file.

mod axis;
mod chart;
mod content;
mod curve;
#[cfg(test)]
mod fixture;
mod markdown;
mod markup;
mod measure;
mod number;
mod page;
mod plot;
mod samples;
mod seeds;
mod spreadsheet;
mod table;
mod terminal;
mod times;

pub use content::{
    Grid, GuideCost, Measurements, Operations, Outcome, Pace, Parts, Plugin, Point, Report, SampleGrid, SeedRun,
    SpeedUps, Variant,
};
pub use markdown::markdown;
pub(crate) use number::significant;
pub use page::render;
pub use seeds::text as seeds_text;
pub use spreadsheet::csv;
pub use terminal::table_text;
