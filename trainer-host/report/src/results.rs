//! The results' table.

use std::fmt::Write;

use super::content::Report;
use super::markup::{Section, escape};
use super::plot;
use super::table::{Table, note_mark};

/// The page's section.
pub fn section(report: &Report) -> Option<Section> {
    let table = Table::new(report);
    let verdict = report.verdict.as_ref();
    let best = verdict.and_then(|verdict| Some((verdict.best.as_ref()?, &verdict.score)));
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
        let mark = match &best {
            Some((name, score)) if **name == row.variant => {
                format!(" <em class=\"best\">best by {}</em>", escape(score))
            }
            _ => String::new(),
        };
        let _ = write!(
            body,
            "<tr><th scope=\"row\"><div class=\"name\">{}<span>{}{mark}</span></div></th>",
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
    let mut notes: String = notes
        .map(|(i, note)| format!("<li><sup>{}</sup> {note}</li>", note_mark(i)))
        .collect();
    if report.seeds.len() > 1 {
        let _ = write!(notes, "<li>Means over {} seeds.</li>", report.seeds.len());
    }
    let meanings = table.columns.iter();
    let meanings: String = meanings
        .map(|c| format!("<dt>{}</dt><dd>{}</dd>", c.name, c.meaning))
        .collect();
    let body = format!(
        r#"<div class="scroll" role="region" aria-labelledby="results" tabindex="0"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table></div>
<ul class="notes">{notes}</ul>
<details><summary>What the columns mean</summary><dl>{meanings}</dl></details>
"#
    );
    Section::new("results", "Results", body)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_best_is_marked_where_the_verdict_says_so_and_nowhere_else() {
        let mut report = fixture::seeded();
        let body = section(&report).unwrap().body;
        assert!(
            body.contains("clear <em class=\"best\">best by validation loss</em>"),
            "{body}"
        );
        assert_eq!(body.matches("class=\"best\"").count(), 1);
        report.verdict.as_mut().unwrap().best = None;
        assert!(!section(&report).unwrap().body.contains("best by"));
        assert!(!section(&fixture::seeded_with(2)).unwrap().body.contains("best by"));
    }
}
