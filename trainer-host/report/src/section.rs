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
    /// A table; shown where it has rows, and one of pictures on the page alone.
    Table(Table),
    /// Charts side by side.
    Charts(Vec<Chart>),
    /// Text to be copied.
    Code(String),
}

impl Section {
    /// A section; none where there is nothing to show in it.
    pub fn new(id: &'static str, title: impl Into<String>, blocks: Vec<Block>) -> Option<Self> {
        let filled = blocks.iter().any(|block| match block {
            Block::Words(_) | Block::Heading(_) => false,
            Block::Table(table) => !table.rows.is_empty(),
            Block::Charts(charts) => !charts.is_empty(),
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
