//! The parts of the report below its first screen, a section a file.

pub mod copies;
pub mod cost;
pub mod curves;
pub mod differences;
pub mod maps;
pub mod provenance;
pub mod quality;
pub mod representations;
pub mod speed_up;
pub mod statistics;
pub mod times;

use crate::content::Report;
use crate::section::Section;

/// Every section that has something to show, in order.
pub fn all(report: &Report) -> Vec<Section> {
    let sections = [
        statistics::section(report),
        speed_up::section(report),
        cost::section(report),
        quality::section(report),
        copies::section(report),
        curves::section(report),
        times::section(report),
        representations::section(report),
        maps::section(report),
        differences::section(report),
        provenance::section(report),
    ];
    sections.into_iter().flatten().collect()
}
