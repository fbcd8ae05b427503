//! Which curves there are: one family for each name that was logged, all variants' curves in it.

use std::collections::BTreeSet;

use super::content::{Point, Report, Variant};
use super::curve::{Curve, MOST_POINTS};
use super::plot::{Line, Plot};

/// Time constant of the static plot's smoothing, as a fraction of the steps shown.
pub const SMOOTHING: f64 = 0.01;

/// Curves with readable titles, in the order shown, and what to know when reading them.
const KNOWN: [(&str, &str, &str); 5] = [
    ("denoising", "denoising loss", ""),
    (
        "validation",
        "validation loss",
        "Fixed images, times and noise: the same question at every point and to every variant.",
    ),
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

/// All variants' curves of one name.
pub struct Family {
    /// The name under which it was logged.
    pub name: String,
    /// Its title.
    pub label: String,
    /// How to read it; may be empty.
    pub hint: &'static str,
    /// One entry a variant, in the report's order; `None` where it logged no such curve.
    pub curves: Vec<Option<Curve>>,
    /// Sentences about what the plot cannot show: gaps, single points, thinned curves, seeds left out.
    pub remarks: Vec<String>,
}

/// The families of a report: the known ones first, then the others by name.
pub fn families(report: &Report) -> Vec<Family> {
    families_within(report, MOST_POINTS)
}

/// The same with at most so many points a curve.
pub fn families_within(report: &Report, most: usize) -> Vec<Family> {
    let names: BTreeSet<&str> = report
        .variants
        .iter()
        .flat_map(|v| v.curves.keys().chain(v.seed_curves.iter().flat_map(|c| c.keys())))
        .map(String::as_str)
        .collect();
    let known = KNOWN.iter().copied().filter(|(name, ..)| names.contains(name));
    let others = names.iter().filter(|name| KNOWN.iter().all(|known| known.0 != **name));
    let others = others.map(|name| (*name, "", ""));
    known
        .chain(others)
        .map(|(name, label, hint)| family(report, name, label, hint, most))
        .collect()
}

fn family(report: &Report, name: &str, label: &str, hint: &'static str, most: usize) -> Family {
    let variants = report.variants.iter();
    let curves: Vec<Option<Curve>> = variants.map(|v| curve(report, v, name, most)).collect();
    let mut remarks = Vec::new();
    for (variant, curve) in report.variants.iter().zip(&curves) {
        let said = curve
            .as_ref()
            .map_or(vec!["has no such curve".to_string()], Curve::remarks);
        remarks.extend(said.into_iter().map(|remark| format!("{} {remark}.", variant.name)));
    }
    let label = if label.is_empty() {
        name.replace('_', " ")
    } else {
        label.to_string()
    };
    Family {
        name: name.to_string(),
        label,
        hint,
        curves,
        remarks,
    }
}

/// A variant's curve over its seeds, or over the first alone where no other is known.
fn curve(report: &Report, variant: &Variant, name: &str, most: usize) -> Option<Curve> {
    let seed = |i: usize| report.seeds.get(i).copied().unwrap_or(i as u64);
    let seeds = variant.seed_curves.iter().enumerate();
    let mut logged: Vec<(u64, &[Point])> = seeds
        .filter_map(|(i, curves)| Some((seed(i), curves.get(name)?.as_slice())))
        .collect();
    if logged.is_empty() {
        logged = vec![(seed(0), variant.curves.get(name)?.as_slice())];
    }
    Some(Curve::new(&logged, most))
}

impl Family {
    /// The most seeds that a curve is the mean of.
    pub fn seeds(&self) -> usize {
        self.curves
            .iter()
            .flatten()
            .map(|curve| curve.runs.len())
            .max()
            .unwrap_or(0)
    }

    /// The static plot: smoothed means over faint raw ones, with bands from the least to the largest seed.
    pub fn plot(&self, report: &Report) -> Plot {
        let steps = || self.curves.iter().flatten().flat_map(|curve| &curve.steps);
        let span = steps().max().unwrap_or(&0) - steps().min().unwrap_or(&0);
        let constant = span as f64 * SMOOTHING;
        let lines = self.curves.iter().enumerate().filter_map(|(variant, curve)| {
            let curve = curve.as_ref()?;
            let smooth = curve.smoothed(constant);
            Some(Line {
                variant,
                name: report.variants[variant].name.clone(),
                points: smooth.mean(),
                faint: curve.mean(),
                band: smooth.band(),
                ..Line::default()
            })
        });
        Plot {
            title: self.label.clone(),
            x_label: "step".into(),
            lines: lines.collect(),
            ..Plot::large()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn known_curves_come_first_and_their_oddities_are_said() {
        let mut report = fixture::report();
        report.variants[0].curves.insert("a_metric".into(), vec![]);
        let families = families(&report);
        let labels: Vec<&str> = families.iter().map(|family| family.label.as_str()).collect();
        assert_eq!(labels, ["denoising loss", "validation loss", "a metric"]);
        assert_eq!(
            families[0].remarks[0],
            "none has a value that is not finite, at step 3: a gap in the line."
        );
        assert_eq!(families[1].remarks[0], "none has one point only.");
        assert_eq!(
            families[2].remarks[..2],
            ["none has no points.", "self-transcendence has no such curve."]
        );
        assert!(families[2].plot(&report).svg().contains("nothing to draw"));
    }

    #[test]
    fn curves_over_seeds_take_the_place_of_the_first_seeds() {
        let mut report = fixture::report();
        let point = |value| vec![Point { step: 1, value }];
        report.seeds = vec![3, 4];
        report.variants[0].seed_curves = [2.0, 4.0]
            .map(|value| [("denoising".into(), point(value))].into())
            .into();
        let families = families(&report);
        assert_eq!(families[0].curves[0].as_ref().unwrap().mean(), [[1.0, 3.0]]);
        assert_eq!((families[0].seeds(), families[1].seeds()), (2, 1));
    }
}
