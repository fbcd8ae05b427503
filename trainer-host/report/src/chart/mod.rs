//! The one renderer of charts: lines over an axis, as SVG for the page and for files of their own.

mod axis;
mod curve;
mod document;
mod lines;

pub use curve::Curve;
pub use document::{CHART_STYLE, PALETTE, document, file_name};
pub use lines::{Level, Line, Lines, line_class, swatch};

use maud::{Markup, PreEscaped, html};

/// A drawing with its name and its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The name of its file, without an ending.
    pub file: String,
    /// Words below it; may be empty.
    pub caption: String,
    /// The drawing itself.
    pub lines: Lines,
}

impl Chart {
    /// A chart of lines.
    pub fn new(file: impl Into<String>, caption: impl Into<String>, lines: Lines) -> Self {
        let (file, caption) = (file.into(), caption.into());
        Self { file, caption, lines }
    }

    /// Its subject in words.
    pub fn title(&self) -> String {
        format!("{} by {}", self.lines.title, self.lines.x_label)
    }

    /// An element of the page, whose style it needs. Its values are there to be read off.
    pub fn svg(&self) -> Markup {
        let (width, height) = self.lines.size;
        let marks = self.lines.body() + &self.lines.readings();
        let style = format!("--width:{width}px");
        html! {
            svg.chart viewBox=(format!("0 0 {width} {height}")) style=(style) role="img" aria-label=(self.title()) {
                (PreEscaped(marks))
            }
        }
    }
}

/// Text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}
