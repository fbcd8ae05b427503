//! The table as text.

use super::content::Report;
use super::table::{Table, note_mark, one_line};

/// The comparison's table as aligned text, one row a variant, for a terminal: the page's numbers under the page's names.
/// Control characters in names and messages are dropped. Ends with a line break.
pub fn table_text(report: &Report) -> String {
    let table = Table::new(report);
    let mut columns = vec![variant_lines(&table)];
    columns.extend((0..table.columns.len()).map(|column| column_lines(&table, column)));
    let widths: Vec<usize> = columns
        .iter()
        .map(|lines| lines.iter().map(|l| width(l)).max().unwrap_or(0))
        .collect();
    let head = columns
        .iter()
        .map(|lines| lines.len() - table.rows.len())
        .max()
        .unwrap_or(0);

    let mut out = String::new();
    let mut push = |line: String| {
        out.push_str(line.trim_end());
        out.push('\n');
    };
    for line in 0..head + table.rows.len() {
        let text = |column: usize| {
            let lines = &columns[column];
            // Heads are of different heights and stand on the same ground.
            (line + lines.len())
                .checked_sub(head + table.rows.len())
                .map_or("", |line| lines[line].as_str())
        };
        let mut cells = vec![format!("{}{}", text(0), " ".repeat(widths[0] - width(text(0))))];
        match line
            .checked_sub(head)
            .and_then(|row| table.rows[row].cells.as_ref().err())
        {
            Some(words) => cells.push(one_line(words)),
            None => cells
                .extend((1..columns.len()).map(|c| format!("{}{}", " ".repeat(widths[c] - width(text(c))), text(c)))),
        }
        push(cells.join("  "));
        if line + 1 == head {
            push("─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
        }
    }
    for (note, reason) in table.notes.iter().enumerate() {
        push(format!("{} {reason}", note_mark(note)));
    }
    out
}

fn variant_lines(table: &Table) -> Vec<String> {
    let names = table.rows.iter().map(|row| one_line(&row.variant));
    std::iter::once("variant".to_string()).chain(names).collect()
}

fn column_lines(table: &Table, index: usize) -> Vec<String> {
    let column = &table.columns[index];
    let fraction = table.fraction_width(index);
    let marks = table
        .rows
        .iter()
        .flat_map(|row| &row.cells)
        .any(|cells| cells[index].note.is_some());
    let mut lines: Vec<String> = column.name.split(' ').map(str::to_string).collect();
    // Short words share a line: "time per / step".
    if lines.len() == 3 {
        let last = lines.split_off(2);
        lines = vec![lines.join(" "), last.concat()];
    }
    if !column.unit.is_empty() {
        lines.push(format!("({})", column.unit));
    }
    let mark_width = usize::from(marks);
    lines.extend(table.rows.iter().map(|row| match &row.cells {
        Err(_) => String::new(),
        Ok(cells) => {
            let cell = &cells[index];
            let (_, tail) = cell.parts();
            match cell.note {
                Some(note) => format!("{}{}", cell.text, note_mark(note)),
                None => format!("{}{}", cell.text, " ".repeat(fraction - tail.len() + mark_width)),
            }
        }
    }));
    lines
}

/// Rows of words under heads, each column as wide as its widest; control characters are dropped. Ends with a line break.
pub(super) fn aligned<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let lines: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned))
        .chain(rows.iter().map(|row| row.clone().map(|cell| one_line(&cell))))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|c| lines.iter().map(|line| width(&line[c])).max().unwrap_or(0));
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell))))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
        if index == 0 {
            out.push_str(&"─".repeat(widths.iter().sum::<usize>() + 2 * (N - 1)));
            out.push('\n');
        }
    }
    out
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::super::content::{Measurements, Outcome};
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_text_is_aligned_and_says_what_went_wrong() {
        let text = table_text(&fixture::report());
        let lines: Vec<&str> = text.lines().collect();
        let rule = lines.iter().position(|line| line.starts_with('─')).unwrap();
        let [none, guided, broken, stopped] = lines[rule + 1..][..4] else {
            panic!("{text}")
        };
        let column = |line: &str, text: &str| line.find(text).map(|i| line[..i].chars().count());
        // Decimal points of a column stand below each other.
        assert_eq!(column(none, "0.2561"), column(guided, "0.2561"));
        assert_eq!(column(none, ".834"), column(guided, ".834"));
        assert!(guided.contains("-812.3") && guided.contains("+12.3") && guided.contains("30.1"));
        assert_eq!(broken, "<i>\"broken\" & more  failed: step 7: [31mno </script> teacher");
        assert!(stopped.ends_with("interrupted after step 12,000; the same command resumes it"));
        assert!(text.contains("\na no source guides at the end of this run\n"));
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() <= lines[rule].chars().count())
        );
    }

    #[test]
    fn a_report_without_variants_has_a_head() {
        assert!(table_text(&Report::default()).contains("variant"));
    }

    #[test]
    fn values_that_are_not_finite_are_shown() {
        let mut report = fixture::report();
        report.variants[0].outcome = Outcome::Finished(Measurements {
            validation_loss: f64::NAN,
            total_seconds: f64::INFINITY,
            ..Measurements::default()
        });
        let text = table_text(&report);
        assert!(text.contains("NaN") && text.contains("inf"));
    }
}
