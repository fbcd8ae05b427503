//! Samples that are copies of training images.

use sextant_records::evaluation::Copies;

use crate::content::Report;
use crate::number::{percent, significant};
use crate::section::{Block, Picture, Section};
use crate::seed_mean::SeedMean;
use crate::table::{Column, Row, Table};

/// The section; none where it was not measured.
pub fn section(report: &Report, pictures: bool) -> Option<Section> {
    let table = table(report)?;
    let words = format!(
        "Distances in the pixels, as root mean square on the scale 0 to 1, from a sample to its nearest training image. A copy is much nearer to one \
         training image than to the second nearest, and nearer than held-out images lie. {}The same of held-out images, which cannot be copies, is the \
         floor.",
        rule(report)
    );
    let mut blocks = vec![Block::Words(words), Block::Table(table)];
    let shown = report.variants.iter().enumerate().filter_map(|(variant, of)| {
        Some(Picture {
            variant,
            name: of.name.clone(),
            alt: format!("suspicious samples of {} and nearest training images", of.name),
            png: of.neighbours_png.clone()?,
        })
    });
    let shown: Vec<Picture> = shown.collect();
    match (shown.is_empty(), pictures) {
        (true, _) => {}
        (false, false) => blocks.push(Block::Words(
            "Pictures of the nearest training images lie in each run’s evaluation folder.".into(),
        )),
        (false, true) => blocks.extend([
            Block::Heading("Nearest training images".into()),
            Block::Words(
                "The most suspicious samples of the first seed, each as three images: the sample, its nearest training image, and the second nearest that \
                 is no near-duplicate of it."
                    .into(),
            ),
            Block::Pictures(shown),
        ]),
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
    let rows = report.variants.iter().enumerate().filter_map(|(index, variant)| {
        let over = |value: fn(&Copies) -> f64| SeedMean::evaluations(variant, |e| e.copies.as_ref().map(value));
        let cells = [
            over(|c| c.fraction)?.percent(),
            over(|c| c.distance)?.text(),
            over(|c| c.ratio)?.text(),
        ];
        Some(Row::of(index, &variant.name, cells))
    });
    let one = |value: f64| SeedMean::new([value]).map(|of| of.text());
    let floor = [
        SeedMean::new([first.held_out_fraction]).map(|of| of.percent()),
        one(first.held_out_distance),
        one(first.held_out_ratio),
    ];
    Some(
        Table::new(caption, heads)
            .with(rows)
            .with([Row::floor("held-out images", floor)]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_rule_is_said_in_numbers() {
        let report = fixture::example();
        let said = rule(&report);
        for words in [
            "within 0.0800 of a training image",
            "the nearest 5 % of",
            "at most 0.50 times",
        ] {
            assert!(said.contains(words), "{words} in {said}");
        }
    }

    #[test]
    fn the_floor_is_the_last_row_and_pictures_can_be_left_out() {
        let report = fixture::example();
        let last = table(&report).unwrap().rows.pop().unwrap();
        assert!(last.name() == "held-out images" && last.is_floor);
        let has_pictures = |shown: bool| {
            let section = section(&report, shown).unwrap();
            section.blocks.iter().any(|block| matches!(block, Block::Pictures(_)))
        };
        assert!(has_pictures(true) && !has_pictures(false));
        assert!(section(&fixture::hostile(), true).is_none());
    }
}
