//! A table of ready words, the same for the page and for Markdown.

use std::fmt::Write;

use super::markdown;
use super::markup::escape;
use super::plot::swatch;

/// A table whose rows are mostly variants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sheet {
    /// What it holds, in a few words; its caption.
    pub caption: String,
    /// The heads, that of the rows' names included.
    pub heads: Vec<String>,
    /// The rows.
    pub rows: Vec<SheetRow>,
    /// The columns of words, which are set to the left; the first, of names, always is.
    pub words: Vec<usize>,
}

/// One row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SheetRow {
    /// The variant's place in the report; none for a row of another kind.
    pub variant: Option<usize>,
    /// Whether it is a floor, set apart from the rows above.
    pub floor: bool,
    /// What the row is of.
    pub name: String,
    /// One cell a head after the first.
    pub cells: Vec<String>,
}

impl SheetRow {
    /// A variant's row.
    pub fn of(variant: usize, name: &str, cells: Vec<String>) -> Self {
        Self {
            variant: Some(variant),
            ..Self::plain(name, cells)
        }
    }

    /// What the rows above are held against.
    pub fn floor(name: &str, cells: Vec<String>) -> Self {
        Self {
            floor: true,
            ..Self::plain(name, cells)
        }
    }

    /// A row that is of no variant.
    pub fn plain(name: &str, cells: Vec<String>) -> Self {
        Self {
            name: name.into(),
            cells,
            ..Self::default()
        }
    }
}

impl Sheet {
    /// The table in a box of its own that scrolls; nothing without rows.
    pub fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let head: String = self
            .heads
            .iter()
            .enumerate()
            .map(|(i, head)| format!("<th scope=\"col\"{}>{}</th>", self.class(i), escape(head)))
            .collect();
        let mut body = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let again =
                index > 0 && self.rows[index - 1].name == row.name && self.rows[index - 1].variant == row.variant;
            let kind = match (again, row.floor) {
                (true, _) => " class=\"again\"",
                (false, true) => " class=\"floor\"",
                (false, false) => "",
            };
            let mark = row.variant.map_or_else(String::new, swatch);
            let cells: String = row
                .cells
                .iter()
                .enumerate()
                .map(|(i, cell)| format!("<td{}>{}</td>", self.class(i + 1), escape(cell)))
                .collect();
            let _ = writeln!(
                body,
                "<tr{kind}><th scope=\"row\"><div class=\"name\">{mark}<span>{}</span></div></th>{cells}</tr>",
                escape(&row.name)
            );
        }
        let caption = escape(&self.caption);
        format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n<caption>{caption}</caption>\n\
             <thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
        )
    }

    /// The table as Markdown below its caption; nothing without rows.
    pub fn markdown(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let rows = self.rows.iter().map(|row| {
            std::iter::once(row.name.clone())
                .chain(row.cells.iter().cloned())
                .collect()
        });
        format!(
            "{}:\n\n{}\n",
            markdown::plain(&self.caption),
            markdown::rows_of(&self.heads, rows)
        )
    }

    fn class(&self, column: usize) -> &'static str {
        if self.words.contains(&column) {
            " class=\"left\""
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_words_and_a_name_is_shown_once() {
        let row = |cell: &str| SheetRow::of(0, "<b>", vec![cell.into()]);
        let sheet = Sheet {
            caption: "a & b".into(),
            heads: vec!["variant".into(), "x".into()],
            rows: vec![row("1"), row("<2>"), SheetRow::floor("floor", vec!["3".into()])],
            words: Vec::new(),
        };
        let html = sheet.html();
        assert!(html.contains("&lt;2&gt;") && html.contains("a &amp; b") && !html.contains("<b>"));
        assert_eq!(
            (
                html.matches("class=\"again\"").count(),
                html.matches("class=\"floor\"").count()
            ),
            (1, 1)
        );
        assert!(sheet.markdown().contains("| \\<b> | 1 |"), "{}", sheet.markdown());
        assert_eq!(Sheet::default().html() + &Sheet::default().markdown(), "");
    }
}
