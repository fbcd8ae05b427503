//! Tables for other programs.

use crate::table::Table;

/// A table as RFC 4180 has it, the columns' names as its first line.
pub fn text(table: &Table) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let heads = table.columns.iter().map(|column| column.name.as_str());
    let rows = table
        .rows
        .iter()
        .map(|row| row.cells.iter().map(|cell| cell.text.as_str()));
    // Nothing fails that is written to memory in rows of one length, and every row of ours has a cell for each head.
    writer.write_record(heads).expect("a line in memory is written");
    for row in rows {
        writer
            .write_record(row)
            .expect("a line of as many cells as the head is written");
    }
    let bytes = writer.into_inner().expect("what is in memory is flushed");
    String::from_utf8(bytes).expect("text stays text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    #[test]
    fn quotes_commas_and_line_breaks_stay_in_their_cell() {
        let table = Table::new("", ["a", "b"]).with([Row::plain("plain", ["a \"b\",\nc"])]);
        assert_eq!(text(&table), "a,b\r\nplain,\"a \"\"b\"\",\nc\"\r\n");
    }
}
