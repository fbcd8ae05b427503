//! Lines over an axis, as SVG.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;
use super::curve::segments;
use super::escape;
use crate::number::significant;
use crate::table::one_line;

/// The most places at which values can be read off.
const MOST_READINGS: usize = 100;

/// Margins: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (60.0, 14.0, 34.0, 42.0);

/// Lines over one axis, before they are SVG.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// The meaning of the height; stands over the axis.
    pub title: String,
    /// The meaning of the width.
    pub x_label: String,
    /// Width and height; text is 12 units high.
    pub size: (f64, f64),
    /// The number of ticks to aim at, across and up.
    pub ticks: (usize, usize),
    /// One a variant.
    pub lines: Vec<Line>,
    /// Levels that the lines are to be held against.
    pub levels: Vec<Level>,
    /// Further heights that its axis covers, such as those of the plots beside it.
    pub extent: Vec<f64>,
    /// The beginning of its axis, if not at the first point: what lies before is not drawn.
    pub from: Option<f64>,
}

/// A variant's line. What is not finite is a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// The variant's place in the report, which gives colour and dashes.
    pub variant: usize,
    /// Its name.
    pub name: String,
    /// The line itself.
    pub points: Vec<[f64; 2]>,
    /// The same before smoothing, drawn faint.
    pub faint: Vec<[f64; 2]>,
    /// Its range over seeds: x, low, high.
    pub band: Vec<[f64; 3]>,
    /// Has each point marked by a dot.
    pub dots: bool,
}

/// A dashed line across the plot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Its place on the axis of heights.
    pub at: f64,
}

/// The classes that give a variant's line its colour and its dashes: 64 variants differ, neighbours in both.
pub fn line_class(variant: usize) -> String {
    format!("c{} d{}", variant % 8, (variant + variant / 8) % 8)
}

/// A short piece of a variant's line, for legends and headings.
pub fn swatch(variant: usize) -> Markup {
    let class = format!("line {}", line_class(variant));
    html! { svg.swatch width="30" height="10" aria-hidden="true" { path class=(class) d="M1 5H29" {} } }
}

impl Lines {
    /// An empty chart for half of a wide page.
    pub fn large() -> Self {
        Self {
            size: (600.0, 360.0),
            ticks: (6, 5),
            ..Self::default()
        }
    }

    /// An empty chart as wide as a paragraph.
    pub fn medium() -> Self {
        Self {
            size: (760.0, 340.0),
            ticks: (6, 5),
            ..Self::default()
        }
    }

    /// An empty chart of which several stand side by side.
    pub fn small() -> Self {
        Self {
            size: (390.0, 270.0),
            ticks: (5, 5),
            ..Self::default()
        }
    }

    /// The lines as they are drawn: from where the axis begins.
    fn drawn(&self) -> Vec<Line> {
        let from = self.from.unwrap_or(f64::NEG_INFINITY);
        let mut lines = self.lines.clone();
        for line in &mut lines {
            line.points.retain(|point| point[0] >= from);
            line.faint.retain(|point| point[0] >= from);
            line.band.retain(|point| point[0] >= from);
        }
        lines
    }

    fn frame(&self, drawn: &[Line]) -> Frame {
        let of_lines = |column: usize| drawn.iter().flat_map(move |line| line.values(column));
        let xs = of_lines(0).filter(|x| x.is_finite());
        let ys = of_lines(1)
            .chain(self.levels.iter().map(|level| level.at))
            .chain(self.extent.iter().copied());
        Frame {
            x: Axis::within(xs, self.ticks.0),
            y: Axis::covering(ys, self.ticks.1),
            size: self.size,
        }
    }

    /// Readings that a script shows while the pointer is over a place: for each of some places a rectangle with the values there, a
    /// line each, a variant's with its place in the report before a colon.
    pub fn readings(&self) -> String {
        let drawn = self.drawn();
        let frame = self.frame(&drawn);
        let mut places: Vec<f64> = drawn.iter().flat_map(|line| &line.points).map(|p| p[0]).collect();
        places.retain(|x| x.is_finite());
        places.sort_by(f64::total_cmp);
        places.dedup();
        let stride = places.len().div_ceil(MOST_READINGS).max(1);
        let places: Vec<f64> = places.into_iter().rev().step_by(stride).rev().collect();
        let at: Vec<f64> = places.iter().map(|x| frame.place_x(*x)).collect();
        let (left, right) = frame.sides();
        let mut out = String::new();
        for (i, x) in places.iter().enumerate() {
            let start = if i == 0 { left } else { (at[i - 1] + at[i]) / 2.0 };
            let end = at.get(i + 1).map_or(right, |next| (at[i] + next) / 2.0);
            let values = drawn.iter().filter_map(|line| {
                let near = line.points.iter().filter(|point| point[1].is_finite());
                let [near, value] = near.min_by(|a, b| (a[0] - x).abs().total_cmp(&(b[0] - x).abs()))?;
                // A line that has nothing here has no value here.
                let here = (start..=end).contains(&frame.place_x(*near));
                here.then(|| {
                    format!(
                        "{}:{} {}",
                        line.variant,
                        one_line(&line.name),
                        significant(*value, 4, 4)
                    )
                })
            });
            let head = format!("{} {}", self.x_label, significant(*x, 4, 3));
            let read: Vec<String> = std::iter::once(head).chain(values).collect();
            let _ = write!(
                out,
                r#"<rect class="read" x="{start:.1}" y="{:.1}" width="{:.1}" height="{:.1}" data-at="{:.1}" data-read="{}"/>"#,
                MARGIN.2,
                (end - start).max(0.1),
                self.size.1 - MARGIN.2 - MARGIN.3,
                at[i],
                escape(&read.join("\n"))
            );
        }
        out
    }

    /// The marks within the SVG element.
    pub fn body(&self) -> String {
        let drawn = self.drawn();
        let frame = self.frame(&drawn);
        let mut out = frame.axes(&self.title, &self.x_label);
        for level in &self.levels {
            let at = frame.place_y(level.at);
            let (left, right) = frame.sides();
            let _ = write!(
                out,
                r#"<path class="level" d="M{left:.1} {at:.1}H{right:.1}"/><text class="tick" x="{right:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                at + 13.0,
                escape(&level.name)
            );
        }
        // Bands below all lines.
        for line in &drawn {
            out.push_str(&line.grouped(&frame.band(line)));
        }
        for line in &drawn {
            out.push_str(&line.grouped(&frame.line(line)));
        }
        if drawn.iter().all(|line| segments(&line.points).next().is_none()) {
            let (left, right) = frame.sides();
            let _ = write!(
                out,
                r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">nothing to draw</text>"#,
                (left + right) / 2.0,
                self.size.1 / 2.0
            );
        }
        out
    }
}

impl Line {
    /// All x (column 0) or all heights (column 1).
    fn values(&self, column: usize) -> impl Iterator<Item = f64> {
        let points = self.points.iter().chain(&self.faint).map(move |p| p[column]);
        let ends = move |p: &[f64; 3]| if column == 0 { [p[0]; 2] } else { [p[1], p[2]] };
        points.chain(self.band.iter().flat_map(ends))
    }

    fn grouped(&self, marks: &str) -> String {
        match marks {
            "" => String::new(),
            marks => format!(r#"<g data-variant="{}">{marks}</g>"#, self.variant),
        }
    }
}

/// The places of things.
struct Frame {
    x: Axis,
    y: Axis,
    size: (f64, f64),
}

impl Frame {
    fn place_x(&self, x: f64) -> f64 {
        let (left, right) = self.sides();
        left + self.x.fraction(x) * (right - left)
    }

    fn place_y(&self, y: f64) -> f64 {
        let (_, _, top, bottom) = MARGIN;
        self.size.1 - bottom - self.y.fraction(y) * (self.size.1 - top - bottom)
    }

    fn sides(&self) -> (f64, f64) {
        (MARGIN.0, self.size.0 - MARGIN.1)
    }

    fn axes(&self, title: &str, x_label: &str) -> String {
        let (first, last) = self.sides();
        let ground = self.size.1 - MARGIN.3;
        let mut out = String::new();
        for &tick in &self.y.ticks {
            let at = self.place_y(tick);
            let _ = write!(
                out,
                r#"<path class="grid" d="M{first:.1} {at:.1}H{last:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                first - 8.0,
                at + 4.0,
                self.y.label(tick)
            );
        }
        let _ = write!(out, r#"<path class="ground" d="M{first:.1} {ground:.1}H{last:.1}"/>"#);
        for &tick in &self.x.ticks {
            let at = self.place_x(tick);
            let _ = write!(
                out,
                r#"<path class="ground" d="M{at:.1} {ground:.1}v5"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                ground + 19.0,
                self.x.label(tick)
            );
        }
        let _ = write!(
            out,
            r#"<text class="axis" x="{last:.1}" y="{:.1}" text-anchor="end">{}</text><text class="axis" x="0" y="14">{}</text>"#,
            ground + 36.0,
            escape(x_label),
            escape(title)
        );
        out
    }

    fn band(&self, line: &Line) -> String {
        let mut path = String::new();
        for segment in segments(&line.band) {
            let there = segment.iter().map(|[x, _, high]| (x, high));
            let back = segment.iter().rev().map(|[x, low, _]| (x, low));
            for (i, (x, y)) in there.chain(back).enumerate() {
                let command = if i == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.place_x(*x), self.place_y(*y));
            }
            path.push('Z');
        }
        match path.as_str() {
            "" => path,
            path => format!(r#"<path class="band f{}" d="{path}"/>"#, line.variant % 8),
        }
    }

    fn line(&self, line: &Line) -> String {
        let class = line_class(line.variant);
        let mut out = String::new();
        if line.faint != line.points {
            out.push_str(&self.path(&line.faint, &format!("raw {class}")));
        }
        out.push_str(&self.path(&line.points, &format!("line {class}")));
        if line.dots {
            for [x, y] in line.points.iter().filter(|[_, y]| y.is_finite()) {
                let (fill, x, y) = (line.variant % 8, self.place_x(*x), self.place_y(*y));
                let _ = write!(out, r#"<circle class="point f{fill}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#);
            }
        }
        out
    }

    /// A path through the finite points, lifted at gaps, and a dot for each point that stands alone.
    fn path(&self, points: &[[f64; 2]], class: &str) -> String {
        let (mut path, mut dots) = (String::new(), String::new());
        for segment in segments(points) {
            if let [[x, y]] = segment {
                let (x, y) = (self.place_x(*x), self.place_y(*y));
                let _ = write!(dots, r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#);
                continue;
            }
            for (i, [x, y]) in segment.iter().enumerate() {
                let command = if i == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.place_x(*x), self.place_y(*y));
            }
        }
        if path.is_empty() {
            dots
        } else {
            format!(r#"<path class="{class}" d="{path}"/>{dots}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn chart(points: Vec<[f64; 2]>) -> Lines {
        let line = Line {
            band: points.iter().map(|[x, y]| [*x, *y, y + 1.0]).collect(),
            faint: points.clone(),
            dots: true,
            points,
            ..Line::default()
        };
        Lines {
            lines: vec![line],
            ..Lines::large()
        }
    }

    #[test]
    fn gaps_lift_the_pen_and_lone_points_are_dots() {
        let values = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 4.0, 5.0];
        let points = values.iter().enumerate().map(|(x, y)| [x as f64, *y]).collect();
        let mut plot = chart(points);
        plot.lines[0].dots = false;
        plot.lines[0].faint.clear();
        let svg = plot.body() + &plot.readings();
        let path = |class: &str| svg.split(&format!(r#"class="{class}" d=""#)).nth(1)?.split('"').next();
        let (line, band) = (path("line c0 d0").unwrap(), path("band f0").unwrap());
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 2), "{line}");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(band.matches('Z').count(), 3, "{band}");
    }

    #[test]
    fn sixty_four_variants_have_lines_of_their_own() {
        let classes: BTreeSet<String> = (0..64).map(line_class).collect();
        assert_eq!(classes.len(), 64);
    }

    #[test]
    fn a_level_is_in_sight() {
        let mut plot = chart(vec![[0.0, 5.0], [1.0, 6.0]]);
        plot.levels = vec![Level {
            name: "chance <".into(),
            at: 0.0,
        }];
        let svg = plot.body() + &plot.readings();
        assert!(svg.contains("chance &lt;") && svg.contains(">0</text>"), "{svg}");
    }

    #[test]
    fn values_are_read_off_where_a_line_has_them() {
        let mut plot = chart((1..=1000).map(|x| [f64::from(x), 2.0]).collect());
        plot.x_label = "step".into();
        plot.lines[0].name = "a\n\"b".into();
        let short = Line {
            variant: 1,
            name: "short".into(),
            points: vec![[1.0, 3.0], [2.0, f64::NAN]],
            ..Line::default()
        };
        plot.lines.push(short);
        let read = plot.readings();
        let places: Vec<&str> = read
            .split("data-read=\"")
            .skip(1)
            .map(|p| p.split("\"/>").next().unwrap())
            .collect();
        assert_eq!(places.len(), MOST_READINGS);
        assert_eq!(places[MOST_READINGS - 1], "step 1000\n0:a &quot;b 2.000");
        assert!(
            places[0].contains("1:short 3.000") && !places[1].contains("short"),
            "{}",
            places[0]
        );
    }

    #[test]
    fn what_lies_before_the_axis_is_not_drawn() {
        let mut plot = chart(vec![[0.0, 100.0], [1.0, 6.0], [2.0, 5.0], [3.0, 4.0]]);
        plot.from = Some(1.5);
        let svg = plot.body();
        assert!(!svg.contains(">100</text>") && svg.contains(">4.0</text>"), "{svg}");
    }

    proptest! {
        #[test]
        fn no_values_break_a_plot(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..40)) {
            let mut points: Vec<[f64; 2]> = points.into_iter().map(|(x, y)| [x, y]).collect();
            points.sort_by(|a, b| a[0].total_cmp(&b[0]));
            let mut plot = chart(points);
            plot.lines[0].dots = false;
            let svg = plot.body() + &plot.readings();
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
