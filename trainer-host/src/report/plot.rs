//! The plot: which curves there are, and one of them drawn as SVG. `chart.js` draws the others, on the same scales.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::axis::Axis;
use super::content::{Point, Report};
use super::curve::{Curve, segments};
use super::markup::escape;

/// Width and height of the static plot, and its margins: left, right, top, bottom. `chart.js` has the same.
const SIZE: (f64, f64) = (960.0, 420.0);
const MARGIN: (f64, f64, f64, f64) = (60.0, 14.0, 34.0, 42.0);

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
    /// Its title.
    pub label: String,
    /// How to read it; may be empty.
    pub hint: &'static str,
    /// One entry a variant, in the report's order; `None` where it logged no such curve.
    pub curves: Vec<Option<Curve>>,
    /// Sentences about what the plot cannot show: gaps, single points, thinned curves.
    pub remarks: Vec<String>,
}

/// The families of a report: the known ones first, then the others by name.
pub fn families(report: &Report) -> Vec<Family> {
    let names: BTreeSet<&str> = report
        .variants
        .iter()
        .flat_map(|v| v.curves.keys())
        .map(String::as_str)
        .collect();
    let known = KNOWN.iter().copied().filter(|(name, ..)| names.contains(name));
    let others = names.iter().filter(|name| KNOWN.iter().all(|known| known.0 != **name));
    let others = others.map(|name| (*name, "", ""));
    known
        .chain(others)
        .map(|(name, label, hint)| family(report, name, label, hint))
        .collect()
}

fn family(report: &Report, name: &str, label: &str, hint: &'static str) -> Family {
    let curves = report
        .variants
        .iter()
        .map(|variant| variant.curves.get(name).map(|points| Curve::new(points)));
    let curves: Vec<Option<Curve>> = curves.collect();
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
        label,
        hint,
        curves,
        remarks,
    }
}

/// The classes that give a variant's line its colour and its dashes: 64 variants differ, neighbours in both.
pub fn line_class(variant: usize) -> String {
    format!("c{} d{}", variant % 8, (variant + variant / 8) % 8)
}

/// A short piece of a variant's line, for legends and headings.
pub fn swatch(variant: usize) -> String {
    let class = line_class(variant);
    format!(
        r#"<svg class="swatch" width="30" height="10" aria-hidden="true"><path class="line {class}" d="M1 5H29"/></svg>"#
    )
}

/// The static plot of a family: smoothed lines over faint raw ones.
pub fn svg(family: &Family) -> String {
    let points = || {
        family
            .curves
            .iter()
            .flatten()
            .flat_map(|curve| &curve.points)
            .filter(|p| p.value.is_finite())
    };
    let x = Axis::within(points().map(|point| point.step as f64), 7);
    let y = Axis::covering(points().map(|point| point.value), 6);
    let (left, right, top, bottom) = MARGIN;
    let place_x = |step: f64| left + x.fraction(step) * (SIZE.0 - left - right);
    let place_y = |value: f64| SIZE.1 - bottom - y.fraction(value) * (SIZE.1 - top - bottom);

    let mut out = format!(
        r#"<svg id="plot" viewBox="0 0 {} {}" role="img" aria-label="{} by step, one line a variant">"#,
        SIZE.0,
        SIZE.1,
        escape(&family.label)
    );
    let (first, last) = (place_x(x.low), place_x(x.high));
    for &tick in &y.ticks {
        let at = place_y(tick);
        let _ = write!(
            out,
            r#"<path class="grid" d="M{first:.1} {at:.1}H{last:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            left - 8.0,
            at + 4.0,
            y.label(tick)
        );
    }
    let ground = SIZE.1 - bottom;
    let _ = write!(out, r#"<path class="ground" d="M{first:.1} {ground:.1}H{last:.1}"/>"#);
    for &tick in &x.ticks {
        let at = place_x(tick);
        let _ = write!(
            out,
            r#"<path class="ground" d="M{at:.1} {ground:.1}v5"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            ground + 19.0,
            x.label(tick)
        );
    }
    let _ = write!(
        out,
        r#"<text class="axis" x="{last:.1}" y="{:.1}" text-anchor="end">step</text><text class="axis" x="0" y="14">{}</text>"#,
        ground + 36.0,
        escape(&family.label)
    );
    let constant = (x.high - x.low) * SMOOTHING;
    let curves = || {
        family
            .curves
            .iter()
            .enumerate()
            .filter_map(|(i, curve)| Some((i, curve.as_ref()?)))
    };
    for (variant, curve) in curves() {
        out.push_str(&line(
            &curve.points,
            &format!("raw {}", line_class(variant)),
            place_x,
            place_y,
        ));
    }
    for (variant, curve) in curves() {
        out.push_str(&line(
            &curve.smoothed(constant),
            &format!("line {}", line_class(variant)),
            place_x,
            place_y,
        ));
    }
    if points().next().is_none() {
        let (x, y) = ((first + last) / 2.0, (top + ground) / 2.0);
        let _ = write!(
            out,
            r#"<text class="axis" x="{x:.1}" y="{y:.1}" text-anchor="middle">nothing to draw</text>"#
        );
    }
    out.push_str("</svg>");
    out
}

/// A path through the finite points, lifted at gaps, and a dot for each point that stands alone.
fn line(points: &[Point], class: &str, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let (mut path, mut dots) = (String::new(), String::new());
    for segment in segments(points) {
        if let [alone] = segment {
            let (x, y) = (x(alone.step as f64), y(alone.value));
            let _ = write!(dots, r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#);
            continue;
        }
        for (i, point) in segment.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x(point.step as f64), y(point.value));
        }
    }
    if path.is_empty() {
        dots
    } else {
        format!(r#"<path class="{class}" d="{path}"/>{dots}"#)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture;
    use super::*;

    #[test]
    fn gaps_lift_the_pen_and_lone_points_are_dots() {
        let points = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 4.0, 5.0];
        let points: Vec<Point> = (0..).zip(points).map(|(step, value)| Point { step, value }).collect();
        let line = line(&points, "line c0 d0", |x| x, |y| y);
        assert!(
            line.starts_with(r#"<path class="line c0 d0" d="M0.0 1.0L1.0 2.0M5.0 4.0L6.0 5.0"/>"#),
            "{line}"
        );
        assert_eq!(line.matches("<circle").count(), 1);
    }

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
        assert!(svg(&families[2]).contains("nothing to draw"));
    }

    #[test]
    fn sixty_four_variants_have_lines_of_their_own() {
        let classes: BTreeSet<String> = (0..64).map(line_class).collect();
        assert_eq!(classes.len(), 64);
    }

    proptest! {
        #[test]
        fn no_curve_breaks_the_plot(points in prop::collection::vec((any::<u64>(), any::<f64>()), 0..40)) {
            let mut report = fixture::report();
            let points = points.into_iter().map(|(step, value)| Point { step, value }).collect();
            report.variants[0].curves.insert("denoising".into(), points);
            let svg = svg(&families(&report)[0]);
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
