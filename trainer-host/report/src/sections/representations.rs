//! The tokens of each depth: linear probes and alignment with another network.

use std::collections::BTreeSet;

use sextant_records::evaluation::Representations;

use crate::chart::{Chart, Level, Line, Lines};
use crate::content::{Report, Variant};
use crate::number::significant;
use crate::section::{Block, Section};
use crate::seed_mean::SeedMean;
use crate::table::{Cell, Column, Row, Table};

/// A number at every depth and time.
struct Measured {
    file: &'static str,
    name: &'static str,
    is_fraction: bool,
    /// All its values in one run: depth, time, value.
    values: fn(&Representations) -> Vec<(usize, f64, f64)>,
}

const PROBE: Measured = Measured {
    file: "probe",
    name: "probe accuracy",
    is_fraction: true,
    values: |r| r.probes.iter().map(|p| (p.depth, p.t, p.accuracy)).collect(),
};

const ALIGNMENT: Measured = Measured {
    file: "cknna",
    name: "CKNNA",
    is_fraction: false,
    values: |r| r.alignment.iter().map(|a| (a.depth, a.t, a.cknna)).collect(),
};

/// All representations of a variant, one a seed.
fn measured(variant: &Variant) -> impl Iterator<Item = &Representations> {
    variant
        .evaluations
        .iter()
        .flatten()
        .filter_map(|e| e.representations.as_ref())
}

fn all(report: &Report) -> impl Iterator<Item = &Representations> {
    report.variants.iter().flat_map(measured)
}

/// The section; none where representations were not measured.
pub fn section(report: &Report) -> Option<Section> {
    let first = all(report).next()?;
    let words = format!(
        "Linear classifiers on the mean of each depth’s tokens, fitted on {} training images and tried on {} held-out ones (the dashed line is the accuracy of \
         always naming the commonest class); and CKNNA, the mutual nearest neighbours (k = 10) with the features of the judge {}, which guided nobody. \
         The null class is fed to the network. Lines are means over seeds, bands reach from the least to the largest. t = 0 is data, t = 1 is noise; \
         depth 0 is the embedded patches.",
        first.training, first.held_out, first.compared_with
    );
    let mut blocks = vec![Block::Words(words)];
    for measure in [PROBE, ALIGNMENT] {
        blocks.push(Block::Charts(charts(report, &measure)));
        blocks.push(Block::Table(table(report, &measure)));
    }
    Section::new("representations", "Representations by depth: probes and CKNNA", blocks)
}

/// A time in as many digits as it has.
pub fn time(t: f64) -> String {
    let text = significant(t, 3, 3);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The times of a measure, rising.
fn times(report: &Report, measure: &Measured) -> Vec<f64> {
    let mut times: Vec<f64> = all(report).flat_map(measure.values).map(|(_, t, _)| t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// The values of a variant's seeds at a time and a depth.
fn at(variant: &Variant, measure: &Measured, t: f64, depth: usize) -> Vec<f64> {
    let values = measured(variant).flat_map(measure.values);
    let here = values.filter(|(of, at, _)| (*of, *at) == (depth, t));
    here.map(|(.., value)| value).collect()
}

fn depths(report: &Report, measure: &Measured) -> Vec<usize> {
    let depths: BTreeSet<usize> = all(report).flat_map(measure.values).map(|(depth, ..)| depth).collect();
    depths.into_iter().collect()
}

/// A chart a time, all on one scale of heights.
fn charts(report: &Report, measure: &Measured) -> Vec<Chart> {
    let depths = depths(report, measure);
    let extent: Vec<f64> = all(report).flat_map(measure.values).map(|(.., value)| value).collect();
    let chance = all(report).flat_map(|r| &r.probes).map(|p| p.chance).next();
    let chance = chance.filter(|_| measure.file == PROBE.file).map(|at| Level {
        name: "chance".into(),
        at,
    });
    let line = |t: f64, variant: usize, of: &Variant| {
        let over = depths.iter().map(|&depth| (depth as f64, at(of, measure, t, depth)));
        let over: Vec<(f64, Vec<f64>)> = over.filter(|(_, values)| !values.is_empty()).collect();
        let span = |v: &[f64]| {
            (
                v.iter().copied().fold(f64::NAN, f64::min),
                v.iter().copied().fold(f64::NAN, f64::max),
            )
        };
        let spans = over.iter().filter(|(_, values)| values.len() > 1);
        Line {
            variant,
            name: of.name.clone(),
            points: over
                .iter()
                .map(|(x, v)| [*x, v.iter().sum::<f64>() / v.len() as f64])
                .collect(),
            band: spans
                .map(|(x, v)| (*x, span(v)))
                .map(|(x, (low, high))| [x, low, high])
                .collect(),
            dots: true,
            ..Line::default()
        }
    };
    let chart = |t: f64| {
        let lines = report.variants.iter().enumerate().map(|(index, of)| line(t, index, of));
        let drawing = Lines {
            title: format!("{}, t = {}", measure.name, time(t)),
            x_label: "depth".into(),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
            levels: chance.iter().cloned().collect(),
            extent: extent.clone(),
            ticks: (depths.len().saturating_sub(1).clamp(1, 6), 5),
            ..Lines::small()
        };
        Chart::lines(format!("{}-t{}", measure.file, time(t)), "", drawing)
    };
    times(report, measure).into_iter().map(chart).collect()
}

/// Rows are times of variants, columns depths.
fn table(report: &Report, measure: &Measured) -> Table {
    let (times, depths) = (times(report, measure), depths(report, measure));
    let heads = depths.iter().map(|depth| format!("depth {depth}").into());
    let heads = [Column::text("variant"), "t".into()].into_iter().chain(heads);
    let row = |index: usize, variant: &Variant, t: f64| {
        let cells = depths.iter().map(|depth| -> Cell {
            let over = SeedMean::new(at(variant, measure, t, *depth));
            over.map(|over| {
                if measure.is_fraction {
                    over.percent()
                } else {
                    over.text()
                }
            })
            .into()
        });
        Row::of(index, &variant.name, [time(t).into()].into_iter().chain(cells))
    };
    let variants = report
        .variants
        .iter()
        .enumerate()
        .filter(|(_, variant)| measured(variant).next().is_some());
    let rows = variants.flat_map(|(index, variant)| times.iter().map(move |t| (index, variant, *t)));
    Table::new(measure.name, heads).with(rows.map(|(index, variant, t)| row(index, variant, t)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Drawing;
    use crate::fixture;

    #[test]
    fn there_is_a_chart_for_each_time_on_one_scale_with_chance() {
        let charts = charts(&fixture::example(), &PROBE);
        let lines: Vec<&Lines> = charts
            .iter()
            .map(|chart| match &chart.drawing {
                Drawing::Lines(lines) => lines,
                other => panic!("{other:?}"),
            })
            .collect();
        let files: Vec<&str> = charts.iter().map(|chart| chart.file.as_str()).collect();
        assert_eq!(files, ["probe-t0.2", "probe-t0.5", "probe-t0.8"]);
        assert!(lines.windows(2).all(|pair| pair[0].extent == pair[1].extent));
        assert!(lines.iter().all(|of| of.levels.len() == 1 && of.lines.len() == 4));
        assert!(lines[0].lines[0].band.len() > 1, "three seeds have a band");
    }

    #[test]
    fn probes_are_per_cent_and_alignment_is_not() {
        let report = fixture::example();
        let first = |measure| table(&report, measure).rows[0].cells[2].text.clone();
        assert_eq!(table(&report, &PROBE).rows.len(), 4 * 3, "every time of every variant");
        assert!(first(&PROBE).ends_with(" %") && !first(&ALIGNMENT).contains('%'));
        assert!(section(&fixture::hostile()).is_none());
    }

    #[test]
    fn times_have_no_idle_digits() {
        assert_eq!([0.2, 0.25, 1.0, 0.0].map(time), ["0.2", "0.25", "1", "0"]);
    }
}
