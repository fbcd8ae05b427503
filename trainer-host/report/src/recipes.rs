//! What each variant changes in the base recipe.

use std::fmt::Write;

use super::content::Report;
use super::markup::{Section, escape};
use super::plot;

/// The page's section.
pub fn section(report: &Report) -> Option<Section> {
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
    let body = format!(
        r#"<p>Everything that is not listed here is the same for all variants.</p>
<div class="differences">
{items}</div>
<details><summary>The base recipe, {}</summary><pre tabindex="0">{}</pre></details>
"#,
        escape(&report.recipe),
        escape(report.base_recipe.trim_end())
    );
    Section::new("differences", "What differs", body)
}
