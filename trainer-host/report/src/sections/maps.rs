//! Feature maps: one table a time, rows are networks, columns depths.

use std::collections::BTreeSet;

use sextant_records::evaluation::{Map, MapOf};

use crate::content::{Report, Variant};
use crate::number::{percent, short};
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table};

/// The section; none without pictures.
pub fn section(report: &Report) -> Option<Section> {
    let networks = networks(report);
    let maps = || {
        networks
            .iter()
            .flat_map(|(_, _, maps)| maps)
            .filter(|map| map.of != MapOf::Images)
    };
    let mut times: Vec<f64> = maps().map(|map| map.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let teachers = match maps().any(|map| map.of != MapOf::Student) {
        true => ", and the image’s label to teachers",
        false => "",
    };
    let words = format!(
        "The first three principal components of each depth’s tokens as red, green and blue, fitted for each depth and network and turned towards the \
         images’ own colours: shapes compare, hues only where the tokens hold colour. The number is the share of the variance that they hold. First seed; \
         the null class is fed to the students{teachers}."
    );
    let tables = times.iter().map(|t| Block::Table(table(&networks, *t)));
    let blocks = [Block::Words(words)].into_iter().chain(tables).collect();
    Section::new("maps", "Feature maps", blocks)
}

/// A variant with its place, and the maps of one network of its first evaluation.
type Network<'a> = (usize, &'a Variant, Vec<&'a Map>);

fn networks(report: &Report) -> Vec<Network<'_>> {
    let mut networks = Vec::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let mut evaluations = variant.evaluations.iter().flatten();
        let first = evaluations.find_map(|e| e.representations.as_ref());
        let maps = first.map_or(&[][..], |representations| &representations.maps);
        let there = || maps.iter().filter(|map| variant.map_pngs.contains_key(&map.file));
        let kinds: BTreeSet<MapOf> = there().map(|map| map.of).collect();
        let of_kind = |of: MapOf| (index, variant, there().filter(|map| map.of == of).collect());
        networks.extend(kinds.into_iter().map(of_kind));
    }
    networks
}

/// The maps of one time. The images themselves are the same for all, and stand above the first network.
fn table(networks: &[Network], t: f64) -> Table {
    let here = |maps: &[&Map]| maps.iter().any(|map| map.t == t && map.of != MapOf::Images);
    let shown = || networks.iter().filter(|(_, _, maps)| here(maps));
    let depths = shown().flat_map(|(_, _, maps)| maps).filter(|map| map.t == t);
    let depths: BTreeSet<usize> = depths.map(|map| map.depth).collect();
    let picture = |variant: &Variant, map: &Map, words: String| Cell::picture(&variant.map_pngs[&map.file], words);
    let images = networks.iter().find(|(_, _, maps)| maps[0].of == MapOf::Images);
    let images = images.map(|(_, variant, maps)| {
        let map = maps.iter().find(|map| map.t == t).unwrap_or(&maps[0]);
        let mut cells = vec![Cell::default(); depths.len() + 1];
        cells[1] = picture(variant, map, String::new());
        Row::plain("images", cells)
    });
    let rows = shown().map(|(index, variant, maps)| {
        let cells = depths.iter().map(|depth| {
            let map = maps.iter().find(|map| map.t == t && map.depth == *depth);
            map.map_or_else(Cell::default, |map| picture(variant, map, percent(map.explained)))
        });
        let whose: Cell = whose(maps[0].of).into();
        Row::of(*index, &variant.name, [whose].into_iter().chain(cells))
    });
    let heads = depths.iter().map(|depth| Column::text(format!("depth {depth}")));
    let heads = ["variant", "network"].map(Column::text).into_iter().chain(heads);
    Table::new(format!("t = {}", short(t)), heads).with(images).with(rows)
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
    fn every_time_has_a_table_and_every_network_a_row() {
        let mut report = fixture::example();
        let whole = section(&report).unwrap();
        let captions: Vec<&str> = whole.tables().map(|table| table.caption.as_str()).collect();
        assert_eq!(captions, ["t = 0.2", "t = 0.5", "t = 0.8"]);
        for table in whole.tables() {
            let of: BTreeSet<&str> = table.rows.iter().map(|row| row.cells[1].text.as_str()).collect();
            assert!(
                of.is_superset(&["student", "teacher, with label", "teacher, guided"].into()),
                "{of:?}"
            );
            assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
            assert!(table.rows[0].name() == "images" && table.columns[2].name == "depth 0");
        }
        assert!(section(&fixture::hostile()).is_none());
        report.variants.iter_mut().for_each(|v| v.map_pngs.clear());
        assert!(section(&report).is_none(), "a map whose file is gone is not shown");
    }
}
