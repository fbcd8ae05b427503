//! Tables, charts, pictures and sections as HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};

use crate::chart::{Chart, swatch};
use crate::section::{Block, Panel, Picture, Section};
use crate::table::{Cell, Column, Row, Table, Tone};

/// A section, folded.
pub fn section(section: &Section) -> Markup {
    html! {
        details.section id=(section.id) {
            summary { h2 { (section.title) } }
            @for block in &section.blocks { (block_of(block)) }
        }
    }
}

fn block_of(block: &Block) -> Markup {
    html! {
        @match block {
            Block::Words(words) => p { (words) },
            Block::Heading(title) => h3 { (title) },
            Block::Table(of) => @if !of.rows.is_empty() { (table(of)) },
            Block::Code(text) => pre tabindex="0" { (text) },
            Block::Charts(charts) => @if !charts.is_empty() { div.charts { @for of in charts { (chart(of)) } } },
            Block::Pictures(pictures) => div.pictures {
                @for of in pictures {
                    figure data-variant=(of.variant) {
                        figcaption { (swatch(of.variant)) (of.name) }
                        (picture(of))
                    }
                }
            },
            Block::Panels(of) => (panels(of)),
        }
    }
}

/// A chart with the words below it, in a box that scrolls where the page is narrow.
pub fn chart(chart: &Chart) -> Markup {
    html! {
        figure.chart-box {
            div.scroll role="region" aria-label=(chart.title()) tabindex="0" { (chart.svg()) }
            @if !chart.caption.is_empty() { figcaption { (chart.caption) } }
        }
    }
}

/// A table with the notes below it, in a box of its own that scrolls.
pub fn table(table: &Table) -> Markup {
    let name = if table.caption.is_empty() {
        "Table"
    } else {
        &table.caption
    };
    html! {
        div.scroll role="region" aria-label=(name) tabindex="0" {
            table {
                @if !table.caption.is_empty() { caption { (table.caption) } }
                @if table.columns.iter().any(|column| !column.name.is_empty()) {
                    thead { tr { @for column in &table.columns { (head(column)) } } }
                }
                tbody { @for (index, of) in table.rows.iter().enumerate() { (row(table, index, of)) } }
            }
        }
        @if !table.notes.is_empty() { ul.notes { @for note in &table.notes { li { (note) } } } }
    }
}

fn head(column: &Column) -> Markup {
    let meaning = Some(column.meaning).filter(|meaning| !meaning.is_empty());
    html! { th scope="col" .left[column.is_text] title=[meaning] { (column.name) } }
}

fn row(table: &Table, index: usize, row: &Row) -> Markup {
    let before = index.checked_sub(1).map(|before| &table.rows[before]);
    let is_again = before.is_some_and(|before| before.name() == row.name() && before.variant == row.variant);
    let kind = match (is_again, row.is_floor) {
        (true, _) => Some("again"),
        (false, true) => Some("floor"),
        (false, false) => None,
    };
    html! {
        tr data-row=[row.variant] class=[kind] {
            @for (cell, column) in row.cells.iter().zip(&table.columns).take(1) {
                th scope="row" .left[column.is_text] { @if let Some(variant) = row.variant { (swatch(variant)) } (cell.text) }
            }
            @for (cell, column) in row.cells.iter().zip(&table.columns).skip(1) {
                td class=[class(cell, column)] { (cell.text) }
            }
        }
    }
}

/// The classes of an entry, if it needs any.
fn class(cell: &Cell, column: &Column) -> Option<&'static str> {
    Some(match (cell.tone, column.is_text) {
        (Tone::Plain, false) => return None,
        (Tone::Plain, true) => "left",
        (Tone::Good, false) => "good",
        (Tone::Good, true) => "left good",
        (Tone::Bad, false) => "bad",
        (Tone::Bad, true) => "left bad",
        (Tone::Quiet, false) => "quiet",
        (Tone::Quiet, true) => "left quiet",
    })
}

/// Tables of pictures of which a switch shows one; it works without a script.
fn panels(panels: &[Panel]) -> Markup {
    let middle = panels.len() / 2;
    let rules: String = (0..panels.len())
        .map(|i| format!(".panels:has(#panel-choice-{i}:checked) #panel-{i}{{display:block}}"))
        .collect();
    html! {
        style { (PreEscaped(rules)) }
        div.panels {
            fieldset {
                legend { "Time" }
                @for (i, panel) in panels.iter().enumerate() {
                    label { input type="radio" name="panel" id=(format!("panel-choice-{i}")) checked[i == middle]; " " (panel.name) }
                }
            }
            @for (i, panel) in panels.iter().enumerate() {
                div.panel id=(format!("panel-{i}")) {
                    div.scroll role="region" aria-label=(format!("Pictures at {}", panel.name)) tabindex="0" {
                        table {
                            caption { (panel.name) }
                            thead { tr {
                                th {}
                                @for (variant, name, of) in &panel.columns {
                                    th scope="col" data-variant=(variant) { (swatch(*variant)) (name) small { (of) } }
                                }
                            } }
                            tbody {
                                @for (name, cells) in &panel.rows {
                                    tr {
                                        th scope="row" { (name) }
                                        @for (cell, (variant, ..)) in cells.iter().zip(&panel.columns) {
                                            td data-variant=(variant) {
                                                @if let Some((of, words)) = cell { (picture(of)) small { (words) } }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn picture(picture: &Picture) -> Markup {
    image(&picture.png, &picture.alt)
}

/// An image within the page; words in its place where it is no PNG.
pub fn image(png: &[u8], alt: &str) -> Markup {
    html! {
        @match png_size(png) {
            Some((width, height)) => img alt=(alt) width=(width) height=(height) src=(data_uri(png));,
            None => span.absent { "not a PNG image" },
        }
    }
}

fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// Width and height in pixels, from the image's header.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.get(..24)?;
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (header.starts_with(b"\x89PNG\r\n\x1a\n") && &header[12..16] == b"IHDR").then(|| (number(16), number(20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_words_and_a_name_is_shown_once() {
        let row = |cell: &str| Row::of(0, "<b>", [cell]);
        let sheet = Table::new("a & b", ["variant", "x"]).with([row("1"), row("<2>"), Row::floor("floor", ["3"])]);
        let html = table(&sheet).into_string();
        assert!(
            html.contains("&lt;2&gt;") && html.contains("a &amp; b") && !html.contains("<b>"),
            "{html}"
        );
        assert_eq!(
            (
                html.matches("class=\"again\"").count(),
                html.matches("class=\"floor\"").count()
            ),
            (1, 1)
        );
    }

    #[test]
    fn an_image_is_embedded_and_what_is_none_is_said() {
        let mut png = Vec::new();
        let black = ::image::RgbImage::new(6, 4);
        black
            .write_to(&mut std::io::Cursor::new(&mut png), ::image::ImageFormat::Png)
            .unwrap();
        let html = image(&png, "a \"picture\"").into_string();
        assert!(
            html.contains(r#"alt="a &quot;picture&quot;" width="6" height="4" src="data:image/png;base64,iVBOR"#),
            "{html}"
        );
        assert!(image(b"GIF89a", "").into_string().contains("not a PNG image"));
    }
}
