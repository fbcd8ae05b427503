//! Feature maps: rows are depths, columns networks, one panel a time.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::content::{Report, Variant};
use super::depths::time;
use super::markup::{Section, data_uri, escape, image, png_size};
use super::number::percent;
use super::plot::swatch;
use sextant_records::evaluation::{Map, MapOf};

/// One column: a network of a variant.
struct Column<'a> {
    index: usize,
    variant: &'a Variant,
    of: MapOf,
    maps: Vec<&'a Map>,
}

/// The page's section; none without pictures, and a sentence where the page has no room for them.
pub fn section(report: &Report, pictures: bool) -> Option<Section> {
    let columns = columns(report);
    let students = columns.iter().filter(|column| column.of != MapOf::Images);
    let mut times: Vec<f64> = students.flat_map(|c| &c.maps).map(|map| map.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    if times.is_empty() {
        return None;
    }
    if !pictures {
        let words = "<p class=\"absent\">The pictures are left out, to keep this page small; they are in each run’s evaluation folder.</p>\n";
        return Section::new("maps", "Feature maps", words.into());
    }
    let middle = times.len() / 2;
    let images = columns.iter().find(|column| column.of == MapOf::Images);
    let mut shared = Shared::default();
    let (mut switch, mut panels, mut rules) = (String::new(), String::new(), String::new());
    for (i, t) in times.iter().enumerate() {
        let checked = if i == middle { " checked" } else { "" };
        let _ = write!(
            switch,
            "<label><input type=\"radio\" name=\"map-time\" id=\"map-time-{i}\"{checked}> t = {}</label>",
            time(*t)
        );
        let _ = write!(rules, ".maps:has(#map-time-{i}:checked) #maps-{i}{{display:block}}");
        let images = images.and_then(|column| shared.show(column, *t));
        let _ = writeln!(
            panels,
            "<div class=\"panel\" id=\"maps-{i}\">{}</div>",
            panel(&columns, *t, images.as_deref())
        );
    }
    let body = format!(
        "<p>The first three principal components of each depth’s tokens as red, green and blue, fitted for each depth and network and \
         turned towards the images’ own colours: shapes compare, hues only where the tokens hold colour. The number is the share of the variance that they hold. First seed; the null class is fed to the \
         students{}.</p>\n<style>{rules}</style>\n{}<div class=\"maps\"><fieldset><legend>Time</legend>{switch}</fieldset>\n{panels}</div>\n",
        if columns
            .iter()
            .any(|c| matches!(c.of, MapOf::TeacherConditional | MapOf::TeacherGuided))
        {
            ", and the image’s label to teachers"
        } else {
            ""
        },
        shared.definitions()
    );
    Section::new("maps", "Feature maps", body)
}

/// The pictures of the images themselves, which every column shows: the page holds each once.
#[derive(Default)]
struct Shared {
    files: Vec<String>,
    images: String,
}

impl Shared {
    /// What shows the images at a time; none where there is no picture of them.
    fn show(&mut self, column: &Column, t: f64) -> Option<String> {
        let file = &picture_of(column, t, None)?.file;
        let png = &column.variant.map_pngs[file];
        let (width, height) = png_size(png)?;
        let known = self.files.iter().position(|known| known == file);
        let place = known.unwrap_or_else(|| {
            let _ = write!(
                self.images,
                "<image id=\"maps-image-{}\" width=\"{width}\" height=\"{height}\" href=\"{}\"/>",
                self.files.len(),
                data_uri(png)
            );
            self.files.push(file.clone());
            self.files.len() - 1
        });
        let label = format!("the images at t = {}", time(t));
        Some(format!(
            "<svg class=\"shared\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\"><use \
             href=\"#maps-image-{place}\"/></svg>"
        ))
    }

    /// An element that holds the pictures and takes no room.
    fn definitions(&self) -> String {
        format!(
            "<svg width=\"0\" height=\"0\" style=\"position:absolute\" aria-hidden=\"true\"><defs>{}</defs></svg>\n",
            self.images
        )
    }
}

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
            Column {
                index,
                variant,
                of,
                maps: maps
                    .iter()
                    .filter(|map| map.of == of && variant.map_pngs.contains_key(&map.file))
                    .collect(),
            }
        }));
    }
    columns.retain(|column| !column.maps.is_empty());
    columns
}

/// The table of one time; `images` shows the images themselves.
fn panel(columns: &[Column], t: f64, images: Option<&str>) -> String {
    let networks: Vec<_> = columns
        .iter()
        .filter(|c| c.of != MapOf::Images && c.maps.iter().any(|map| map.t == t))
        .collect();
    let depths: BTreeSet<usize> = networks
        .iter()
        .flat_map(|c| &c.maps)
        .filter(|m| m.t == t)
        .map(|m| m.depth)
        .collect();
    let head: String = networks
        .iter()
        .map(|c| {
            format!(
                "<th scope=\"col\" data-variant=\"{}\">{}{}<span>{}</span></th>",
                c.index,
                swatch(c.index),
                escape(&c.variant.name),
                whose(c.of)
            )
        })
        .collect();
    let mut body = String::new();
    // The images are the same for all; each column shows them, so that the eye need not travel.
    if let Some(images) = images {
        let cells: String = networks
            .iter()
            .map(|c| format!("<td data-variant=\"{}\">{images}</td>", c.index))
            .collect();
        let _ = writeln!(body, "<tr><th scope=\"row\">images</th>{cells}</tr>");
    }
    for depth in depths {
        let cells: String = networks
            .iter()
            .map(|c| match picture_of(c, t, Some(depth)) {
                Some(map) => {
                    let alt = format!("{}, {}, depth {depth}, t = {}", c.variant.name, whose(c.of), time(t));
                    format!(
                        "<td data-variant=\"{}\">{}<small>{}</small></td>",
                        c.index,
                        image(&c.variant.map_pngs[&map.file], &alt),
                        percent(map.explained)
                    )
                }
                None => format!("<td data-variant=\"{}\"></td>", c.index),
            })
            .collect();
        let _ = writeln!(body, "<tr><th scope=\"row\">depth {depth}</th>{cells}</tr>");
    }
    let label = format!("Feature maps at t = {}", time(t));
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table>\n<caption>{label}</caption>\n\
         <thead><tr><th scope=\"col\">depth</th>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>"
    )
}

/// The picture at a time and a depth; images are at depth 0, and at the nearest time where they are shown at one alone.
fn picture_of<'a>(column: &Column<'a>, t: f64, depth: Option<usize>) -> Option<&'a Map> {
    let here = column
        .maps
        .iter()
        .find(|map| map.t == t && depth.is_none_or(|depth| map.depth == depth));
    let any = || column.maps.first().filter(|_| depth.is_none());
    here.or_else(any).copied()
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
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn every_time_has_a_panel_and_a_switch_and_every_network_a_column() {
        let body = section(&example(), true).unwrap().body;
        assert_eq!(body.matches("type=\"radio\"").count(), 3);
        assert_eq!(body.matches("class=\"panel\"").count(), 3);
        for words in ["teacher, with label", "teacher, guided", "student", "images", "depth 4"] {
            assert!(body.contains(words), "{words}");
        }
        let (held, shown) = (body.matches("<image ").count(), body.matches("<use ").count());
        assert_eq!(held, 3, "one picture of the images a time");
        assert!(shown > held, "every column shows it");
    }

    #[test]
    fn without_room_or_pictures_there_is_a_sentence_or_nothing() {
        assert!(section(&example(), false).unwrap().body.contains("left out"));
        assert!(section(&fixture::report(), true).is_none());
        let mut report = example();
        report.variants.iter_mut().for_each(|v| v.map_pngs.clear());
        assert!(
            section(&report, true).is_none(),
            "a map whose file is gone is not shown"
        );
    }
}
