//! Whether samples are copies of training images.

use super::content::Report;
use super::markup::{Section, escape, image};
use super::over::{Over, cell, percent_cell};
use super::plot::swatch;
use super::sheet::{Sheet, SheetRow};
use crate::evaluation::Copies;

/// The page's section; none where it was not measured.
pub fn section(report: &Report, pictures: bool) -> Option<Section> {
    let sheet = sheet(report);
    if sheet.rows.is_empty() {
        return None;
    }
    let shown = report.variants.iter().enumerate().filter_map(|(index, variant)| {
        let png = variant.neighbours_png.as_ref()?;
        let name = escape(&variant.name);
        let picture = image(png, &format!("samples of {} beside their nearest training images", variant.name));
        Some(format!(
            "<figure data-variant=\"{index}\"><figcaption>{}<strong>{name}</strong></figcaption><div class=\"picture\">{picture}</div></figure>",
            swatch(index)
        ))
    });
    let shown: String = shown.collect();
    let shown = match (shown.is_empty(), pictures) {
        (true, _) => String::new(),
        (false, false) => {
            "<p class=\"absent\">The pictures of neighbours are left out, to keep this page small.</p>\n".into()
        }
        (false, true) => format!(
            "<h3>Nearest training images</h3>\n<p>Samples of the first seed, each beside the training image that lies nearest.</p>\n\
             <div class=\"sheets\">{shown}</div>\n"
        ),
    };
    let body = format!(
        "<p>Distances in the pixels themselves, as root mean square on the scale 0 to 1, from a sample to its nearest training image. A copy is much \
         nearer to one training image than to the second nearest, and nearer than held-out images lie. The same of held-out images, which \
         cannot be copies, is the floor.</p>\n{}{shown}",
        sheet.html()
    );
    Section::new("copies", "Copies of training images", body)
}

/// One row a variant, and the floor.
pub fn sheet(report: &Report) -> Sheet {
    let mut rows = Vec::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let over = |value: fn(&Copies) -> f64| Over::evaluations(variant, |e| e.copies.as_ref().map(value));
        if over(|c| c.fraction).is_some() {
            let cells = vec![
                percent_cell(over(|c| c.fraction)),
                cell(over(|c| c.distance)),
                cell(over(|c| c.ratio)),
            ];
            rows.push(SheetRow::of(index, &variant.name, cells));
        }
    }
    let mut all = report.variants.iter().flat_map(|v| v.evaluations.iter().flatten());
    let first = all.find_map(|e| e.copies.as_ref());
    if let Some(floor) = first {
        let one = |value: f64| Over::new([value]);
        let cells = vec![
            percent_cell(one(floor.held_out_fraction)),
            cell(one(floor.held_out_distance)),
            cell(one(floor.held_out_ratio)),
        ];
        rows.push(SheetRow::floor("held-out images", cells));
    }
    let samples = first.map_or(0, |copies| copies.samples);
    Sheet {
        caption: format!("Copies among {samples} samples at the chosen scale"),
        heads: [
            "variant",
            "copies ↓",
            "nearest training image, median",
            "nearest over second nearest, median",
        ]
        .map(str::to_owned)
        .into(),
        rows,
        words: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn the_floor_is_the_last_row_and_pictures_can_be_left_out() {
        let report = example();
        assert_eq!(sheet(&report).rows.last().unwrap().name, "held-out images");
        let with = section(&report, true).unwrap().body;
        assert!(with.contains("<img") && with.contains("nearest training images"));
        let without = section(&report, false).unwrap().body;
        assert!(!without.contains("<img") && without.contains("left out"));
        assert!(section(&fixture::report(), true).is_none());
    }
}
