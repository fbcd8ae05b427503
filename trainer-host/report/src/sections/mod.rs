//! The parts of the report below its first screen, a section a file.

pub mod copies;
pub mod cost;
pub mod curves;
pub mod differences;
pub mod maps;
pub mod provenance;
pub mod quality;
pub mod representations;
pub mod samples;
pub mod speed_up;
pub mod statistics;
pub mod times;

use crate::budget::ImageBudget;
use crate::content::Report;
use crate::section::Section;

/// Every section that has something to show, in order; its pictures as far as there is room for them, or none.
pub fn all(report: &Report, pictures: Option<&ImageBudget>) -> Vec<Section> {
    let sections = [
        statistics::section(report),
        speed_up::section(report),
        cost::section(report),
        quality::section(report),
        copies::section(report, pictures.is_some_and(|budget| budget.neighbours)),
        curves::section(report),
        times::section(report),
        representations::section(report),
        maps::section(report, pictures.is_some_and(|budget| budget.maps)),
        differences::section(report),
        provenance::section(report),
    ];
    sections.into_iter().flatten().collect()
}
