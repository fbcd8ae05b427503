//! The report for a paper's notes: `report.md`.

use std::fmt::Write;

use super::content::Report;
use super::markup::paragraphs;
use super::sheet::Sheet;
use super::table::{Table, note_mark, one_line};
use super::{copies, cost, depths, quality, seeds, speed, times};

/// The page’s words and tables as Markdown: everything but plots and pictures.
pub fn markdown(report: &Report) -> String {
    let summary: Vec<String> = paragraphs(&report.summary).map(plain).collect();
    let mut out = format!("# {}\n\n{}\n\n", plain(&report.title), summary.join("\n\n"));
    let table = Table::new(report);
    let heads = table.columns.iter().map(|column| match column.unit {
        "" => column.name.to_owned(),
        unit => format!("{} ({unit})", column.name),
    });
    let heads: Vec<String> = std::iter::once("variant".to_owned()).chain(heads).collect();
    let rows = table.rows.iter().map(|row| {
        let cells: Vec<String> = match &row.cells {
            Ok(cells) => cells
                .iter()
                .map(|cell| match cell.note {
                    Some(note) => format!("{}{}", cell.text, note_mark(note)),
                    None => cell.text.clone(),
                })
                .collect(),
            Err(words) => vec![words.clone()],
        };
        std::iter::once(row.variant.clone()).chain(cells).collect()
    });
    out.push_str(&rows_of(&heads, rows));
    for (note, reason) in table.notes.iter().enumerate() {
        let _ = writeln!(out, "\n{} {reason}", note_mark(note));
    }
    if let Some(verdict) = &report.verdict {
        let heads = seeds::COLUMNS.map(str::to_owned);
        let _ = writeln!(out, "\n## {}\n", seeds::title(report));
        out.push_str(&rows_of(
            &heads,
            seeds::rows(report, verdict).into_iter().map(Vec::from),
        ));
        let _ = writeln!(
            out,
            "\n{}\n\n{}",
            seeds::sentences(verdict).join(" "),
            seeds::method(report, verdict)
        );
    }
    let representations = depths::MEASURED
        .iter()
        .flat_map(|measure| depths::sheets(report, measure));
    let chapters: [(&str, Vec<Sheet>); 7] = [
        ("Other scores", vec![seeds::others(report)]),
        (
            "Validation loss along the path",
            times::plot(report).map(|_| times::sheet(report)).into_iter().collect(),
        ),
        (
            "Quality of samples",
            quality::sheets(report)
                .into_iter()
                .chain([quality::sweep_sheet(report)])
                .collect(),
        ),
        ("Copies of training images", vec![copies::sheet(report)]),
        (
            "Representations",
            representations.chain([depths::label_sheet(report)]).collect(),
        ),
        ("Cost", cost::sheets(report)),
        ("Speed-up", speed::sheets(report)),
    ];
    for (title, sheets) in chapters {
        let tables: String = sheets.iter().map(Sheet::markdown).collect();
        if !tables.is_empty() {
            let _ = writeln!(out, "\n## {title}\n\n{}", tables.trim_end());
        }
        if title == "Quality of samples" {
            report.disagreements.iter().for_each(|words| {
                let _ = writeln!(out, "\n{}", plain(words));
            });
        }
    }
    let _ = writeln!(
        out,
        "\n## Where it comes from\n\n```sh\n{}\n```\n\n{} · {} · {}",
        report.command,
        plain(&report.data),
        plain(&report.device),
        report.created
    );
    out
}

pub(super) fn rows_of(heads: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = line(heads);
    out.push_str(&format!("|{}\n", "---|".repeat(heads.len())));
    for mut cells in rows {
        cells.resize(heads.len(), String::new());
        out.push_str(&line(&cells));
    }
    out
}

/// Text that no Markdown is made of.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        if matches!(c, '|' | '*' | '_' | '`' | '<' | '[' | '\\' | '#') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn hostile_names_make_no_markdown() {
        let text = markdown(&fixture::report());
        assert!(text.contains("\\<i>"), "{text}");
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let columns: Vec<usize> = rows.map(|row| row.matches(" | ").count()).collect();
        assert!(columns.len() > 4, "{text}");
    }

    #[test]
    fn paragraphs_of_the_summary_stay_paragraphs() {
        let text = markdown(&fixture::report());
        assert!(text.contains("\n\nOne seed.\n\nIt ranks nothing.\n\n"), "{text}");
    }

    #[test]
    fn the_verdict_is_in_it_where_there_is_a_baseline() {
        assert!(markdown(&fixture::seeded()).contains("## Over 4 seeds"));
        let one = markdown(&fixture::seeded_with(1));
        assert!(
            one.contains("## Over one seed") && one.contains("rank nothing"),
            "{one}"
        );
        assert!(!markdown(&fixture::report()).contains("## Over"));
    }

    #[test]
    fn every_table_of_the_page_is_in_it_with_the_judges_disagreement() {
        let report = super::super::example();
        let text = markdown(&report);
        let titles = text.lines().filter_map(|line| line.strip_prefix("## "));
        assert_eq!(
            titles.collect::<Vec<_>>(),
            [
                "Over 3 seeds",
                "Other scores",
                "Validation loss along the path",
                "Quality of samples",
                "Copies of training images",
                "Representations",
                "Cost",
                "Speed-up",
                "Where it comes from"
            ]
        );
        assert!(text.contains(&plain(&report.disagreements[0])));
    }
}
