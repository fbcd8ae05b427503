//! Charts as files of their own, for papers.

use super::{Chart, escape, line_class};

/// The colours by name, light and dark.
pub const PALETTE: &str = include_str!("palette.css");

/// The style of what stands in charts; the page has it too.
pub const CHART_STYLE: &str = include_str!("chart.css");

/// A chart as a document: its own style, a white background, and the variants' names below it. Programs that read SVG know no variables,
/// so that colours and fonts are written out.
pub fn document(chart: &Chart) -> String {
    let (width, height) = chart.lines.size;
    let (mut x, mut y, mut body) = (12.0, height + 16.0, chart.lines.body());
    for line in &chart.lines.lines {
        let wide = 54.0 + 7.5 * line.name.chars().count() as f64;
        if x > 12.0 && x + wide > width {
            (x, y) = (12.0, y + 20.0);
        }
        body.push_str(&format!(
            r#"<path class="line {}" d="M{x:.1} {:.1}h28"/><text class="tick" x="{:.1}" y="{y:.1}">{}</text>"#,
            line_class(line.variant),
            y - 4.0,
            x + 36.0,
            escape(&line.name)
        ));
        x += wide;
    }
    let (wide, high) = (width + 24.0, y + 28.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"-12 -8 {wide} {high}\">\n\
         <style>\n{}</style>\n<rect x=\"-12\" y=\"-8\" width=\"{wide}\" height=\"{high}\" fill=\"#fff\"/>\n{body}\n</svg>\n",
        written_out(CHART_STYLE)
    )
}

/// A style with the light palette's values in place of their names.
fn written_out(style: &str) -> String {
    let light = PALETTE.split("@media").next().unwrap_or_default();
    let entries = light
        .split([';', '{'])
        .filter_map(|entry| entry.trim().strip_prefix("--")?.split_once(':'));
    entries.fold(style.to_owned(), |style, (name, value)| {
        style.replace(&format!("var(--{name})"), value.trim())
    })
}

/// Letters, digits, points and hyphens of a name; others are hyphens.
pub fn file_name(name: &str) -> String {
    let keep = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c,
        '.' | '_' => c,
        _ => '-',
    };
    name.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, svgs};

    #[test]
    fn every_chart_is_a_document_that_stands_alone() {
        let drawings = svgs(&fixture::example());
        let names: Vec<&str> = drawings.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "curve-validation.svg",
            "curve-denoising.svg",
            "validation-by-time.svg",
            "guidance-scale.svg",
            "probe-t0.5.svg",
            "cknna-t0.8.svg",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        for (name, svg) in &drawings {
            assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{name}");
            assert!(!svg.contains("var(--") && svg.contains("#0072b2"), "{name}");
            for (open, close) in [("<g ", "</g>"), ("<text", "</text>"), ("<title", "</title>")] {
                assert_eq!(
                    svg.matches(open).count(),
                    svg.matches(close).count(),
                    "{open} in {name}"
                );
            }
        }
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }

    #[test]
    fn names_of_files_hold_nothing_that_a_folder_would_mind() {
        assert_eq!(file_name("metric.repa/a b"), "metric.repa-a-b");
        let hostile = svgs(&fixture::hostile());
        assert!(!hostile.is_empty() && hostile.iter().all(|(_, svg)| !svg.contains("<i>")));
    }
}
