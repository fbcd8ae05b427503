//! The comparison's page: one self-contained HTML file; the same tables as text for the terminal, for papers and for other programs;
//! its charts as files.
//!
//! [`comparison`] reads run folders into a [`Report`], plain data. [`render`], [`svgs`], [`outcome`], [`table_text`], [`markdown`],
//! [`csv()`] and [`measures_csv`] are pure functions of it. This crate knows nothing of training, devices or plugins.
//!
//! A section of the report is a file in `sections`, made of words, tables, charts and pictures; each of these has one
//! renderer for each place where it is shown: `html`, `markdown`, `terminal`, `chart`. What is not measured has no section.

#[cfg(test)]
extern crate self as sextant_report;

mod budget;
mod chart;
pub mod comparison;
mod content;
mod error;
#[cfg(test)]
#[path = "../tests/fixture/mod.rs"]
mod fixture;
mod html;
mod markdown;
mod measure;
mod number;
mod numbers;
mod outcome;
mod page;
mod profile;
mod section;
mod sections;
mod seed_mean;
mod spent;
mod table;
mod terminal;
mod verdicts;

pub use content::{
    EncoderCost, Grid, Measurements, Operations, Outcome, Pace, Parts, Plugin, Point, Report, RunChange, SampleGrid,
    SeedRun, SpeedUps, Variant,
};
pub use error::Error;
pub use markdown::markdown;
pub use numbers::{csv, measures_csv};
pub use outcome::outcome;
pub use page::render;

/// The page's answer for a terminal: the sentence, the table of verdicts with the page's numbers, and the remarks. Ends with a
/// line break.
pub fn table_text(report: &Report) -> String {
    let mut text = format!(
        "{}\n\n{}",
        table::one_line(&outcome(report)),
        terminal::text(&verdicts::table(report))
    );
    for remark in &report.remarks {
        text += &table::one_line(remark);
        text.push('\n');
    }
    text
}

/// Every chart as a file name and an SVG document with its own style, a white background and a legend.
pub fn svgs(report: &Report) -> Vec<(String, String)> {
    let first = sections::curves::first_screen(report)
        .into_iter()
        .map(|(_, chart)| chart);
    let sections = sections::all(report);
    let charts = first.chain(sections.iter().flat_map(|section| section.charts().cloned()));
    charts
        .map(|chart| (format!("{}.svg", chart.file), chart::document(&chart)))
        .collect()
}
