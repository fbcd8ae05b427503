//! The parts that page, Markdown and the folder of charts are made of.

use crate::chart::Chart;
use crate::table::Table;

/// A part of the report under a title of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    /// The id by which the page's links and styles find it.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// Everything below the heading, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Words(String),
    /// A heading within the section.
    Heading(String),
    /// A table; shown where it has rows.
    Table(Table),
    /// Charts side by side.
    Charts(Vec<Chart>),
    /// Text to be copied.
    Code(String),
    /// Pictures side by side, on the page alone.
    Pictures(Vec<Picture>),
    /// Tables of pictures of which a switch shows one, on the page alone.
    Panels(Vec<Panel>),
}

/// A variant's picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The variant's place in the report.
    pub variant: usize,
    /// A name that stands over it.
    pub name: String,
    /// Words in its place.
    pub alt: String,
    /// An encoded PNG.
    pub png: Vec<u8>,
}

/// A table of pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// The switch's name for it.
    pub name: String,
    /// Heads: the variant's place, its name, and what the column is of.
    pub columns: Vec<(usize, String, String)>,
    /// Rows: their names, and a cell for each column.
    pub rows: Vec<(String, Vec<PanelCell>)>,
}

/// A picture with words below it, or nothing.
pub type PanelCell = Option<(Picture, String)>;

impl Section {
    /// A section; none where there is nothing to show in it.
    pub fn new(id: &'static str, title: impl Into<String>, blocks: Vec<Block>) -> Option<Self> {
        let filled = blocks.iter().any(|block| match block {
            Block::Words(_) | Block::Heading(_) => false,
            Block::Table(table) => !table.rows.is_empty(),
            Block::Charts(charts) => !charts.is_empty(),
            Block::Pictures(pictures) => !pictures.is_empty(),
            Block::Panels(panels) => !panels.is_empty(),
            Block::Code(_) => true,
        });
        let title = title.into();
        filled.then_some(Self { id, title, blocks })
    }

    /// Its charts.
    pub fn charts(&self) -> impl Iterator<Item = &Chart> {
        self.blocks.iter().flat_map(|block| match block {
            Block::Charts(charts) => charts.as_slice(),
            _ => &[],
        })
    }

    /// Its tables.
    #[cfg(test)]
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Table(table) => Some(table),
            _ => None,
        })
    }
}
