//! The page as a whole.

use std::fmt::Write;

use super::chart;
use super::content::{Outcome, Report};
use super::markup::{escape, script_json};
use super::plot;
use super::samples;
use super::seeds;
use super::table::{Table, note_mark};
use super::times;

/// Nothing is loaded from anywhere: the browser enforces that the page is self-contained.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// The report as one HTML document that needs no network and no other file.
///
/// It is readable without JavaScript (a static plot of the main curve); with it, curves can be chosen, smoothed, hidden
/// and read off. All text in the report is escaped.
pub fn render(report: &Report) -> String {
    let families = plot::families(report);
    let title = escape(&report.title);
    let mut out = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{}</style>
</head>
<body>
<main>
"#,
        include_str!("style.css")
    );
    out.push_str(&header(report));
    out.push_str(&results(report));
    out.push_str(&seeds::section(report));
    out.push_str(&chart::section(report, &families));
    out.push_str(&times::section(report));
    out.push_str(&sample_grids(report));
    out.push_str(&differences(report));
    out.push_str(&provenance(report));
    let _ = write!(
        out,
        "</main>\n<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{}</script>\n</body>\n</html>\n",
        script_json(&chart::data(report, &families)),
        include_str!("chart.js")
    );
    out
}

fn header(report: &Report) -> String {
    let facts = [&report.recipe, &report.device, &report.created];
    let facts = facts
        .into_iter()
        .filter(|fact| !fact.is_empty())
        .map(|fact| format!("<li>{}</li>", escape(fact)));
    let facts: String = facts.collect();
    let paragraphs = report
        .summary
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty());
    let summary: String = paragraphs
        .map(|paragraph| format!("<p>{}</p>\n", escape(paragraph.trim())))
        .collect();
    format!(
        "<header>\n<h1>{}</h1>\n<ul class=\"facts\">{facts}</ul>\n<div class=\"summary\">\n{summary}{}</div>\n</header>\n",
        escape(&report.title),
        unfinished(report)
    )
}

/// A sentence on the variants that did not finish, if any.
fn unfinished(report: &Report) -> String {
    let count = |test: fn(&Outcome) -> bool| report.variants.iter().filter(|v| test(&v.outcome)).count();
    let finished = count(|outcome| matches!(outcome, Outcome::Finished(_)));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let all = report.variants.len();
    if finished == all {
        return String::new();
    }
    let mut causes = Vec::new();
    if failed > 0 {
        causes.push(format!("{failed} failed"));
    }
    if all - finished > failed {
        causes.push(format!("{} interrupted", all - finished - failed));
    }
    format!(
        "<p class=\"warning\">{finished} of {all} variants finished; {}.</p>\n",
        causes.join(", ")
    )
}

fn results(report: &Report) -> String {
    let table = Table::new(report);
    let mut head = String::from("<th scope=\"col\">variant</th>");
    for column in &table.columns {
        let unit = if column.unit.is_empty() {
            String::new()
        } else {
            format!(" <span>({})</span>", column.unit)
        };
        let _ = write!(head, "<th scope=\"col\">{}{unit}</th>", column.name);
    }
    let mut body = String::new();
    for (index, row) in table.rows.iter().enumerate() {
        let _ = write!(
            body,
            "<tr><th scope=\"row\"><div class=\"name\">{}<span>{}</span></div></th>",
            plot::swatch(index),
            escape(&row.variant)
        );
        match &row.cells {
            Err(words) => {
                let _ = write!(
                    body,
                    "<td class=\"words\" colspan=\"{}\"><div>{}</div></td>",
                    table.columns.len(),
                    escape(words)
                );
            }
            Ok(cells) => cells.iter().enumerate().for_each(|(column, cell)| {
                let (whole, fraction) = cell.parts();
                let _ = match (cell.note, table.fraction_width(column)) {
                    (Some(note), _) => write!(body, "<td>{}<sup>{}</sup></td>", cell.text, note_mark(note)),
                    (None, 0) => write!(body, "<td>{whole}</td>"),
                    (None, width) => {
                        write!(
                            body,
                            "<td>{whole}<span class=\"fraction\" style=\"width:{width}ch\">{fraction}</span></td>"
                        )
                    }
                };
            }),
        }
        body.push_str("</tr>\n");
    }
    let notes = table.notes.iter().enumerate();
    let notes: String = notes
        .map(|(i, note)| format!("<li><sup>{}</sup> {note}</li>", note_mark(i)))
        .collect();
    let meanings = table.columns.iter();
    let meanings: String = meanings
        .map(|c| format!("<dt>{}</dt><dd>{}</dd>", c.name, c.meaning))
        .collect();
    format!(
        r#"<section aria-labelledby="results">
<h2 id="results">Results</h2>
<div class="scroll" role="region" aria-labelledby="results" tabindex="0"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table></div>
<ul class="notes">{notes}</ul>
<details><summary>What the columns mean</summary><dl>{meanings}</dl></details>
</section>
"#
    )
}

fn sample_grids(report: &Report) -> String {
    if report.variants.iter().all(|variant| variant.samples_png.is_none()) {
        return String::new();
    }
    let note = if report.grid.note.is_empty() {
        String::new()
    } else {
        format!(" {}", escape(&report.grid.note))
    };
    let scales = [
        ("fit", "fit", " checked"),
        ("2", "2×", ""),
        ("4", "4×", ""),
        ("8", "8×", ""),
    ]
    .map(|(value, name, checked)| {
        format!(r#"<label><input type="radio" name="scale" id="scale-{value}"{checked}> {name}</label>"#)
    });
    format!(
        r#"<section class="samples" aria-labelledby="samples">
<h2 id="samples">Samples</h2>
<p>Every grid starts from the same noise and asks for the same classes: a place in one grid compares with the same place in the others.{note}</p>
{}<fieldset><legend>Size</legend>{}</fieldset>
<div class="sheets" role="region" aria-labelledby="samples" tabindex="0">{}</div>
</section>
"#,
        samples::legend(&report.grid),
        scales.concat(),
        samples::figures(report)
    )
}

fn differences(report: &Report) -> String {
    let mut items = String::new();
    for (index, variant) in report.variants.iter().enumerate() {
        let overlay = match variant.overlay.trim() {
            "" => "<p class=\"absent\">The base recipe, unchanged.</p>".to_string(),
            overlay => format!("<pre tabindex=\"0\">{}</pre>", escape(overlay)),
        };
        let _ = writeln!(
            items,
            "<article><h3>{}{}</h3><p>{}</p>{overlay}</article>",
            plot::swatch(index),
            escape(&variant.name),
            escape(&variant.guidance)
        );
    }
    format!(
        r#"<section aria-labelledby="differences">
<h2 id="differences">What differs</h2>
<p>Everything that is not listed here is the same for all variants.</p>
<div class="differences">
{items}</div>
<details><summary>The base recipe, {}</summary><pre tabindex="0">{}</pre></details>
</section>
"#,
        escape(&report.recipe),
        escape(report.base_recipe.trim_end())
    )
}

fn provenance(report: &Report) -> String {
    let mut facts: Vec<(&str, &str)> = vec![
        ("created", &report.created),
        ("device", &report.device),
        ("data", &report.data),
    ];
    facts.extend(
        report
            .versions
            .iter()
            .map(|(name, version)| (name.as_str(), version.as_str())),
    );
    let facts = facts.iter().filter(|(_, value)| !value.is_empty());
    let facts: String = facts
        .map(|(n, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(n), escape(value)))
        .collect();
    let mut plugins = String::new();
    for variant in &report.variants {
        for plugin in &variant.plugins {
            let _ = writeln!(
                plugins,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
                escape(&variant.name),
                escape(&plugin.name),
                escape(&plugin.version),
                escape(&plugin.sha256)
            );
        }
    }
    if !plugins.is_empty() {
        plugins = format!(
            "<h3>Plugins</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"Plugins\" tabindex=\"0\"><table class=\"text\"><thead><tr><th scope=\"col\">variant</th><th scope=\"col\">plugin</th><th scope=\"col\">version</th><th scope=\"col\">SHA-256</th></tr></thead>\n<tbody>\n{plugins}</tbody></table></div>\n"
        );
    }
    format!(
        r#"<section aria-labelledby="provenance">
<h2 id="provenance">Where it comes from</h2>
<p>To make this comparison again:</p>
<pre tabindex="0">{}</pre>
<details><summary>Versions, device, data and plugins</summary>
<dl>{facts}</dl>
{plugins}</details>
</section>
"#,
        escape(&report.command)
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let html = render(&fixture::report());
        assert_eq!(html.matches("</script>").count(), 2, "only the page's own scripts end");
        assert!(html.contains("<title>Emoji &amp; &lt;friends&gt;</title>"));
        assert!(html.contains("&lt;i&gt;&quot;broken&quot; &amp; more"));
        assert!(!html.contains("<i>"));
    }

    #[test]
    fn a_failed_variant_is_shown_with_its_message_and_counted() {
        let html = render(&fixture::report());
        assert!(html.contains("failed: step 7: [31mno &lt;/script&gt; teacher"));
        assert!(html.contains("interrupted after step 12,000"));
        assert!(html.contains("2 of 4 variants finished; 1 failed, 1 interrupted."));
    }

    #[test]
    fn page_and_terminal_show_the_same_numbers() {
        let report = fixture::report();
        let (html, text) = (render(&report), super::super::table_text(&report));
        for cell in Table::new(&report).rows.iter().flat_map(|row| &row.cells).flatten() {
            assert!(text.contains(&cell.text));
            assert!(html.contains(cell.parts().0) && html.contains(cell.parts().1));
        }
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let html = render(&Report::default());
        assert!(html.contains("No variant logged a curve."));
        assert!(html.ends_with("</html>\n"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = render(&fixture::report());
        assert!(!html.contains("src=\"http") && !html.contains("href=\"http") && !html.contains("url(http"));
    }
}
