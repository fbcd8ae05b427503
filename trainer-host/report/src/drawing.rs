//! Plots as files of their own, for papers.

use super::content::Report;
use super::markup::escape;
use super::plot::{self, Plot};
use super::{cost, depths, family, quality, times};

/// The colours by name, light and dark.
pub const PALETTE: &str = include_str!("palette.css");

/// The style of what stands in plots; the page has it too.
pub const PLOT_STYLE: &str = include_str!("plot.css");

/// Every plot as a file name and an SVG document with its own style, a white background and a legend: the curves, the validation
/// loss over t, the sweep, probes and alignment over depth, and the parts of a step.
pub fn svgs(report: &Report) -> Vec<(String, String)> {
    let mut drawings = Vec::new();
    let mut add = |name: String, plot: &Plot| drawings.push((format!("{name}.svg"), with_legend(report, plot)));
    for family in family::families(report) {
        add(format!("curve-{}", file_name(&family.name)), &family.plot(report));
    }
    times::plot(report)
        .iter()
        .for_each(|plot| add("validation-by-time".into(), plot));
    quality::sweep_plot(report)
        .iter()
        .for_each(|plot| add("guidance-scale".into(), plot));
    for measure in &depths::MEASURED {
        for (t, plot) in depths::plots(report, measure) {
            add(format!("{}-t{}", measure.file, depths::time(t)), &plot);
        }
    }
    if let Some(bars) = cost::bars(report) {
        drawings.push(("step-by-part.svg".into(), document(bars.size(), &bars.body())));
    }
    drawings
}

/// Letters, digits, points and hyphens of a name; others are hyphens.
fn file_name(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
            c
        } else {
            '-'
        }
    };
    name.chars().map(keep).collect()
}

/// A plot with the variants' names below it.
fn with_legend(report: &Report, plot: &Plot) -> String {
    let (width, height) = plot.size;
    let (mut x, mut y, mut legend) = (12.0, height + 16.0, String::new());
    for line in &plot.lines {
        let name = &report.variants[line.variant].name;
        let wide = 54.0 + 7.5 * name.chars().count() as f64;
        if x > 12.0 && x + wide > width {
            (x, y) = (12.0, y + 20.0);
        }
        legend.push_str(&format!(
            r#"<path class="line {}" d="M{x:.1} {:.1}h28"/><text class="tick" x="{:.1}" y="{y:.1}">{}</text>"#,
            plot::line_class(line.variant),
            y - 4.0,
            x + 36.0,
            escape(name)
        ));
        x += wide;
    }
    document((width, y + 12.0), &(plot.body() + &legend))
}

/// A document of its own. Programs that read SVG know no variables, so that colours and fonts are written out.
fn document((width, height): (f64, f64), body: &str) -> String {
    let (wide, high) = (width + 24.0, height + 16.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"-12 -8 {wide} {high}\">\n\
         <style>\n{}</style>\n<rect x=\"-12\" y=\"-8\" width=\"{wide}\" height=\"{high}\" fill=\"#fff\"/>\n{body}\n</svg>\n",
        written_out(PLOT_STYLE)
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

#[cfg(test)]
mod tests {
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn every_plot_is_a_document_that_stands_alone() {
        let drawings = svgs(&example());
        let names: Vec<&str> = drawings.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "curve-denoising.svg",
            "validation-by-time.svg",
            "guidance-scale.svg",
            "probe-t0.5.svg",
            "cka-t0.2.svg",
            "cknna-t0.8.svg",
            "step-by-part.svg",
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
        let hostile = svgs(&fixture::report());
        assert!(hostile.iter().all(|(_, svg)| !svg.contains("<i>")));
    }
}
