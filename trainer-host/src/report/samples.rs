//! The sample grids beside each other.

use std::fmt::Write;

use super::content::{Report, SampleGrid, Variant};
use super::markup::{base64, escape};
use super::plot::swatch;

/// One figure a variant: its grid as a data URI, with the class names; or words in its place.
pub fn figures(report: &Report) -> String {
    let mut out = String::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let name = escape(&variant.name);
        let _ = write!(
            out,
            r#"<figure><figcaption>{}<strong>{name}</strong></figcaption>{}</figure>"#,
            swatch(index),
            sheet(variant, &report.grid)
        );
    }
    out
}

fn sheet(variant: &Variant, grid: &SampleGrid) -> String {
    let Some(png) = &variant.samples_png else {
        return r#"<p class="absent">no samples</p>"#.to_string();
    };
    let Some((width, height)) = png_size(png) else {
        return r#"<p class="absent">the samples are not a PNG image</p>"#.to_string();
    };
    let labels = Labels::of(grid);
    let image = format!(
        r#"<img alt="{} samples of {}" width="{width}" height="{height}" src="data:image/png;base64,{}">"#,
        grid.columns * grid.rows,
        escape(&variant.name),
        base64(png)
    );
    let (left, below) = match &labels {
        Labels::Rows(names) => (list("rows", names), String::new()),
        Labels::Columns(names) => (String::new(), list("columns", names)),
        Labels::Listed | Labels::None => Default::default(),
    };
    format!(
        r#"<div class="sheet" style="--width:{width}px;--height:{height}">{left}<div class="image">{image}{below}</div></div>"#
    )
}

fn list(class: &str, names: &[String]) -> String {
    let items: String = names
        .iter()
        .map(|name| format!("<li><span>{}</span></li>", escape(name)))
        .collect();
    format!(r#"<ol class="{class}" style="--count:{}">{items}</ol>"#, names.len())
}

/// The class names as a sentence, where they fit neither the columns nor the rows.
pub fn legend(grid: &SampleGrid) -> String {
    match Labels::of(grid) {
        Labels::Listed => format!("<p>Classes, row by row: {}.</p>", escape(&grid.labels.join(", "))),
        _ => String::new(),
    }
}

/// Where the class names go.
#[derive(Debug, PartialEq)]
enum Labels {
    None,
    /// One below each column.
    Columns(Vec<String>),
    /// One left of each row.
    Rows(Vec<String>),
    /// In words.
    Listed,
}

impl Labels {
    fn of(grid: &SampleGrid) -> Self {
        let labels = &grid.labels;
        if labels.is_empty() {
            return Self::None;
        }
        let cells = grid.columns * grid.rows;
        if grid.columns == 0 || (labels.len() != grid.columns && labels.len() != cells) {
            return Self::Listed;
        }
        let rows = || labels.chunks(grid.columns);
        if rows().all(|row| row == &labels[..grid.columns]) {
            Self::Columns(labels[..grid.columns].to_vec())
        } else if rows().all(|row| row.iter().all(|label| label == &row[0])) {
            Self::Rows(rows().map(|row| row[0].clone()).collect())
        } else {
            Self::Listed
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
    use super::super::fixture;
    use super::*;

    fn grid(columns: usize, rows: usize, labels: &[&str]) -> SampleGrid {
        SampleGrid {
            columns,
            rows,
            labels: labels.iter().map(ToString::to_string).collect(),
            note: String::new(),
        }
    }

    #[test]
    fn class_names_go_where_they_are_constant() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            Labels::of(&grid(2, 3, &["a", "b"])),
            Labels::Columns(names(&["a", "b"]))
        );
        assert_eq!(
            Labels::of(&grid(2, 2, &["a", "b", "a", "b"])),
            Labels::Columns(names(&["a", "b"]))
        );
        assert_eq!(
            Labels::of(&grid(2, 2, &["a", "a", "b", "b"])),
            Labels::Rows(names(&["a", "b"]))
        );
        assert_eq!(Labels::of(&grid(2, 2, &["a", "b", "c", "d"])), Labels::Listed);
        assert_eq!(Labels::of(&grid(2, 2, &["a", "b", "c"])), Labels::Listed);
        assert_eq!(Labels::of(&grid(0, 0, &["a"])), Labels::Listed);
        assert_eq!(Labels::of(&grid(0, 0, &[])), Labels::None);
    }

    #[test]
    fn a_grid_is_embedded_and_what_is_no_image_is_said() {
        let mut png = Vec::new();
        let image = image::RgbImage::new(6, 4);
        image
            .write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)
            .unwrap();
        let mut report = fixture::report();
        report.variants[0].samples_png = Some(png);
        report.variants[1].samples_png = Some(b"GIF89a".to_vec());
        let html = figures(&report);
        assert!(html.contains(r#"width="6" height="4" src="data:image/png;base64,iVBOR"#));
        assert!(html.contains("<li><span>&lt;/script&gt;</span></li>"));
        assert!(html.contains("the samples are not a PNG image"));
        assert!(html.contains("no samples"));
    }
}
