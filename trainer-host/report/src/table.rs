//! A table before it is HTML, Markdown, terminal text or CSV.

/// Rows under heads. The first column names the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// A title in a few words.
    pub caption: String,
    /// The heads, that of the rows' names included.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Row>,
    /// Lines below the table.
    pub notes: Vec<String>,
}

/// The head of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// Its name, a few words, with the unit.
    pub name: String,
    /// Its meaning in a sentence; may be empty.
    pub meaning: &'static str,
    /// Set to the left, as words are.
    pub is_text: bool,
}

/// A line of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The variant's place in the report; none for a row of another kind.
    pub variant: Option<usize>,
    /// A floor that the rows above are held against, set apart from them.
    pub is_floor: bool,
    /// The row's name and a cell for each further column.
    pub cells: Vec<Cell>,
}

/// One entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// A number or a few words.
    pub text: String,
    /// Its tone.
    pub tone: Tone,
    /// An encoded PNG above the text, on the page alone.
    pub png: Option<Vec<u8>>,
}

/// Weight of an entry for the eye.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// A gain that is resolved.
    Good,
    /// A loss that is resolved, or a failure.
    Bad,
    /// Something that decides nothing.
    Quiet,
}

impl Table {
    /// An empty table with these heads.
    pub fn new<C: Into<Column>>(caption: impl Into<String>, columns: impl IntoIterator<Item = C>) -> Self {
        Self {
            caption: caption.into(),
            columns: columns.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The same with these rows.
    pub fn with(mut self, rows: impl IntoIterator<Item = Row>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Tells that it holds pictures, which only the page can show.
    pub fn has_pictures(&self) -> bool {
        self.rows
            .iter()
            .flat_map(|row| &row.cells)
            .any(|cell| cell.png.is_some())
    }
}

impl Column {
    /// A column of words.
    pub fn text(name: impl Into<String>) -> Self {
        Self {
            is_text: true,
            ..Self::from(name.into())
        }
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl Row {
    /// A variant's row.
    pub fn of<C: Into<Cell>>(variant: usize, name: &str, cells: impl IntoIterator<Item = C>) -> Self {
        Self {
            variant: Some(variant),
            ..Self::plain(name, cells)
        }
    }

    /// A row that is of no variant.
    pub fn plain<C: Into<Cell>>(name: &str, cells: impl IntoIterator<Item = C>) -> Self {
        Self {
            cells: std::iter::once(name.into())
                .chain(cells.into_iter().map(Into::into))
                .collect(),
            ..Self::default()
        }
    }

    /// A floor of the rows above.
    pub fn floor<C: Into<Cell>>(name: &str, cells: impl IntoIterator<Item = C>) -> Self {
        Self {
            is_floor: true,
            ..Self::plain(name, cells)
        }
    }

    /// The row's name.
    pub fn name(&self) -> &str {
        self.cells.first().map_or("", |cell| &cell.text)
    }
}

impl Cell {
    /// An entry with a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
            png: None,
        }
    }

    /// A picture with a few words below it.
    pub fn picture(png: &[u8], text: impl Into<String>) -> Self {
        Self {
            png: Some(png.into()),
            ..Self::new(text, Tone::Plain)
        }
    }

    /// The entry of something that is not there.
    pub fn nothing() -> Self {
        Self::new("—", Tone::Quiet)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or_else(Self::nothing, Self::from)
    }
}

/// Foreign text on one line, without control characters: an error message can have several lines, and escape codes.
pub fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).collect()
}
