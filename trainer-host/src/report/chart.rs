//! The section of the curves, and the data that its script draws.

use std::fmt::Write;

use serde_json::{Value, json};

use super::content::Report;
use super::markup::escape;
use super::plot::{self, Family};

/// The section with its controls, legend, plot and remarks. The controls are hidden until `chart.js` shows them.
pub fn section(report: &Report, families: &[Family]) -> String {
    let Some(main) = families.first() else {
        return "<section>\n<h2>Curves</h2>\n<p class=\"absent\">No variant logged a curve.</p>\n</section>\n"
            .to_string();
    };
    let options = families.iter().enumerate();
    let options: String = options
        .map(|(i, f)| format!("<option value=\"{i}\">{}</option>", escape(&f.label)))
        .collect();
    let mut legend = String::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let _ = write!(
            legend,
            "<li><button type=\"button\" aria-pressed=\"true\" disabled>{}{}</button></li>",
            plot::swatch(index),
            escape(&variant.name)
        );
    }
    let remarks: String = main
        .remarks
        .iter()
        .map(|remark| format!("<li>{}</li>", escape(remark)))
        .collect();
    format!(
        r#"<section aria-labelledby="curves">
<h2 id="curves">Curves</h2>
<form id="controls" hidden>
<label>Curve <select id="family">{options}</select></label>
<label>Steps <select id="range"><option value="0">all</option><option value="0.1">without the first tenth</option><option value="0.5">last half</option><option value="0.75">last quarter</option></select></label>
<label>Smoothing <input id="smoothing" type="range" min="0" max="10" step="0.5" value="{}"> <output id="constant" for="smoothing"></output></label>
<label><input id="logarithmic" type="checkbox"> log scale</label>
</form>
<ul id="legend" class="legend">{legend}</ul>
<div class="plot" id="frame">{}<div id="readout" class="readout" hidden></div></div>
<p id="hint" class="hint">{}</p>
<ul id="remarks" class="notes">{remarks}</ul>
</section>
"#,
        plot::SMOOTHING * 100.0,
        plot::svg(main),
        main.hint
    )
}

/// What `chart.js` draws.
pub fn data(report: &Report, families: &[Family]) -> Value {
    // Six digits are more than a screen shows.
    let short = |value: f64| {
        format!("{value:.5e}")
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
    };
    let families = families.iter().map(|family| {
        let curves = family.curves.iter().map(|curve| match curve {
            None => json!({ "steps": [], "values": [] }),
            Some(curve) => json!({
                "steps": curve.points.iter().map(|point| point.step).collect::<Vec<_>>(),
                "values": curve.points.iter().map(|point| short(point.value)).collect::<Vec<_>>(),
            }),
        });
        let curves: Vec<Value> = curves.collect();
        json!({ "label": family.label, "hint": family.hint, "remarks": family.remarks, "curves": curves })
    });
    let variants = report.variants.iter().enumerate();
    let variants = variants.map(|(index, variant)| json!({ "name": variant.name, "line": plot::line_class(index) }));
    json!({ "variants": variants.collect::<Vec<_>>(), "families": families.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_embedded_data_reads_back_with_gaps_as_null() {
        let html = super::super::render(&fixture::report());
        let (_, rest) = html.split_once("id=\"data\">").unwrap();
        let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["variants"][2]["name"], "<i>\"broken\" & more");
        assert_eq!(
            data["families"][0]["curves"][0]["values"],
            json!([1.0, 0.5, null, 0.25])
        );
    }
}
