//! Quality of samples: scores by judge and guidance scale beside their floors, and the sweep that chose the scale.

use std::collections::BTreeSet;

use sextant_records::evaluation::{Evaluation, Quality, ScaleSweep, Scores};

use crate::chart::{Chart, Line, Lines};
use crate::content::{Report, Variant};
use crate::number::significant;
use crate::section::{Block, Section};
use crate::seed_mean::{SeedMean, with_error};
use crate::table::{Cell, Column, Row, Table};

/// A score: its name with an arrow to where it is good, and how to read it off.
type Score = (&'static str, fn(&Scores) -> f64);

const SCORES: [Score; 4] = [
    ("kernel distance ↓", |s| s.kernel),
    ("Fréchet distance ↓", |s| s.frechet),
    ("precision ↑", |s| s.precision),
    ("recall ↑", |s| s.recall),
];

/// The section; none where quality was not measured.
pub fn section(report: &Report) -> Option<Section> {
    let tables = tables(report);
    if tables.is_empty() {
        return None;
    }
    let judges: Vec<String> = judges(report)
        .iter()
        .map(|(name, words)| format!("{name} ({words})"))
        .collect();
    let seeds = report
        .variants
        .iter()
        .map(|v| v.evaluations.iter().flatten().count())
        .max();
    let spread = match seeds.unwrap_or(0) > 1 {
        true => "Numbers are means over seeds, after ± their standard deviation.",
        false => "One seed: what stands after ± is the kernel distance’s standard error.",
    };
    let words = format!(
        "Samples are compared with the data in the feature space of judge networks: {}. Every variant draws from the same noise and labels. {spread} The last \
         row is the floor: what real images score against real images, held-out ones against the training part where as many are held out, or else a part \
         of the training part against the rest of it.",
        judges.join("; ")
    );
    let mut blocks = vec![Block::Words(words)];
    blocks.extend(tables.into_iter().map(Block::Table));
    if let Some(chart) = sweep(report) {
        blocks.extend([
            Block::Heading("Guidance scale at sampling".into()),
            Block::Charts(vec![chart]),
            Block::Table(sweep_table(report)),
        ]);
    }
    Section::new("quality", "Quality of samples by judge and guidance scale", blocks)
}

/// One table a judge.
fn tables(report: &Report) -> Vec<Table> {
    let heads = || {
        let scores = SCORES.map(|(name, _)| Column::from(name));
        [Column::text("variant"), Column::text("scale")]
            .into_iter()
            .chain(scores)
    };
    let tables = judges(report).into_iter().map(|(judge, _)| {
        let counts: BTreeSet<usize> = report
            .evaluations()
            .flat_map(|e| &e.quality)
            .filter(|q| q.judge == judge)
            .map(|q| q.samples)
            .collect();
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        let mut table = Table::new(format!("Judge {judge}, {} samples", counts.join(" or ")), heads());
        for (index, variant) in report.variants.iter().enumerate() {
            let all: Vec<&Evaluation> = variant.evaluations.iter().flatten().collect();
            let at_one: Vec<&Quality> = all.iter().filter_map(|e| scored(e, &judge, 1.0)).collect();
            let chosen: Vec<&Quality> = all.iter().filter_map(|e| chosen(e, &judge)).collect();
            if !at_one.is_empty() {
                table.rows.push(Row::of(index, &variant.name, cells("1", &at_one)));
            }
            if !chosen.is_empty() && chosen.iter().any(|quality| quality.scale != 1.0) {
                let scales = format!("{} (chosen)", scales_of(&chosen));
                table.rows.push(Row::of(index, &variant.name, cells(&scales, &chosen)));
            }
        }
        let floor = report
            .evaluations()
            .find_map(|e| e.floors.iter().find(|floor| floor.judge == judge));
        if let (false, Some(floor)) = (table.rows.is_empty(), floor) {
            table.rows.push(Row::floor(
                &format!("{} real images", floor.samples),
                cells("—", &[floor]),
            ));
        }
        table
    });
    tables.filter(|table| !table.rows.is_empty()).collect()
}

/// The mean over seeds and its spread; of one seed, the kernel distance has a standard error of its own.
fn cells(scale: &str, of: &[&Quality]) -> Vec<Cell> {
    let scores = SCORES.iter().enumerate().map(|(i, (_, value))| match (i, of) {
        (0, [one]) => with_error(one.scores.kernel, Some(one.scores.kernel_error)).into(),
        _ => SeedMean::new(of.iter().map(|quality| value(&quality.scores)))
            .map(|over| over.text())
            .into(),
    });
    [scale.into()].into_iter().chain(scores).collect()
}

/// Names and descriptions of all judges, in the recipe's order.
fn judges(report: &Report) -> Vec<(String, String)> {
    let mut judges: Vec<(String, String)> = Vec::new();
    for judge in report.evaluations().flat_map(|evaluation| &evaluation.judges) {
        if judges.iter().all(|(known, _)| *known != judge.name) {
            judges.push((judge.name.clone(), judge.description.clone()));
        }
    }
    judges
}

/// The scores by this judge at this scale.
pub fn scored<'a>(evaluation: &'a Evaluation, judge: &str, scale: f64) -> Option<&'a Quality> {
    evaluation.quality.iter().find(|q| q.judge == judge && q.scale == scale)
}

/// The scores at the scale that was chosen for this run; at 1 where none was.
pub fn chosen<'a>(evaluation: &'a Evaluation, judge: &str) -> Option<&'a Quality> {
    scored(
        evaluation,
        judge,
        evaluation.sweep.as_ref().map_or(1.0, |sweep| sweep.chosen),
    )
}

/// The scores by the judge that decides, the recipe's first, at the chosen scale.
pub fn first_judged(evaluation: &Evaluation) -> Option<&Quality> {
    chosen(evaluation, &evaluation.judges.first()?.name)
}

/// A scale in as many digits as it has.
fn scale(scale: f64) -> String {
    let text = significant(scale, 3, 2);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn scales_of(of: &[&Quality]) -> String {
    let mut scales: Vec<String> = of.iter().map(|quality| scale(quality.scale)).collect();
    if scales.iter().all(|one| *one == scales[0]) {
        scales.truncate(1);
    }
    scales.join(", ")
}

fn sweeps(variant: &Variant) -> Vec<&ScaleSweep> {
    variant
        .evaluations
        .iter()
        .flatten()
        .filter_map(|e| e.sweep.as_ref())
        .collect()
}

/// Scale, mean and error at each scale.
fn sweep_points(variant: &Variant) -> Vec<(f64, f64, f64)> {
    let sweeps = sweeps(variant);
    let scales = sweeps
        .first()
        .map_or_else(Vec::new, |sweep| sweep.points.iter().map(|p| p.scale).collect());
    let at = |scale: f64| {
        let points = sweeps
            .iter()
            .filter_map(|sweep| sweep.points.iter().find(|p| p.scale == scale));
        let points: Vec<_> = points.collect();
        let over = SeedMean::new(points.iter().map(|p| p.kernel))?;
        Some((scale, over.mean, over.deviation.unwrap_or(points[0].kernel_error)))
    };
    scales.into_iter().filter_map(at).collect()
}

/// The sweep's curve; none where nobody swept over two scales.
fn sweep(report: &Report) -> Option<Chart> {
    let mut lines = Vec::new();
    for (variant, of) in report.variants.iter().enumerate() {
        let points = sweep_points(of);
        let chosen: Vec<f64> = sweeps(of).iter().map(|sweep| sweep.chosen).collect();
        let agreed = chosen.iter().all(|scale| scale == &chosen[0]);
        let ring = points
            .iter()
            .find(|(scale, ..)| agreed && chosen.first() == Some(scale));
        lines.push(Line {
            variant,
            name: of.name.clone(),
            errors: points.iter().map(|(x, y, e)| [*x, y - e, y + e]).collect(),
            ring: ring.map(|(x, y, _)| [*x, *y]),
            points: points.into_iter().map(|(x, y, _)| [x, y]).collect(),
            dots: true,
            ..Line::default()
        });
    }
    lines.retain(|line| line.points.len() > 1);
    let sweep = report.evaluations().find_map(|evaluation| evaluation.sweep.as_ref())?;
    let errors = match report.variants.iter().any(|v| sweeps(v).len() > 1) {
        true => "the standard deviation over seeds",
        false => "one standard error",
    };
    let caption = format!(
        "Kernel distance by judge {} over the scale of classifier-free guidance, on {} samples a scale of other noise than those that are scored. Error bars \
         are {errors}. Each run chooses its scale; a ring marks it where all runs of a variant agree.",
        sweep.judge, sweep.samples
    );
    (!lines.is_empty()).then(|| {
        let drawing = Lines {
            title: "kernel distance, lower is better".into(),
            x_label: "scale of classifier-free guidance".into(),
            lines,
            ..Lines::medium()
        };
        Chart::lines("guidance-scale", caption, drawing)
    })
}

/// Kernel distance by scale, and which scale each seed chose.
fn sweep_table(report: &Report) -> Table {
    let all: Vec<Vec<(f64, f64, f64)>> = report.variants.iter().map(sweep_points).collect();
    let several = all.iter().find(|points| points.len() > 1);
    let scales: Vec<f64> = several.map_or_else(Vec::new, |points| points.iter().map(|p| p.0).collect());
    let rows = report
        .variants
        .iter()
        .zip(&all)
        .enumerate()
        .filter(|(_, (_, points))| points.len() > 1);
    let rows = rows.map(|(index, (variant, points))| {
        let cells = scales.iter().map(|scale| -> Cell {
            let found = points.iter().find(|(x, ..)| x == scale);
            found.map(|(_, y, e)| with_error(*y, Some(*e))).into()
        });
        let chosen: Vec<String> = sweeps(variant).iter().map(|sweep| scale(sweep.chosen)).collect();
        Row::of(index, &variant.name, cells.chain([chosen.join(", ").into()]))
    });
    let heads = scales
        .iter()
        .map(|of| format!("scale {}", scale(*of)))
        .chain(["chosen".to_owned()]);
    let heads = [Column::text("variant")].into_iter().chain(heads.map(Column::from));
    Table::new("Kernel distance by scale, and the scale that each seed chose", heads).with(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn nothing_measured_is_no_section() {
        assert!(section(&fixture::hostile()).is_none());
        assert!(sweep(&fixture::hostile()).is_none());
    }

    #[test]
    fn every_judge_has_a_table_that_ends_with_its_floor() {
        let report = fixture::example();
        let tables = tables(&report);
        assert_eq!(tables.len(), judges(&report).len());
        for table in tables {
            assert_eq!(table.rows.last().unwrap().name(), "360 real images");
            assert!(
                table.rows.iter().any(|row| row.cells[1].text.ends_with("(chosen)")),
                "{table:?}"
            );
            assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
        }
    }

    #[test]
    fn a_single_seed_has_the_standard_error_of_its_kernel_distance() {
        let report = fixture::example_with(1);
        let first = report.variants[0].evaluations[0].as_ref().unwrap().quality[0].scores;
        let expected = with_error(first.kernel, Some(first.kernel_error));
        assert_eq!(tables(&report)[0].rows[0].cells[2].text, expected);
        assert!(matches!(&section(&report).unwrap().blocks[0], Block::Words(words) if words.contains("One seed")));
    }

    #[test]
    fn a_scale_has_no_idle_digits() {
        assert_eq!([1.0, 1.5, 10.0, 30.0].map(scale), ["1", "1.5", "10", "30"]);
    }
}
