//! The section of the curves, and the data that its script draws.

use std::fmt::Write;

use serde_json::{Value, json};

use super::content::{Pace, Report};
use super::family::{Family, SMOOTHING};
use super::markup::{Section, escape};
use super::plot;

/// The section with its controls, legend, plot and remarks. The controls are hidden until `chart.js` shows them.
pub fn section(report: &Report, families: &[Family]) -> Option<Section> {
    let Some(main) = families.first() else {
        let words = "<p class=\"absent\">No variant logged a curve.</p>\n";
        return Section::new("curves", "Curves", words.into());
    };
    let options = families.iter().enumerate();
    let options: String = options
        .map(|(i, f)| format!("<option value=\"{i}\">{}</option>", escape(&f.label)))
        .collect();
    let remarks: String = main
        .remarks
        .iter()
        .map(|remark| format!("<li>{}</li>", escape(remark)))
        .collect();
    let mut picture = main.plot(report);
    picture.id = Some("plot");
    let seeds = families.iter().map(Family::seeds).max().unwrap_or(0);
    let about = if seeds > 1 {
        "<p>Lines are means over seeds, bands reach from the least to the largest; smoothing is of each seed by itself.</p>\n"
    } else {
        ""
    };
    let body = format!(
        r#"{about}<form id="controls" hidden>
<label>Curve <select id="family">{options}</select></label>
<label>Over <select id="axis">{}</select></label>
{}<label>Range <select id="range"><option value="0">all</option><option value="0.1">without the first tenth</option><option value="0.5">last half</option><option value="0.75">last quarter</option></select></label>
<label>Smoothing <input id="smoothing" type="range" min="0" max="10" step="0.5" value="{}"> <output id="constant" for="smoothing"></output></label>
<label><input id="logarithmic" type="checkbox"> log height</label>
<label><input id="logarithmic-x" type="checkbox"> log width</label>
</form>
{}<figure><div class="plot" id="frame" role="region" aria-labelledby="curves" tabindex="0">{}<div id="readout" class="readout" hidden></div></div>
<figcaption id="hint">{}</figcaption></figure>
<ul id="remarks" class="notes">{remarks}</ul>
"#,
        axes(report),
        earlier(report),
        SMOOTHING * 100.0,
        legend(report, "legend"),
        picture.svg(),
        main.hint
    );
    Section::new("curves", "Curves", body)
}

/// The variants with their lines, as buttons that a script makes work.
pub fn legend(report: &Report, id: &str) -> String {
    let mut items = String::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let _ = write!(
            items,
            "<li><button type=\"button\" data-of=\"{index}\" aria-pressed=\"true\" disabled>{}{}</button></li>",
            plot::swatch(index),
            escape(&variant.name)
        );
    }
    format!("<ul id=\"{id}\" class=\"legend\" aria-label=\"Variants\">{items}</ul>\n")
}

/// What the width can mean: whatever some variant has a number for.
fn axes(report: &Report) -> String {
    let any = |value: fn(&Pace) -> f64| report.variants.iter().any(|v| value(&v.pace) > 0.0);
    let mut options = String::from("<option value=\"steps\">steps</option>");
    for (name, there) in [
        ("images", any(|pace| pace.images)),
        ("operations", any(|pace| pace.operations.unwrap_or(0.0))),
        ("seconds", any(|pace| pace.seconds)),
    ] {
        if there {
            let _ = write!(options, "<option value=\"{name}\">{name}</option>");
        }
    }
    options
}

/// The tick box for what was spent before; none where nothing was.
fn earlier(report: &Report) -> &'static str {
    let spent =
        |pace: &Pace| pace.earlier_images > 0.0 || pace.earlier_seconds > 0.0 || pace.earlier_operations > Some(0.0);
    if report.variants.iter().any(|v| spent(&v.pace)) {
        "<label><input id=\"earlier\" type=\"checkbox\" checked> earlier phases on the bill</label>\n"
    } else {
        ""
    }
}

/// What `chart.js` draws.
pub fn data(report: &Report, families: &[Family]) -> Value {
    // Six digits are more than a screen shows.
    let short = |value: &f64| {
        format!("{value:.5e}")
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
    };
    let families = families.iter().map(|family| {
        let curves = family.curves.iter().map(|curve| match curve {
            None => json!({ "steps": [], "runs": [] }),
            Some(curve) => json!({
                "steps": curve.steps,
                "runs": curve.runs.iter().map(|run| run.iter().map(short).collect()).collect::<Vec<Vec<_>>>(),
            }),
        });
        let curves: Vec<Value> = curves.collect();
        json!({ "label": family.label, "hint": family.hint, "remarks": family.remarks, "curves": curves })
    });
    let variants = report.variants.iter().enumerate().map(|(index, variant)| {
        json!({
            "name": variant.name,
            "line": plot::line_class(index),
            "fill": format!("f{}", index % 8),
            "pace": pace(&variant.pace),
        })
    });
    json!({ "variants": variants.collect::<Vec<_>>(), "families": families.collect::<Vec<_>>() })
}

/// What a step is on each axis, and what had been spent before; nothing where it is not known.
fn pace(pace: &Pace) -> Value {
    let on = |step: f64, earlier: f64| match step.is_finite() && step > 0.0 && earlier.is_finite() {
        true => json!({ "step": step, "earlier": earlier }),
        false => Value::Null,
    };
    json!({
        "images": on(pace.images, pace.earlier_images),
        "operations": on(pace.operations.unwrap_or(0.0), pace.earlier_operations.unwrap_or(0.0)),
        "seconds": on(pace.seconds, pace.earlier_seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{example, family, fixture};
    use super::*;

    #[test]
    fn the_embedded_data_reads_back_with_gaps_as_null() {
        let html = super::super::render(&fixture::report());
        let (_, rest) = html.split_once("id=\"data\">").unwrap();
        let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["variants"][2]["name"], "<i>\"broken\" & more");
        assert_eq!(
            data["families"][0]["curves"][0]["runs"],
            json!([[1.0, 0.5, null, 0.25]])
        );
    }

    #[test]
    fn only_what_was_counted_can_be_the_width() {
        let report = fixture::report();
        let body = section(&report, &family::families(&report)).unwrap().body;
        assert!(
            body.contains("value=\"steps\"") && !body.contains("value=\"images\"") && !body.contains("id=\"earlier\"")
        );
        let report = example();
        let body = section(&report, &family::families(&report)).unwrap().body;
        for axis in ["steps", "images", "operations", "seconds"] {
            assert!(body.contains(&format!("value=\"{axis}\"")), "{axis}");
        }
        assert!(body.contains("id=\"earlier\""));
    }
}
