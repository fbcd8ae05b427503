//! Samples that are copies of training images.

use sextant_records::evaluation::Copies;

use crate::content::Report;
use crate::number::{percent, significant};
use crate::section::{Block, Section};
use crate::seed_mean::SeedMean;
use crate::table::{Cell, Column, Row, Table};

/// The section; none where it was not measured.
pub fn section(report: &Report) -> Option<Section> {
    let table = table(report)?;
    let words = format!(
        "Distances in the pixels, as root mean square on the scale 0 to 1, from a sample to its nearest training image. A copy is much nearer to one \
         training image than to the second nearest, and nearer than held-out images lie. {}The same of held-out images, which cannot be copies, is the \
         floor.",
        rule(report)
    );
    let mut blocks = vec![Block::Words(words), Block::Table(table)];
    let shown = report.variants.iter().enumerate().filter_map(|(variant, of)| {
        let picture = Cell::picture(of.neighbours_png.as_ref()?, "");
        Some(Row::of(variant, &of.name, [picture]))
    });
    let heads = [Column::text("variant"), Column::text("samples and neighbours")];
    let pictures = Table::new("Nearest training images", heads).with(shown);
    if !pictures.rows.is_empty() {
        let words = "The most suspicious samples of the first seed, each as three images: the sample, its nearest training image, and the second nearest that \
                     is no near-duplicate of it.";
        blocks.extend([Block::Words(words.into()), Block::Table(pictures)]);
    }
    Section::new("copies", "Copies of training images", blocks)
}

/// The rule in numbers; the same for all variants, since held-out images give it.
fn rule(report: &Report) -> String {
    let rule = report
        .evaluations()
        .find_map(|evaluation| Some(evaluation.copies.as_ref()?.rule));
    rule.map_or_else(String::new, |rule| {
        format!(
            "Here: within {} of a training image, as only the nearest {} of the held-out images are, and at most {} times as far from it as from the \
             nearest that is no near-duplicate of it. ",
            significant(rule.distance, 3, 4),
            percent(rule.quantile),
            significant(rule.ratio, 3, 2)
        )
    })
}

/// One row a variant, and the floor.
fn table(report: &Report) -> Option<Table> {
    let first = report.evaluations().find_map(|evaluation| evaluation.copies.as_ref())?;
    let heads = [
        Column::text("variant"),
        "copies ↓".into(),
        "nearest training image, median".into(),
        "nearest over second nearest, median".into(),
    ];
    let caption = format!("Copies among {} samples at each run’s chosen scale", first.samples);
    let cells = |[copies, distance, ratio]: [SeedMean; 3]| [copies.percent(), distance.text(), ratio.text()];
    let rows = report.variants.iter().enumerate().filter_map(|(index, variant)| {
        let over = |value: fn(&Copies) -> f64| SeedMean::evaluations(variant, |e| e.copies.as_ref().map(value));
        let of = [over(|c| c.fraction)?, over(|c| c.distance)?, over(|c| c.ratio)?];
        Some(Row::of(index, &variant.name, cells(of)))
    });
    let one = |value: f64| SeedMean::new([value]);
    let floor = [
        one(first.held_out_fraction)?,
        one(first.held_out_distance)?,
        one(first.held_out_ratio)?,
    ];
    let floor = Row::floor("held-out images", cells(floor));
    Some(Table::new(caption, heads).with(rows).with([floor]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_rule_is_said_in_numbers() {
        let report = fixture::example();
        let said = rule(&report);
        let place = [
            "within 0.0800 of a training image",
            "the nearest 5 % of",
            "at most 0.50 times",
        ];
        assert!(place.iter().all(|words| said.contains(words)), "{said}");
    }

    #[test]
    fn the_floor_is_the_last_row_and_pictures_are_shown_where_there_are_any() {
        let mut report = fixture::example();
        let last = table(&report).unwrap().rows.pop().unwrap();
        assert!(last.name() == "held-out images" && last.is_floor);
        let pictures = |report: &Report| section(report).unwrap().tables().filter(|t| t.has_pictures()).count();
        assert_eq!(pictures(&report), 1);
        report.variants.iter_mut().for_each(|v| v.neighbours_png = None);
        assert_eq!(pictures(&report), 0);
        assert!(section(&fixture::hostile()).is_none());
    }
}
