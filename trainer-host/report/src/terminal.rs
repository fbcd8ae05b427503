//! Tables as aligned text.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use crate::table::{Table, one_line};

/// A table for a terminal: columns aligned, control characters of foreign text dropped, notes below. Ends with a line
/// break.
pub fn text(table: &Table) -> String {
    let mut out = comfy_table::Table::new();
    out.load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    out.set_header(table.columns.iter().map(|column| one_line(&column.name)));
    for row in &table.rows {
        out.add_row(row.cells.iter().map(|cell| one_line(&cell.text)));
    }
    for (index, column) in table.columns.iter().enumerate() {
        if let Some(of) = out.column_mut(index) {
            of.set_padding((0, 2));
            if index > 0 && !column.is_text {
                of.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let notes = table.notes.iter().map(|note| one_line(note));
    let lines = out.lines().map(|line| line.trim_end().to_owned()).chain(notes);
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Row};

    #[test]
    fn columns_are_aligned_and_foreign_text_cannot_steer_the_terminal() {
        let table = Table::new("", [Column::text("variant"), "loss".into()])
            .with([Row::plain("a", ["0.5"]), Row::plain("long\n\u{1b}[31mname", ["10.25"])]);
        let text = text(&table);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("long [31mname"), "{text}");
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() == lines[0].chars().count()),
            "{text}"
        );
    }
}
