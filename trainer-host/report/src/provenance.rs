//! Where the comparison comes from: command, versions, device, data, judges, plugins.

use std::fmt::Write;

use super::content::Report;
use super::markup::{Section, escape};

/// The page's section.
pub fn section(report: &Report) -> Option<Section> {
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
    let plugins = report.variants.iter().flat_map(|variant| {
        let row =
            |plugin: &super::Plugin| [&variant.name, &plugin.name, &plugin.version, &plugin.sha256].map(String::clone);
        variant.plugins.iter().map(row)
    });
    let mut judges: Vec<[String; 3]> = Vec::new();
    for evaluation in report.variants.iter().flat_map(|v| v.evaluations.iter().flatten()) {
        for judge in &evaluation.judges {
            let row = [&judge.name, &judge.description, &judge.fingerprint].map(String::clone);
            if !judges.contains(&row) {
                judges.push(row);
            }
        }
    }
    let body = format!(
        r#"<p>To make this comparison again:</p>
<pre tabindex="0">{}</pre>
<details><summary>Versions, device, data, judges and plugins</summary>
<dl>{facts}</dl>
{}{}</details>
"#,
        escape(&report.command),
        table("Plugins", ["variant", "plugin", "version", "SHA-256"], plugins),
        table("Judges", ["judge", "network", "SHA-256"], judges.into_iter())
    );
    Section::new("provenance", "Where it comes from", body)
}

/// A table of words that ends in a hash; nothing without rows.
fn table<const N: usize>(title: &str, heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut body = String::new();
    for row in rows {
        let cells = row.iter().enumerate().map(|(i, cell)| match i {
            0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
            i if i + 1 == N => format!("<td><code>{}</code></td>", escape(cell)),
            _ => format!("<td>{}</td>", escape(cell)),
        });
        let _ = writeln!(body, "<tr>{}</tr>", cells.collect::<String>());
    }
    if body.is_empty() {
        return body;
    }
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    format!(
        "<h3>{title}</h3>\n<div class=\"scroll\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table class=\"text\">\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )
}
