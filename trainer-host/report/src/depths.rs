//! What each depth's tokens hold: linear probes, alignment with another network, and what the label explains.

use std::collections::BTreeSet;

use super::chart::legend;
use super::content::{Report, Variant};
use super::markup::{Section, escape, figure, row_of_plots};
use super::number::significant;
use super::over::{Over, cell, percent_cell};
use super::plot::{Level, Line, Plot};
use super::sheet::{Sheet, SheetRow};
use sextant_records::evaluation::Representations;

/// Something that is measured at every depth and time.
pub struct Measured {
    /// The name of its file.
    pub file: &'static str,
    /// Its name.
    pub name: &'static str,
    /// All its values in one run: depth, time, value.
    values: fn(&Representations) -> Vec<(usize, f64, f64)>,
}

/// Probes and alignment.
pub const MEASURED: [Measured; 3] = [
    Measured {
        file: "probe",
        name: "probe accuracy",
        values: |r| r.probes.iter().map(|p| (p.depth, p.t, p.accuracy)).collect(),
    },
    Measured {
        file: "cknna",
        name: "CKNNA",
        values: |r| r.alignment.iter().map(|a| (a.depth, a.t, a.cknna)).collect(),
    },
    Measured {
        file: "cka",
        name: "linear CKA",
        values: |r| r.alignment.iter().map(|a| (a.depth, a.t, a.cka)).collect(),
    },
];

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

/// The page's section; none where representations were not measured.
pub fn section(report: &Report) -> Option<Section> {
    let first = all(report).next()?;
    let mut body = format!(
        "<p>Linear classifiers on the mean of each depth’s tokens, fitted on {} training images and tried on {} held-out ones; the null class is \
         fed to the network, so that nothing tells it the label. Lines are means over seeds, bands reach from the least to the largest. Higher at a \
         shallower depth means learned earlier in the network. t = 0 is data, t = 1 is noise; depth 0 is the embedded patches.</p>\n{}",
        first.training,
        first.held_out,
        legend(report, "legend-depths")
    );
    for measure in &MEASURED {
        let plots = plots(report, measure);
        if plots.is_empty() {
            continue;
        }
        let about = match measure.file {
            "probe" => "The dashed line is the accuracy of always naming the commonest class.".to_owned(),
            "cknna" => format!(
                "Mutual nearest neighbours with the features of the judge {}, which guided nobody (k = 10).",
                first.compared_with
            ),
            _ => format!(
                "Linear similarity to the features of the judge {}.",
                first.compared_with
            ),
        };
        let figures: String = plots
            .iter()
            .map(|(t, plot)| figure(&plot.svg(), &format!("{} over depth, t = {}", measure.name, time(*t))))
            .collect();
        let name = capital(measure.name);
        body.push_str(&format!(
            "<h3>{name}</h3>\n<p>{}</p>\n{}",
            escape(&about),
            row_of_plots(&figures)
        ));
        let tables: String = sheets(report, measure).iter().map(Sheet::html).collect();
        body.push_str(&format!(
            "<details><summary>{name} in numbers</summary>\n{tables}</details>\n"
        ));
    }
    let labels = label_sheet(report);
    if !labels.rows.is_empty() {
        body.push_str(&format!(
            "<h3>What the label alone explains</h3>\n<p>Share of the variance of each guided target that lies between labels, corrected for their \
             number. A target that the label explains teaches little more than the label.</p>\n{}",
            labels.html()
        ));
    }
    Section::new("representations", "Representations", body)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
    let of = |r: &Representations| {
        (measure.values)(r)
            .into_iter()
            .find(|(d, of, _)| (*d, *of) == (depth, t))
    };
    measured(variant).filter_map(of).map(|(_, _, value)| value).collect()
}

fn depths(report: &Report, measure: &Measured) -> Vec<usize> {
    let depths: BTreeSet<usize> = all(report).flat_map(measure.values).map(|(depth, ..)| depth).collect();
    depths.into_iter().collect()
}

/// One plot a time, all on one scale of heights.
pub fn plots(report: &Report, measure: &Measured) -> Vec<(f64, Plot)> {
    let depths = depths(report, measure);
    let extent = all(report).flat_map(measure.values).map(|(.., value)| value);
    let extent: Vec<f64> = extent.collect();
    let chance = (measure.file == "probe")
        .then(|| all(report).flat_map(|r| &r.probes).map(|p| p.chance).next())
        .flatten();
    let plot = |t: f64| {
        let lines = report.variants.iter().enumerate().map(|(index, variant)| {
            let over = depths
                .iter()
                .map(|&depth| (depth as f64, at(variant, measure, t, depth)));
            let over: Vec<(f64, Vec<f64>)> = over.filter(|(_, values)| !values.is_empty()).collect();
            let spans = over.iter().filter(|(_, values)| values.len() > 1);
            Line {
                variant: index,
                name: variant.name.clone(),
                points: over
                    .iter()
                    .map(|(x, v)| [*x, v.iter().sum::<f64>() / v.len() as f64])
                    .collect(),
                band: spans
                    .map(|(x, v)| {
                        [
                            *x,
                            v.iter().copied().fold(f64::NAN, f64::min),
                            v.iter().copied().fold(f64::NAN, f64::max),
                        ]
                    })
                    .collect(),
                dots: true,
                ..Line::default()
            }
        });
        Plot {
            title: format!("{}, t = {}", measure.name, time(t)),
            x_label: "depth".into(),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
            levels: chance
                .iter()
                .map(|&at| Level {
                    name: "chance".into(),
                    at,
                })
                .collect(),
            extent: extent.clone(),
            ticks: (depths.len().saturating_sub(1).clamp(1, 6), 5),
            ..Plot::small()
        }
    };
    times(report, measure).into_iter().map(|t| (t, plot(t))).collect()
}

/// One table a time: rows are variants, columns depths.
pub fn sheets(report: &Report, measure: &Measured) -> Vec<Sheet> {
    let depths = depths(report, measure);
    let heads = std::iter::once("variant".to_owned()).chain(depths.iter().map(|depth| format!("depth {depth}")));
    let heads: Vec<String> = heads.collect();
    let variants = || {
        report
            .variants
            .iter()
            .enumerate()
            .filter(|(_, variant)| measured(variant).next().is_some())
    };
    let row = |t: f64, index: usize, variant: &Variant| {
        let cells = depths.iter().map(|depth| {
            let over = Over::new(at(variant, measure, t, *depth));
            match measure.file {
                "probe" => percent_cell(over),
                _ => cell(over),
            }
        });
        SheetRow::of(index, &variant.name, cells.collect())
    };
    let sheet = |t: f64| Sheet {
        caption: format!("{}, t = {}", capital(measure.name), time(t)),
        heads: heads.clone(),
        rows: variants().map(|(index, variant)| row(t, index, variant)).collect(),
        words: Vec::new(),
    };
    times(report, measure).into_iter().map(sheet).collect()
}

/// What the label explains of each target: rows are targets of variants, columns times.
pub fn label_sheet(report: &Report) -> Sheet {
    let mut times: Vec<f64> = all(report).flat_map(|r| &r.label_parts).map(|part| part.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut rows = Vec::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let targets: BTreeSet<&str> = measured(variant)
            .flat_map(|r| &r.label_parts)
            .map(|p| p.target.as_str())
            .collect();
        for target in targets {
            let share = |t: f64| {
                let of =
                    measured(variant).filter_map(|r| r.label_parts.iter().find(|p| p.t == t && p.target == target));
                percent_cell(Over::new(of.map(|part| part.share)))
            };
            let cells = std::iter::once(target.to_owned()).chain(times.iter().map(|t| share(*t)));
            rows.push(SheetRow::of(index, &variant.name, cells.collect()));
        }
    }
    Sheet {
        caption: "Share of a target’s variance that the label explains".into(),
        heads: ["variant".to_owned(), "target".to_owned()]
            .into_iter()
            .chain(times.iter().map(|t| format!("t = {}", time(*t))))
            .collect(),
        rows,
        words: vec![1],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn there_is_a_plot_for_each_time_on_one_scale_with_chance() {
        let report = example();
        let plots = plots(&report, &MEASURED[0]);
        assert_eq!(plots.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [0.2, 0.5, 0.8]);
        assert!(plots.windows(2).all(|pair| pair[0].1.extent == pair[1].1.extent));
        assert!(
            plots
                .iter()
                .all(|(_, plot)| plot.levels.len() == 1 && plot.lines.len() == 4)
        );
        assert!(plots[0].1.lines[0].band.len() > 1, "three seeds have a band");
    }

    #[test]
    fn the_section_has_plots_numbers_and_the_labels_share() {
        let body = section(&example()).unwrap().body;
        for words in [
            "Probe accuracy",
            "CKNNA",
            "Linear CKA",
            "What the label alone explains",
            "chance",
        ] {
            assert!(body.contains(words), "{words}");
        }
        assert!(section(&fixture::report()).is_none());
    }

    #[test]
    fn times_have_no_idle_digits() {
        assert_eq!([0.2, 0.25, 1.0, 0.0].map(time), ["0.2", "0.25", "1", "0"]);
    }
}
