//! Tables, charts, pictures and sections as HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use crate::chart::{Chart, swatch};
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table, Tone};

/// A section, folded.
pub fn section(section: &Section) -> Markup {
    html! {
        details.section id=(section.id) {
            summary { h2 { (section.title) } }
            @for block in &section.blocks {
                @match block {
                    Block::Words(words) => @if !words.is_empty() { p { (words) } },
                    Block::Heading(title) => h3 { (title) },
                    Block::Table(of) => @if !of.rows.is_empty() { (table(of)) },
                    Block::Code(text) => pre tabindex="0" { (text) },
                    Block::Charts(charts) => @if !charts.is_empty() { div.charts { @for of in charts { (chart(of)) } } },
                }
            }
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
    let name = Some(table.caption.as_str()).filter(|caption| !caption.is_empty());
    html! {
        div.scroll role="region" aria-label=(name.unwrap_or("Table")) tabindex="0" {
            table .pictures[table.has_pictures()] {
                @if let Some(name) = name { caption { (name) } }
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
    // Numbers of a hidden variant stay, its pictures go.
    let hides = row.variant.filter(|_| table.has_pictures());
    html! {
        tr data-row=[row.variant] data-variant=[hides] class=[kind] {
            @for (i, (cell, column)) in row.cells.iter().zip(&table.columns).enumerate() {
                @if i == 0 {
                    th scope="row" .left[column.is_text] { @if let Some(variant) = row.variant { (swatch(variant)) } (cell.text) }
                } @else {
                    td class=[class(cell, column)] {
                        @if let Some(png) = &cell.png { (image(png, &format!("{}, {}, {}", row.name(), table.caption, column.name))) }
                        (cell.text)
                    }
                }
            }
        }
    }
}

/// The classes of an entry, if it needs any.
fn class(cell: &Cell, column: &Column) -> Option<String> {
    let tone = match cell.tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    };
    let classes = format!("{} {tone}", if column.is_text { "left" } else { "" });
    Some(classes.trim().to_owned()).filter(|classes| !classes.is_empty())
}

/// An image within the page; words in its place where it is no PNG.
pub fn image(png: &[u8], alt: &str) -> Markup {
    let source = || format!("data:image/png;base64,{}", STANDARD.encode(png));
    html! {
        @match png_size(png) {
            Some((width, height)) => img alt=(alt) width=(width) height=(height) src=(source());,
            None => span.absent { "not a PNG image" },
        }
    }
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
        let count = |words: &str| html.matches(words).count();
        assert!(
            html.contains("&lt;2&gt;") && html.contains("a &amp; b") && !html.contains("<b>"),
            "{html}"
        );
        assert_eq!((count("class=\"again\""), count("class=\"floor\"")), (1, 1));
    }

    #[test]
    fn an_image_is_embedded_and_what_is_none_is_said() {
        let mut png = std::io::Cursor::new(Vec::new());
        let black = ::image::RgbImage::new(6, 4);
        black.write_to(&mut png, ::image::ImageFormat::Png).unwrap();
        let html = image(png.get_ref(), "a \"picture\"").into_string();
        assert!(
            html.contains(r#"alt="a &quot;picture&quot;" width="6" height="4" src="data:image/png;base64,iVBOR"#),
            "{html}"
        );
        assert!(image(b"GIF89a", "").into_string().contains("not a PNG image"));
    }
}
