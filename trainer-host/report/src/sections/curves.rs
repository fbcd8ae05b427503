//! Curves logged during training: a family of curves for each name, all variants in it.

use std::collections::BTreeSet;

use crate::chart::{Chart, Curve, Line, Lines, file_name};
use crate::content::{Point, Report};
use crate::measure::Unit;
use crate::section::{Block, Section};
use crate::spent::Spent;

/// The most values that a curve keeps, over all of its seeds.
const MOST_POINTS: usize = 600;

/// Time constant of smoothing, as a fraction of the steps shown.
const SMOOTHING: f64 = 0.01;

/// Curves with readable titles, in the order shown, and what to know when reading them.
const KNOWN: [(&str, &str, &str); 5] = [
    (
        "validation",
        "validation loss",
        "Fixed images, times and noise: the same question at every point and to every variant.",
    ),
    ("denoising", "denoising loss", ""),
    (
        "guidance",
        "guidance loss",
        "Before its coefficient, and on a scale that is each source’s own: compare shapes, not heights.",
    ),
    (
        "grad_norm",
        "gradient norm",
        "Of all trained parameters, before the clip.",
    ),
    (
        "guidance_share",
        "guidance’s share of the gradient",
        "The source’s part in the norm of the trunk’s gradient.",
    ),
];

/// The curves of the first screen.
const FIRST: [&str; 2] = ["validation", "denoising"];

/// The way in which every curve is shown.
const BY_STEP: &str = "by step";

/// All variants' curves of one name.
struct Family {
    name: String,
    label: String,
    hint: &'static str,
    /// One entry a variant, in the report's order; `None` where it logged no such curve.
    curves: Vec<Option<Curve>>,
}

/// The losses by step, the end of the validation loss, and the same over images, operations and time: each with a name for the
/// switch between them.
pub fn first_screen(report: &Report) -> Vec<(String, Chart)> {
    let mut charts = Vec::new();
    for family in families(report).iter().filter(|family| family.is_first()) {
        let whole = family.lines(report);
        let mut add = |way: &str, lines: Lines| {
            let suffix = match way {
                BY_STEP => String::new(),
                way => format!("-{}", file_name(way)),
            };
            let file = format!("curve-{}{suffix}", file_name(&family.name));
            charts.push((format!("{}, {way}", family.label), Chart::new(file, family.hint, lines)));
        };
        add(BY_STEP, whole.clone());
        if family.name != FIRST[0] {
            continue;
        }
        let ends = whole.lines.iter().flat_map(|line| line.points.last());
        let middle = ends.map(|p| p[0]).fold(0.0, f64::max) / 2.0;
        let late = |line: &Line| line.points.iter().filter(|p| p[0] >= middle).count() > 2;
        if whole.lines.iter().any(late) {
            let from = Some(middle);
            add("second half", Lines { from, ..whole.clone() });
        }
        for spent in [Spent::Images, Spent::Operations, Spent::Time] {
            if let Some(lines) = over(spent, report, &whole) {
                add(&format!("by {}", spent.name()), lines);
            }
        }
    }
    charts
}

/// The lines over what was spent, earlier phases on the bill; none where it is known of no variant.
fn over(spent: Spent, report: &Report, lines: &Lines) -> Option<Lines> {
    let pace = |line: &Line| &report.variants[line.variant].pace;
    let known = lines.lines.iter().filter(|line| spent.at(pace(line), 0.0).is_some());
    let ends = known
        .clone()
        .filter_map(|line| spent.at(pace(line), line.points.last()?[0]));
    let unit = Unit::fitting(spent.quantity(), ends);
    let placed = known.cloned().map(|mut line| {
        let pace = pace(&line);
        let place = |x: &mut f64| *x = spent.at(pace, *x).unwrap_or(f64::NAN) / unit.size;
        line.points.iter_mut().for_each(|p| place(&mut p[0]));
        line.faint.iter_mut().for_each(|p| place(&mut p[0]));
        line.band.iter_mut().for_each(|p| place(&mut p[0]));
        line
    });
    let placed: Vec<Line> = placed.collect();
    (!placed.is_empty()).then(|| Lines {
        x_label: format!("{}, earlier phases on the bill", unit.head(spent.name())),
        lines: placed,
        ..lines.clone()
    })
}

/// The section: the other curves, and what cannot be seen in any of them.
pub fn section(report: &Report) -> Option<Section> {
    let families = families(report);
    let others = families.iter().filter(|family| !family.is_first());
    let charts = others.map(|family| {
        let Lines { size, ticks, .. } = Lines::small();
        let lines = family.lines(report);
        let file = format!("curve-{}", file_name(&family.name));
        Chart::new(file, family.hint, Lines { size, ticks, ..lines })
    });
    let charts: Vec<Chart> = charts.collect();
    let remarks: Vec<String> = families.iter().flat_map(|family| family.remarks(report)).collect();
    (!charts.is_empty() || !remarks.is_empty()).then(|| Section {
        id: "curves",
        title: "Other curves of training".into(),
        blocks: vec![Block::Charts(charts), Block::Words(remarks.join(" "))],
    })
}

/// The families of a report: the known ones first, then the others by name.
fn families(report: &Report) -> Vec<Family> {
    let names: BTreeSet<&str> = report
        .variants
        .iter()
        .flat_map(|v| v.curves.iter().flat_map(|c| c.keys()))
        .map(String::as_str)
        .collect();
    let known = KNOWN.iter().copied().filter(|(name, ..)| names.contains(name));
    let others = names.iter().filter(|name| KNOWN.iter().all(|known| known.0 != **name));
    let others = others.map(|name| (*name, "", ""));
    let family = |(name, label, hint): (&str, &str, &'static str)| {
        let curve = |variant: &crate::Variant| {
            let seed = |i: usize| report.seeds.get(i).copied().unwrap_or(i as u64);
            let seeds = variant.curves.iter().enumerate();
            let logged: Vec<(u64, &[Point])> = seeds
                .filter_map(|(i, curves)| Some((seed(i), curves.get(name)?.as_slice())))
                .collect();
            (!logged.is_empty()).then(|| Curve::new(&logged, MOST_POINTS))
        };
        Family {
            name: name.to_owned(),
            label: if label.is_empty() {
                name.replace('_', " ")
            } else {
                label.to_owned()
            },
            hint,
            curves: report.variants.iter().map(curve).collect(),
        }
    };
    known.chain(others).map(family).collect()
}

impl Family {
    fn is_first(&self) -> bool {
        FIRST.contains(&self.name.as_str())
    }

    /// Smoothed means over faint raw ones, with bands from the least to the largest seed.
    fn lines(&self, report: &Report) -> Lines {
        let steps = || self.curves.iter().flatten().flat_map(|curve| &curve.steps);
        let span = steps().max().unwrap_or(&0) - steps().min().unwrap_or(&0);
        let constant = span as f64 * SMOOTHING;
        let lines = self.curves.iter().enumerate().filter_map(|(variant, curve)| {
            let curve = curve.as_ref()?;
            // The validation loss is exact as it is.
            let smooth = if self.name == FIRST[0] {
                curve.clone()
            } else {
                curve.smoothed(constant)
            };
            Some(Line {
                variant,
                name: report.variants[variant].name.clone(),
                points: smooth.mean(),
                faint: curve.mean(),
                band: smooth.band(),
                ..Line::default()
            })
        });
        Lines {
            title: self.label.clone(),
            x_label: "step".into(),
            lines: lines.collect(),
            ..Lines::large()
        }
    }

    /// Sentences about what the charts cannot show: gaps, single points, seeds left out.
    fn remarks<'a>(&'a self, report: &'a Report) -> impl Iterator<Item = String> + 'a {
        let curves = report.variants.iter().zip(&self.curves);
        curves.flat_map(move |(variant, curve)| {
            let said = curve.as_ref().map_or_else(Vec::new, Curve::remarks);
            said.into_iter()
                .map(move |remark| format!("{}: {} {remark}.", self.label, variant.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn known_curves_come_first_and_their_oddities_are_said() {
        let mut report = fixture::hostile();
        report.variants[0].curves[0].insert("a_metric".into(), vec![]);
        let families = families(&report);
        let labels: Vec<&str> = families.iter().map(|family| family.label.as_str()).collect();
        assert_eq!(labels, ["validation loss", "denoising loss", "a metric"]);
        let said = |i: usize| families[i].remarks(&report).next().unwrap();
        assert_eq!(said(0), "validation loss: none has one point only.");
        assert_eq!(
            said(1),
            "denoising loss: none has a value that is not finite, at step 3: a gap in the line."
        );
        assert_eq!(said(2), "a metric: none has no points.");
        assert!(families[2].lines(&report).body().contains("nothing to draw"));
    }

    #[test]
    fn curves_are_means_over_seeds() {
        let mut report = fixture::hostile();
        let point = |value| vec![Point { step: 1, value }];
        report.seeds = vec![3, 4];
        report.variants[0].curves = [2.0, 4.0]
            .map(|value| [("denoising".into(), point(value))].into())
            .into();
        let families = families(&report);
        let denoising = families.iter().find(|family| family.name == "denoising").unwrap();
        assert_eq!(denoising.curves[0].as_ref().unwrap().mean(), [[1.0, 3.0]]);
    }

    #[test]
    fn the_first_screen_has_the_losses_over_every_axis_that_is_known() {
        let report = fixture::example();
        let names: Vec<String> = first_screen(&report).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "validation loss, by step",
                "validation loss, second half",
                "validation loss, by images",
                "validation loss, by operations",
                "validation loss, by training time",
                "denoising loss, by step"
            ]
        );
        let (_, Chart { lines, .. }) = &first_screen(&report)[4];
        let first = |variant: usize| lines.lines[variant].points[0][0];
        assert!(first(2) > first(0), "the earlier phase is on the bill");
        let mut bare = fixture::hostile();
        bare.variants.iter_mut().for_each(|v| v.pace = crate::Pace::default());
        assert_eq!(first_screen(&bare).len(), 2, "nothing is known of its pace");
    }
}
