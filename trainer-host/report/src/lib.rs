//! The comparison's page: one self-contained HTML file; the same tables as text for the terminal, for papers and for other programs;
//! its plots as files.
//!
//! The caller fills in [`Report`], plain data; [`render`], [`svgs`], [`table_text`], [`markdown`], [`csv`] and [`measures_csv`] are pure
//! functions of it. This module knows nothing of training, devices or plugins, and touches no file.
//!
//! A section of the page is a file here; each has its plots and tables (`plot`, `bars`, `sheet`), which page, Markdown and drawings
//! share. What is not measured has no section.

mod album;
mod axis;
mod bars;
mod chart;
pub mod comparison;
mod content;
mod copies;
mod cost;
mod curve;
mod depths;
mod drawing;
mod error;
mod example;
mod family;
#[cfg(test)]
mod fixture;
mod maps;
mod markdown;
mod markup;
mod measure;
mod number;
mod over;
mod page;
mod plot;
mod provenance;
mod quality;
mod recipes;
mod results;
mod samples;
mod seeds;
mod sheet;
mod speed;
mod spreadsheet;
mod table;
mod terminal;
mod times;

pub use content::{
    Grid, GuideCost, Measurements, Operations, Outcome, Pace, Parts, Plugin, Point, Report, SampleGrid, SeedRun,
    SpeedUps, Variant,
};
pub use drawing::svgs;
pub use error::Error;
pub use example::{example, example_with};
pub use markdown::markdown;
pub(crate) use number::significant;
pub use page::render;
pub use seeds::{best, text as seeds_text};
pub use spreadsheet::{csv, measures_csv};
pub use terminal::table_text;
