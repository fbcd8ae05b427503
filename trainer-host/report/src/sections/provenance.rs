//! Origin of the comparison: command, versions, device, data, judges, plugins.

use super::quality::judges;
use crate::content::Report;
use crate::section::{Block, Section};
use crate::table::{Column, Row, Table};

/// The section.
pub fn section(report: &Report) -> Option<Section> {
    let facts = [
        ("created", &report.created),
        ("device", &report.device),
        ("data", &report.data),
    ];
    let versions = report.versions.iter().map(|(name, version)| (name.as_str(), version));
    let facts = facts.into_iter().chain(versions).filter(|(_, value)| !value.is_empty());
    let facts =
        Table::new("", ["", ""].map(Column::text)).with(facts.map(|(name, value)| Row::plain(name, [value.as_str()])));
    let plugins = report.variants.iter().enumerate().flat_map(|(index, variant)| {
        let row = move |plugin: &crate::Plugin| {
            let since = plugin.since.as_ref().map_or("the beginning".into(), first_step);
            let [name, version, sha256] = [&plugin.name, &plugin.version, &plugin.sha256].map(String::clone);
            Row::of(index, &variant.name, [name, version, since, sha256])
        };
        variant.plugins.iter().map(row)
    });
    let plugins = Table::new(
        "Plugins",
        ["variant", "plugin", "version", "from", "SHA-256 of the library"].map(Column::text),
    )
    .with(plugins);
    let judges = judges(report).into_iter().map(|judge| {
        let cells = [&judge.description, &judge.fingerprint];
        Row::plain(&judge.name, cells.map(String::as_str))
    });
    let judges = Table::new("Judges", ["judge", "network", "SHA-256"].map(Column::text)).with(judges);
    let changes = report.variants.iter().enumerate().flat_map(|(index, variant)| {
        let row = move |change: &crate::RunChange| {
            let (what, seed, at) = (change.what.clone(), change.seed.to_string(), change.at.clone());
            Row::of(index, &variant.name, [what, first_step(&change.since), seed, at])
        };
        variant.changes.iter().map(row)
    });
    let changes = Table::new(
        "Changed after a run had begun",
        ["variant", "change", "from", "seed", "made"].map(Column::text),
    )
    .with(changes);
    let mut blocks = Vec::new();
    if !report.command.is_empty() {
        blocks.extend([Block::Words("Made by".into()), Block::Code(report.command.clone())]);
    }
    blocks.extend([facts, plugins, changes, judges].map(Block::Table));
    Section::new("provenance", "Where it comes from: command, versions, hashes", blocks)
}

/// The step after those that were done, in words.
fn first_step((phase, done): &(String, u64)) -> String {
    format!("step {} of {phase}", done + 1)
}
