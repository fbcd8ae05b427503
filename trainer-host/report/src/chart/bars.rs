//! Stacked bars as SVG: what a whole is made of, one bar a variant.

use std::fmt::Write;

use super::axis::Axis;
use super::escape;

/// Bars beside their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bars {
    /// The meaning of the length, with its unit.
    pub title: String,
    /// The parts' names, in the order in which they are stacked.
    pub parts: Vec<&'static str>,
    /// One a variant.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bar {
    /// The variant's place in the report.
    pub variant: usize,
    /// Its name.
    pub name: String,
    /// The length of each part; what is not finite or below 0 is not drawn.
    pub parts: Vec<f64>,
    /// The whole in words, written at the bar's end.
    pub whole: String,
}

const WIDTH: f64 = 760.0;
const GUTTER: f64 = 180.0;
const RIGHT: f64 = 90.0;
const HEIGHT: f64 = 30.0;
const TOP: f64 = 56.0;

impl Bars {
    /// Width and height.
    pub fn size(&self) -> (f64, f64) {
        (WIDTH, TOP + HEIGHT * self.bars.len() as f64 + 30.0)
    }

    /// The marks within the SVG element.
    pub fn body(&self) -> String {
        let drawn = |value: &f64| value.is_finite() && *value > 0.0;
        let wholes = self
            .bars
            .iter()
            .map(|bar| bar.parts.iter().filter(|v| drawn(v)).sum::<f64>());
        let axis = Axis::covering(wholes.chain([0.0]), 6);
        let place = |value: f64| GUTTER + axis.fraction(value) * (WIDTH - GUTTER - RIGHT);
        let ground = TOP + HEIGHT * self.bars.len() as f64 + 4.0;
        let mut out = format!(r#"<text class="axis" x="0" y="14">{}</text>"#, escape(&self.title));
        let mut x = GUTTER;
        for (part, name) in self.parts.iter().enumerate() {
            let _ = write!(
                out,
                r#"<rect class="part p{part}" x="{x:.1}" y="28" width="12" height="12"/><text class="tick" x="{:.1}" y="38">{}</text>"#,
                x + 17.0,
                escape(name)
            );
            x += 40.0 + 7.0 * name.chars().count() as f64;
        }
        for &tick in &axis.ticks {
            let at = place(tick);
            let _ = write!(
                out,
                r#"<path class="grid" d="M{at:.1} {:.1}V{ground:.1}"/><text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                TOP - 4.0,
                ground + 17.0,
                axis.label(tick)
            );
        }
        for (row, bar) in self.bars.iter().enumerate() {
            let top = TOP + HEIGHT * row as f64 + 4.0;
            let text = top + (HEIGHT - 8.0) / 2.0 + 4.0;
            let mut marks = format!(
                r#"<text class="label" x="{:.1}" y="{text:.1}" text-anchor="end">{}<title>{}</title></text>"#,
                GUTTER - 10.0,
                escape(&shortened(&bar.name, 26)),
                escape(&bar.name)
            );
            let mut from = 0.0;
            for (part, value) in bar.parts.iter().enumerate().filter(|(_, value)| drawn(value)) {
                let (left, right) = (place(from), place(from + value));
                from += value;
                let share = 100.0 * value / bar.parts.iter().filter(|v| drawn(v)).sum::<f64>();
                let _ = write!(
                    marks,
                    r#"<rect class="part p{part}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>{}</title></rect>"#,
                    right - left,
                    HEIGHT - 8.0,
                    escape(&format!("{}, {}: {share:.1} %", bar.name, self.parts[part]))
                );
            }
            let _ = write!(
                out,
                r#"<g data-variant="{}">{marks}<text class="tick" x="{:.1}" y="{text:.1}">{}</text></g>"#,
                bar.variant,
                place(from) + 7.0,
                escape(&bar.whole)
            );
        }
        out
    }
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up_and_what_is_no_length_is_not_drawn() {
        let bars = Bars {
            title: "seconds".into(),
            parts: vec!["a", "b", "c"],
            bars: vec![Bar {
                parts: vec![1.0, f64::NAN, 3.0],
                name: "a <very> long name of a variant".into(),
                whole: "4 s".into(),
                ..Bar::default()
            }],
        };
        let svg = bars.body();
        assert!(
            svg.contains("c: 75.0 %") && !svg.contains("b:") && !svg.contains("NaN"),
            "{svg}"
        );
        assert!(svg.contains("&lt;very&gt;") && svg.contains('…'));
        assert!(!Bars::default().body().contains("NaN"));
    }
}
