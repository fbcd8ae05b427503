//! Tables, and the report as a whole, as Markdown.

use crate::content::Report;
use crate::section::{Block, Section};
use crate::table::{Table, one_line};
use crate::{outcome, sections, verdicts};

/// The page's words and tables: everything but charts and pictures.
pub fn markdown(report: &Report) -> String {
    let mut parts = vec![format!("# {}", plain(&report.title)), plain(&outcome(report))];
    parts.push(rows(&verdicts::table(report)));
    parts.extend(list(&report.remarks));
    parts.extend(sections::all(report).iter().filter_map(section));
    parts.join("\n\n") + "\n"
}

/// A section; none where it has pictures and charts alone.
fn section(section: &Section) -> Option<String> {
    let mut parts = vec![format!("## {}", plain(&section.title))];
    let (mut words, mut filled) = (Vec::new(), false);
    for block in &section.blocks {
        let part = match block {
            Block::Words(text) => {
                words.push(plain(text));
                continue;
            }
            Block::Heading(title) => {
                words.push(format!("### {}", plain(title)));
                continue;
            }
            Block::Table(table) if is_text(table) => table_text(table),
            Block::Code(text) => format!("```\n{}\n```", text.trim_end().replace("```", "'''")),
            _ => continue,
        };
        filled = true;
        parts.append(&mut words);
        parts.push(part);
    }
    filled.then(|| parts.join("\n\n"))
}

/// Tells that Markdown can show it.
fn is_text(table: &Table) -> bool {
    !table.rows.is_empty() && !table.has_pictures()
}

fn table_text(table: &Table) -> String {
    match table.caption.as_str() {
        "" => rows(table),
        caption => format!("{}:\n\n{}", plain(caption), rows(table)),
    }
}

/// Heads, rows and notes.
fn rows(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(table.columns.iter().map(|column| plain(&column.name)).collect())];
    let rules = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| match i == 0 || column.is_text {
            true => "---|",
            false => "--:|",
        });
    lines.push(format!("|{}", rules.collect::<String>()));
    let rows = table.rows.iter();
    lines.extend(rows.map(|row| line(row.cells.iter().map(|cell| plain(&cell.text)).collect())));
    lines.join("\n") + &list(&table.notes).map_or_else(String::new, |notes| format!("\n\n{notes}"))
}

fn list(lines: &[String]) -> Option<String> {
    let lines: Vec<String> = lines.iter().map(|line| format!("- {}", plain(line))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Text that no Markdown is made of.
fn plain(text: &str) -> String {
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
    use super::*;
    use crate::fixture;

    #[test]
    fn hostile_names_make_no_markdown() {
        let text = markdown(&fixture::hostile());
        assert!(text.contains("\\<i>") && !text.contains("\n\u{1b}"), "{text}");
        let rows = text.split("\n\n").find(|part| part.starts_with("| variant")).unwrap();
        let cells: Vec<usize> = rows.lines().map(|row| row.matches('|').count()).collect();
        assert_eq!(cells.len(), 6, "{rows}");
        assert!(cells.iter().all(|count| *count == cells[0]), "{rows}");
    }

    #[test]
    fn every_table_of_the_page_is_in_it() {
        let report = fixture::example();
        let text = markdown(&report);
        for section in sections::all(&report) {
            for table in section.tables().filter(|table| is_text(table)) {
                assert!(text.contains(&rows(table)), "{} of {}", table.caption, section.title);
            }
        }
        assert!(text.contains(&plain(&outcome(&report))));
    }
}
