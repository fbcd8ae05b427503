//! Feature maps: rows are depths, columns networks, one panel a time.

use std::collections::BTreeSet;

use sextant_records::evaluation::{Map, MapOf};

use super::representations::time;
use crate::content::{Report, Variant};
use crate::number::percent;
use crate::section::{Block, Panel, Picture, Section};

/// A network of a variant.
struct Column<'a> {
    index: usize,
    variant: &'a Variant,
    of: MapOf,
    maps: Vec<&'a Map>,
}

/// The section; none without pictures, and a sentence where the page has no room for them.
pub fn section(report: &Report, pictures: bool) -> Option<Section> {
    let columns = columns(report);
    let networks = columns.iter().filter(|column| column.of != MapOf::Images);
    let mut times: Vec<f64> = networks.flat_map(|c| &c.maps).map(|map| map.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    if times.is_empty() {
        return None;
    }
    if !pictures {
        let words = "The pictures are left out, to keep this page small; they are in each run’s evaluation folder.";
        let blocks = vec![Block::Words(words.into())];
        let (id, title) = ("maps", TITLE.into());
        return Some(Section { id, title, blocks });
    }
    let is_teacher = |of: MapOf| matches!(of, MapOf::TeacherConditional | MapOf::TeacherGuided);
    let teachers = if columns.iter().any(|c| is_teacher(c.of)) {
        ", and the image’s label to teachers"
    } else {
        ""
    };
    let words = format!(
        "The first three principal components of each depth’s tokens as red, green and blue, fitted for each depth and network and turned towards the \
         images’ own colours: shapes compare, hues only where the tokens hold colour. The number is the share of the variance that they hold. First seed; \
         the null class is fed to the students{teachers}."
    );
    let panels = times.iter().map(|t| panel(&columns, *t)).collect();
    Section::new("maps", TITLE, vec![Block::Words(words), Block::Panels(panels)])
}

const TITLE: &str = "Feature maps";

/// The maps of the first evaluation of each variant, its networks side by side.
fn columns(report: &Report) -> Vec<Column<'_>> {
    let mut columns = Vec::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let first = variant
            .evaluations
            .iter()
            .flatten()
            .find_map(|e| e.representations.as_ref());
        let maps = first.map_or(&[][..], |representations| &representations.maps);
        let kinds: BTreeSet<MapOf> = maps.iter().map(|map| map.of).collect();
        columns.extend(kinds.into_iter().map(|of| {
            let shown = maps
                .iter()
                .filter(|map| map.of == of && variant.map_pngs.contains_key(&map.file));
            let maps = shown.collect();
            Column {
                index,
                variant,
                of,
                maps,
            }
        }));
    }
    columns.retain(|column| !column.maps.is_empty());
    columns
}

/// The table of one time. The images themselves are the same for all, and stand above the first network.
fn panel(columns: &[Column], t: f64) -> Panel {
    let networks: Vec<_> = columns
        .iter()
        .filter(|c| c.of != MapOf::Images && c.maps.iter().any(|map| map.t == t))
        .collect();
    let here = networks.iter().flat_map(|c| &c.maps).filter(|map| map.t == t);
    let depths: BTreeSet<usize> = here.map(|map| map.depth).collect();
    let mut rows = Vec::new();
    let images = columns.iter().find(|column| column.of == MapOf::Images);
    if let Some(column) = images
        && let Some(map) = column.maps.iter().find(|map| map.t == t).or(column.maps.first())
    {
        let mut row: Vec<_> = networks.iter().map(|_| None).collect();
        row[0] = Some((picture(column, map), String::new()));
        rows.push(("images".to_owned(), row));
    }
    rows.extend(depths.into_iter().map(|depth| {
        let row = networks.iter().map(|column| {
            let map = column.maps.iter().find(|map| map.t == t && map.depth == depth)?;
            Some((picture(column, map), percent(map.explained)))
        });
        (format!("depth {depth}"), row.collect())
    }));
    Panel {
        name: format!("t = {}", time(t)),
        columns: networks
            .iter()
            .map(|c| (c.index, c.variant.name.clone(), whose(c.of).to_owned()))
            .collect(),
        rows,
    }
}

fn picture(column: &Column, map: &Map) -> Picture {
    Picture {
        variant: column.index,
        name: String::new(),
        alt: format!(
            "{}, {}, depth {}, t = {}",
            column.variant.name,
            whose(column.of),
            map.depth,
            time(map.t)
        ),
        png: column.variant.map_pngs[&map.file].clone(),
    }
}

fn whose(of: MapOf) -> &'static str {
    match of {
        MapOf::Images => "images",
        MapOf::Student => "student",
        MapOf::TeacherConditional => "teacher, with label",
        MapOf::TeacherGuided => "teacher, guided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_time_has_a_panel_and_every_network_a_column() {
        let section = section(&fixture::example(), true).unwrap();
        let Block::Panels(panels) = &section.blocks[1] else {
            panic!("{section:?}")
        };
        assert_eq!(
            panels.iter().map(|panel| panel.name.as_str()).collect::<Vec<_>>(),
            ["t = 0.2", "t = 0.5", "t = 0.8"]
        );
        for panel in panels {
            let of: BTreeSet<&str> = panel.columns.iter().map(|(.., of)| of.as_str()).collect();
            assert!(
                of.is_superset(&["student", "teacher, with label", "teacher, guided"].into()),
                "{of:?}"
            );
            assert!(panel.rows.iter().all(|(_, cells)| cells.len() == panel.columns.len()));
            assert_eq!(
                (panel.rows[0].0.as_str(), panel.rows[1].0.as_str()),
                ("images", "depth 0")
            );
        }
    }

    #[test]
    fn without_room_or_pictures_there_is_a_sentence_or_nothing() {
        let without = section(&fixture::example(), false).unwrap();
        assert!(matches!(&without.blocks[..], [Block::Words(words)] if words.contains("left out")));
        assert!(section(&fixture::hostile(), true).is_none());
        let mut report = fixture::example();
        report.variants.iter_mut().for_each(|v| v.map_pngs.clear());
        assert!(
            section(&report, true).is_none(),
            "a map whose file is gone is not shown"
        );
    }
}
