//! Whether samples are copies of training images.

use super::content::Report;
use super::markup::{Section, escape, image};
use super::number::{percent, significant};
use super::over::{Over, cell, percent_cell};
use super::plot::swatch;
use super::sheet::{Sheet, SheetRow};
use sextant_records::evaluation::Copies;

/// The page's section; none where it was not measured.
pub fn section(report: &Report, pictures: bool) -> Option<Section> {
    let sheet = sheet(report);
    if sheet.rows.is_empty() {
        return None;
    }
    let shown = report.variants.iter().enumerate().filter_map(|(index, variant)| {
        let png = variant.neighbours_png.as_ref()?;
        let name = escape(&variant.name);
        let picture = image(png, &format!("suspicious samples of {} and nearest training images", variant.name));
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
            "<h3>Nearest training images</h3>\n<p>The most suspicious samples of the first seed, each as three images: the sample, its nearest \
             training image, and the second nearest that is no near-duplicate of it.</p>\n\
             <div class=\"sheets\">{shown}</div>\n"
        ),
    };
    let body = format!(
        "<p>Distances in the pixels themselves, as root mean square on the scale 0 to 1, from a sample to its nearest training image. A copy is much \
         nearer to one training image than to the second nearest, and nearer than held-out images lie. {}The same of held-out images, which \
         cannot be copies, is the floor.</p>\n{}{shown}",
        rule(report),
        sheet.html()
    );
    Section::new("copies", "Copies of training images", body)
}

/// What a copy is, in numbers; the same for all variants, since held-out images give it. Empty where it was not kept.
fn rule(report: &Report) -> String {
    first(report).and_then(|copies| copies.rule).map_or_else(String::new, |rule| {
        format!(
            "Here: within {} of a training image, as only the nearest {} of the held-out images are, and at most {} times as far from it \
             as from the nearest that is no near-duplicate of it. ",
            significant(rule.distance, 3, 4),
            percent(rule.quantile),
            significant(rule.ratio, 3, 2)
        )
    })
}

fn first(report: &Report) -> Option<&Copies> {
    let mut all = report.variants.iter().flat_map(|v| v.evaluations.iter().flatten());
    all.find_map(|evaluation| evaluation.copies.as_ref())
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
    let first = first(report);
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
        caption: format!("Copies among {samples} samples at each run’s chosen scale"),
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
    fn the_rule_is_said_where_it_was_kept() {
        let mut report = example();
        report.variants.iter_mut().for_each(|variant| {
            let copies = variant.evaluations.iter_mut().flatten().flat_map(|e| &mut e.copies);
            copies.for_each(|copies| copies.rule = None);
        });
        assert!(!section(&report, false).unwrap().body.contains("Here: within"));
        let copies = report.variants[0].evaluations[0].as_mut().unwrap().copies.as_mut();
        let kept = serde_json::json!({ "distance": 0.08, "quantile": 0.05, "ratio": 0.5 });
        copies.unwrap().rule = serde_json::from_value(kept).unwrap();
        let body = section(&report, false).unwrap().body;
        for words in [
            "Here: within 0.0800 of a training image",
            "the nearest 5 % of",
            "at most 0.50 times",
        ] {
            assert!(body.contains(words), "{words} in {body}");
        }
    }

    #[test]
    fn the_floor_is_the_last_row_and_pictures_can_be_left_out() {
        let report = example();
        assert_eq!(sheet(&report).rows.last().unwrap().name, "held-out images");
        let with = section(&report, true).unwrap().body;
        assert!(with.contains("<img") && with.contains("The most suspicious samples"));
        let without = section(&report, false).unwrap().body;
        assert!(!without.contains("<img") && without.contains("left out"));
        assert!(section(&fixture::report(), true).is_none());
    }
}
