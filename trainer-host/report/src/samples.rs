//! The sample grids beside each other, and a slider over the training.

use std::fmt::Write;

use serde_json::{Value, json};

use super::album::Album;
use super::chart::legend;
use super::content::{Report, SampleGrid, Variant};
use super::markup::{Section, data_uri, escape, png_size};
use super::number::count;
use super::plot::swatch;

/// The page's section; none without samples. Without a script it shows the last grids.
pub fn section(report: &Report, album: &Album) -> Option<Section> {
    if report.variants.iter().all(|variant| last(variant).is_none()) {
        return None;
    }
    let note = if report.grid.note.is_empty() {
        String::new()
    } else {
        format!(" {}", escape(&report.grid.note))
    };
    let scales = [
        ("fit", "fit", " checked"),
        ("2", "2×", ""),
        ("4", "4×", ""),
        ("8", "8×", ""),
    ]
    .map(|(value, name, checked)| {
        format!(r#"<label><input type="radio" name="scale" id="scale-{value}"{checked}> {name}</label>"#)
    });
    let body = format!(
        r#"<p>Every grid starts from the same noise and asks for the same classes: a place in one grid compares with the same place in the others.{note}</p>
{}{}{}<fieldset class="sizes"><legend>Size</legend>{}</fieldset>
<div class="sheets" role="region" aria-labelledby="samples" tabindex="0">{}</div>
"#,
        classes(&report.grid),
        legend(report, "legend-samples"),
        slider(album),
        scales.concat(),
        figures(report)
    );
    Section::new("samples", "Samples", body)
}

/// The control over training, which stays hidden until a script works it, and a sentence where grids are left out.
fn slider(album: &Album) -> String {
    let thinned = if album.thinned {
        "<p class=\"hint\">Grids of some steps are left out, to keep this page small; all are in the runs’ folders.</p>\n"
    } else {
        ""
    };
    let [_, .., last] = album.steps.as_slice() else {
        return thinned.to_owned();
    };
    let most = album.steps.len() - 1;
    format!(
        r#"<form id="training" hidden><label>Training <input id="progress" type="range" min="0" max="{most}" step="1" value="{most}" aria-describedby="progress-hint"> <output id="progress-step" for="progress">step {}</output></label> <small id="progress-hint">each variant’s last grid up to that step</small></form>
{thinned}"#,
        count(*last)
    )
}

/// What the script puts into the figures: for each variant the steps of its grids and the grids themselves.
pub fn data(report: &Report, album: &Album) -> Value {
    let shown = |variant: &Variant| {
        let grids = variant
            .grids
            .iter()
            .filter(|grid| album.steps.contains(&grid.step) && png_size(&grid.png).is_some());
        let (steps, images): (Vec<u64>, Vec<String>) = grids.map(|grid| (grid.step, data_uri(&grid.png))).unzip();
        json!({ "steps": steps, "images": images })
    };
    match album.steps.len() {
        0 | 1 => json!({ "steps": [], "variants": [] }),
        _ => json!({ "steps": album.steps, "variants": report.variants.iter().map(shown).collect::<Vec<_>>() }),
    }
}

/// The grid at the end.
pub fn last(variant: &Variant) -> Option<&Vec<u8>> {
    variant
        .samples_png
        .as_ref()
        .or_else(|| Some(&variant.grids.last()?.png))
}

/// One figure a variant: its grid as a data URI, with the class names; or words in its place.
fn figures(report: &Report) -> String {
    let mut out = String::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let name = escape(&variant.name);
        let _ = write!(
            out,
            r#"<figure data-variant="{index}"><figcaption>{}<strong>{name}</strong> <small class="step"></small></figcaption>{}</figure>"#,
            swatch(index),
            sheet(variant, &report.grid)
        );
    }
    out
}

fn sheet(variant: &Variant, grid: &SampleGrid) -> String {
    let Some(png) = last(variant) else {
        return r#"<p class="absent">no samples</p>"#.to_string();
    };
    let Some((width, height)) = png_size(png) else {
        return r#"<p class="absent">the samples are not a PNG image</p>"#.to_string();
    };
    let labels = Labels::of(grid);
    let image = format!(
        r#"<img alt="{} samples of {}" width="{width}" height="{height}" src="{}">"#,
        grid.columns * grid.rows,
        escape(&variant.name),
        data_uri(png)
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
fn classes(grid: &SampleGrid) -> String {
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

    #[test]
    fn the_slider_is_over_steps_of_which_there_are_several() {
        let report = super::super::example();
        let album = Album::new(&report, 2_000_000);
        assert!(section(&report, &album).unwrap().body.contains("id=\"progress\""));
        let of = data(&report, &album);
        assert_eq!(of["steps"].as_array().unwrap().len(), album.steps.len());
        assert_eq!(of["variants"].as_array().unwrap().len(), report.variants.len());
        let one = Album {
            steps: album.steps[..1].to_vec(),
            thinned: true,
            ..album
        };
        let body = section(&report, &one).unwrap().body;
        assert!(!body.contains("id=\"progress\"") && body.contains("Grids of some steps are left out"));
        assert_eq!(data(&report, &one)["steps"], json!([]));
    }
}
