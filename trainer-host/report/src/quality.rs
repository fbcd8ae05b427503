//! Quality of samples: scores by judge and scale beside their floors, and the sweep that chose the scale.

use std::collections::BTreeSet;

use super::chart::legend;
use super::content::{Report, Variant};
use super::markup::{Section, escape, figure, scrolling};
use super::number::significant;
use super::over::{Over, with_error};
use super::plot::{Line, Plot};
use super::sheet::{Sheet, SheetRow};
use sextant_records::evaluation::{Evaluation, Quality, Scores};

/// The scores: name with an arrow to where it is good, and how to read it off.
type Score = (&'static str, fn(&Scores) -> f64);

const SCORES: [Score; 6] = [
    ("kernel distance ↓", |s| s.kernel),
    ("Fréchet distance ↓", |s| s.frechet),
    ("precision ↑", |s| s.precision),
    ("recall ↑", |s| s.recall),
    ("density ↑", |s| s.density),
    ("coverage ↑", |s| s.coverage),
];

/// The page's section; none where quality was not measured.
pub fn section(report: &Report) -> Option<Section> {
    let tables: String = sheets(report).iter().map(Sheet::html).collect();
    if tables.is_empty() {
        return None;
    }
    let disagreements: String = report
        .disagreements
        .iter()
        .map(|words| format!("<p class=\"warning\">{}</p>\n", escape(words)))
        .collect();
    let body = format!(
        "<p>Samples are compared with the data in the feature space of judge networks: {}. Every variant draws from the same noise and \
         labels. Lower is better at ↓, higher at ↑. {} The last row is the floor: what real images score against real \
         images, held-out ones against the training part where as many are held out, or else a part of the training part against the rest of \
         it.</p>\n{disagreements}{tables}{}",
        escape(
            &judges(report)
                .iter()
                .map(|(name, words)| format!("{name} ({words})"))
                .collect::<Vec<_>>()
                .join("; ")
        ),
        spread_words(report),
        sweep(report)
    );
    Section::new("quality", "Quality of samples", body)
}

/// One table a judge.
pub fn sheets(report: &Report) -> Vec<Sheet> {
    let heads = ["variant", "scale"].into_iter().chain(SCORES.map(|(name, _)| name));
    let heads: Vec<String> = heads.map(str::to_owned).collect();
    judges(report)
        .iter()
        .map(|(judge, _)| {
            let mut rows = Vec::new();
            for (index, variant) in report.variants.iter().enumerate() {
                let all: Vec<&Evaluation> = variant.evaluations.iter().flatten().collect();
                let at_one: Vec<&Quality> = all.iter().filter_map(|e| scored(e, judge, 1.0)).collect();
                let chosen: Vec<&Quality> = all.iter().filter_map(|e| chosen(e, judge)).collect();
                if !at_one.is_empty() {
                    rows.push(SheetRow::of(index, &variant.name, cells("1", &at_one)));
                }
                if !chosen.is_empty() && chosen.iter().any(|quality| quality.scale != 1.0) {
                    let scales = format!("{} (chosen)", scales_of(&chosen));
                    rows.push(SheetRow::of(index, &variant.name, cells(&scales, &chosen)));
                }
            }
            let floors = report.variants.iter().flat_map(|v| v.evaluations.iter().flatten());
            let floors: Vec<&Quality> = floors
                .filter_map(|e| e.floors.iter().find(|floor| floor.judge == *judge))
                .take(1)
                .collect();
            let samples = rows_samples(report, judge);
            if let (false, Some(floor)) = (rows.is_empty(), floors.first()) {
                let name = format!("{} real images", floor.samples);
                rows.push(SheetRow::floor(&name, cells("—", &floors)));
            }
            Sheet {
                caption: format!("Judge {judge}, {samples} samples"),
                heads: heads.clone(),
                rows,
                words: vec![1],
            }
        })
        .filter(|sheet| !sheet.rows.is_empty())
        .collect()
}

fn rows_samples(report: &Report, judge: &str) -> String {
    let all = report.variants.iter().flat_map(|v| v.evaluations.iter().flatten());
    let counts: BTreeSet<usize> = all
        .flat_map(|e| &e.quality)
        .filter(|q| q.judge == judge)
        .map(|q| q.samples)
        .collect();
    counts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// The mean over seeds and its spread; of one seed, the kernel distance has a standard error of its own.
fn cells(scale: &str, of: &[&Quality]) -> Vec<String> {
    let mut cells = vec![scale.to_owned()];
    cells.extend(SCORES.iter().enumerate().map(|(i, (_, value))| {
        let over = Over::new(of.iter().map(|quality| value(&quality.scores)));
        match (i, of) {
            (0, [one]) => with_error(one.scores.kernel, Some(one.scores.kernel_error)),
            _ => over.map_or_else(|| "—".into(), |over| over.text()),
        }
    }));
    cells
}

fn spread_words(report: &Report) -> &'static str {
    let seeds = report
        .variants
        .iter()
        .map(|v| v.evaluations.iter().flatten().count())
        .max();
    if seeds.unwrap_or(0) > 1 {
        "Numbers are means over seeds, after ± their standard deviation."
    } else {
        "One seed: what stands after ± is the kernel distance’s standard error."
    }
}

/// Names and descriptions of all judges, in the recipe's order.
pub fn judges(report: &Report) -> Vec<(String, String)> {
    let mut judges: Vec<(String, String)> = Vec::new();
    for evaluation in report.variants.iter().flat_map(|v| v.evaluations.iter().flatten()) {
        let described = evaluation.judges.iter().map(|j| (&j.name, j.description.as_str()));
        let named = evaluation.quality.iter().map(|q| (&q.judge, ""));
        for (name, words) in described.chain(named) {
            if judges.iter().all(|(known, _)| known != name) {
                judges.push((name.clone(), words.to_owned()));
            }
        }
    }
    judges
}

/// The scores by this judge at this scale.
pub fn scored<'a>(evaluation: &'a Evaluation, judge: &str, scale: f64) -> Option<&'a Quality> {
    evaluation.quality.iter().find(|q| q.judge == judge && q.scale == scale)
}

/// The judge that decides: the recipe's first.
pub fn first_judge(evaluation: &Evaluation) -> Option<&str> {
    let named = evaluation.judges.first().map(|judge| &judge.name);
    let judge = named.or_else(|| evaluation.quality.first().map(|quality| &quality.judge));
    judge.map(String::as_str)
}

/// The scores at the scale that was chosen for this run; at 1 where none was.
pub fn chosen<'a>(evaluation: &'a Evaluation, judge: &str) -> Option<&'a Quality> {
    scored(
        evaluation,
        judge,
        evaluation.sweep.as_ref().map_or(1.0, |sweep| sweep.chosen),
    )
}

fn scales_of(of: &[&Quality]) -> String {
    let first = of[0].scale;
    let text = |scale: f64| {
        significant(scale, 3, 2)
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    };
    if of.iter().all(|quality| quality.scale == first) {
        text(first)
    } else {
        of.iter()
            .map(|quality| text(quality.scale))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The sweep's figure; empty where no scale was chosen among several.
fn sweep(report: &Report) -> String {
    let Some(plot) = sweep_plot(report) else {
        return String::new();
    };
    let first = report.variants.iter().flat_map(|v| v.evaluations.iter().flatten());
    let Some(sweep) = first.filter_map(|evaluation| evaluation.sweep.as_ref()).next() else {
        return String::new();
    };
    let caption = format!(
        "Kernel distance by judge {} over the scale of classifier-free guidance, on {} samples a scale of other noise than those that are \
         scored. Error bars are {}. Each run chooses its scale; a ring marks it where all runs of a variant agree.",
        sweep.judge,
        sweep.samples,
        if report.variants.iter().any(|v| sweeps(v).len() > 1) {
            "the standard deviation over seeds"
        } else {
            "one standard error"
        }
    );
    format!(
        "<h3>Guidance scale at sampling</h3>\n{}{}<details><summary>The sweep’s numbers</summary>\n{}</details>\n",
        legend(report, "legend-scale"),
        figure(
            &scrolling(&plot.svg(), "Kernel distance over the guidance scale"),
            &caption
        ),
        sweep_sheet(report).html()
    )
}

fn sweeps(variant: &Variant) -> Vec<&sextant_records::evaluation::ScaleSweep> {
    variant
        .evaluations
        .iter()
        .flatten()
        .filter_map(|e| e.sweep.as_ref())
        .collect()
}

/// Mean and error at each scale.
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
        let over = Over::new(points.iter().map(|p| p.kernel))?;
        Some((scale, over.mean, over.deviation.unwrap_or(points[0].kernel_error)))
    };
    scales.into_iter().filter_map(at).collect()
}

/// The sweep's curve; none where nobody swept over two scales.
pub fn sweep_plot(report: &Report) -> Option<Plot> {
    let mut lines = Vec::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let points = sweep_points(variant);
        let chosen: Vec<f64> = sweeps(variant).iter().map(|sweep| sweep.chosen).collect();
        let agreed = chosen.iter().all(|scale| scale == &chosen[0]);
        let ring = points
            .iter()
            .find(|(scale, ..)| agreed && chosen.first() == Some(scale));
        lines.push(Line {
            variant: index,
            name: variant.name.clone(),
            errors: points.iter().map(|(x, y, e)| [*x, y - e, y + e]).collect(),
            ring: ring.map(|(x, y, _)| [*x, *y]),
            points: points.into_iter().map(|(x, y, _)| [x, y]).collect(),
            dots: true,
            ..Line::default()
        });
    }
    lines.retain(|line| line.points.len() > 1);
    (!lines.is_empty()).then(|| Plot {
        title: "kernel distance, lower is better".into(),
        x_label: "scale of classifier-free guidance".into(),
        lines,
        ..Plot::medium()
    })
}

/// The sweep as a table: kernel distance by scale, and which scale each seed chose.
pub fn sweep_sheet(report: &Report) -> Sheet {
    let all: Vec<Vec<(f64, f64, f64)>> = report.variants.iter().map(sweep_points).collect();
    let scales: Vec<f64> = all
        .iter()
        .find(|points| points.len() > 1)
        .map_or_else(Vec::new, |p| p.iter().map(|p| p.0).collect());
    let rows = report
        .variants
        .iter()
        .zip(&all)
        .enumerate()
        .filter(|(_, (_, points))| points.len() > 1);
    let rows = rows.map(|(index, (variant, points))| {
        let mut cells: Vec<String> = scales
            .iter()
            .map(|scale| {
                points
                    .iter()
                    .find(|(x, ..)| x == scale)
                    .map_or_else(|| "—".into(), |(_, y, e)| with_error(*y, Some(*e)))
            })
            .collect();
        let chosen = sweeps(variant)
            .iter()
            .map(|sweep| significant(sweep.chosen, 3, 2))
            .collect::<Vec<_>>();
        cells.push(chosen.join(", "));
        SheetRow::of(index, &variant.name, cells)
    });
    Sheet {
        caption: "Kernel distance by scale, and the scale that each seed chose".into(),
        rows: rows.collect(),
        heads: std::iter::once("variant".to_owned())
            .chain(
                scales
                    .iter()
                    .map(|scale| format!("scale {}", significant(*scale, 3, 2))),
            )
            .chain(std::iter::once("chosen".to_owned()))
            .collect(),
        words: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn nothing_measured_is_no_section() {
        assert!(section(&fixture::report()).is_none());
        assert!(sweep_plot(&fixture::report()).is_none());
    }

    #[test]
    fn every_judge_has_a_table_that_ends_with_its_floor() {
        let report = example();
        let sheets = sheets(&report);
        assert_eq!(sheets.len(), judges(&report).len());
        for sheet in sheets {
            assert_eq!(sheet.rows.last().unwrap().name, "360 real images");
            assert!(
                sheet.rows.iter().any(|row| row.cells[0].ends_with("(chosen)")),
                "{sheet:?}"
            );
            assert!(sheet.rows.iter().all(|row| row.cells.len() + 1 == sheet.heads.len()));
        }
    }

    #[test]
    fn disagreement_of_judges_is_printed() {
        let report = example();
        assert!(!report.disagreements.is_empty());
        assert!(
            section(&report)
                .unwrap()
                .body
                .contains(&escape(&report.disagreements[0]))
        );
    }

    #[test]
    fn a_single_seed_has_the_standard_error_of_its_kernel_distance() {
        let mut report = example();
        report.variants.iter_mut().for_each(|v| v.evaluations.truncate(1));
        let first = report.variants[0].evaluations[0].as_ref().unwrap().quality[0].scores;
        let expected = with_error(first.kernel, Some(first.kernel_error));
        assert_eq!(sheets(&report)[0].rows[0].cells[1], expected);
        assert!(section(&report).unwrap().body.contains("One seed"));
    }
}
