//! The validation loss at each of the fixed times: where along the path a variant is better or worse.

use std::fmt::Write;

use super::content::{Outcome, Report};
use super::markup::escape;
use super::number::significant;
use super::plot;

/// The page's section; empty where no two times were measured.
pub fn section(report: &Report) -> String {
    let measured = report
        .variants
        .iter()
        .enumerate()
        .filter_map(|(index, variant)| match &variant.outcome {
            Outcome::Finished(measured) => Some((index, variant, &measured.validation_by_time)),
            _ => None,
        });
    let measured: Vec<_> = measured.collect();
    let Some((_, _, times)) = measured.first().filter(|(_, _, times)| times.len() > 1) else {
        return String::new();
    };
    let head: String = times
        .iter()
        .map(|[t, _]| format!("<th scope=\"col\">t = {}</th>", significant(*t, 3, 3)))
        .collect();
    let mut body = String::new();
    for (index, variant, losses) in &measured {
        let cells: String = times
            .iter()
            .map(|[t, _]| match losses.iter().find(|[of, _]| of == t) {
                Some([_, loss]) => format!("<td>{}</td>", significant(*loss, 4, 4)),
                None => "<td>—</td>".to_owned(),
            })
            .collect();
        let _ = writeln!(
            body,
            "<tr><th scope=\"row\"><div class=\"name\">{}<span>{}</span></div></th>{cells}</tr>",
            plot::swatch(*index),
            escape(&variant.name)
        );
    }
    format!(
        r#"<section aria-labelledby="times">
<h2 id="times">Validation loss along the path</h2>
<p>The same held-out images and noise at each time; t = 0 is data, t = 1 is noise. The mean over the times is the validation loss above.</p>
<div class="scroll" role="region" aria-labelledby="times" tabindex="0"><table>
<thead><tr><th scope="col">variant</th>{head}</tr></thead>
<tbody>
{body}</tbody>
</table></div>
</section>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::super::content::Measurements;
    use super::super::fixture;
    use super::*;

    #[test]
    fn every_finished_variant_has_a_row_and_every_time_a_column() {
        let mut report = fixture::report();
        assert_eq!(section(&report), "");
        for (variant, by_time) in report
            .variants
            .iter_mut()
            .zip([[[0.25, 0.5], [0.75, 0.125]], [[0.25, 0.4], [0.5, 9.0]]])
        {
            variant.outcome = Outcome::Finished(Measurements {
                validation_by_time: by_time.into(),
                ..Measurements::default()
            });
        }
        let page = section(&report);
        for words in ["t = 0.25", "t = 0.75", "0.1250", "0.4000", "—"] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(!page.contains("9.0") && !page.contains("stopped"), "{page}");
    }
}
