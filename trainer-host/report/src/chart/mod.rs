//! The one renderer of charts: lines over an axis and stacked bars, as SVG for the page and for files of their own.

mod axis;
mod bars;
mod curve;
mod document;
mod lines;

pub use bars::{Bar, Bars};
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
    pub drawing: Drawing,
}

/// The kind of a drawing, with its contents.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawing {
    /// Lines over an axis.
    Lines(Lines),
    /// A stacked bar a variant.
    Bars(Bars),
}

impl Chart {
    /// A chart of lines.
    pub fn lines(file: impl Into<String>, caption: impl Into<String>, lines: Lines) -> Self {
        let (file, caption, drawing) = (file.into(), caption.into(), Drawing::Lines(lines));
        Self { file, caption, drawing }
    }

    /// Width and height; text is 12 units high.
    pub fn size(&self) -> (f64, f64) {
        match &self.drawing {
            Drawing::Lines(lines) => lines.size,
            Drawing::Bars(bars) => bars.size(),
        }
    }

    /// Its subject in words.
    pub fn title(&self) -> String {
        match &self.drawing {
            Drawing::Lines(lines) => format!("{} by {}", lines.title, lines.x_label),
            Drawing::Bars(bars) => bars.title.clone(),
        }
    }

    /// The variants in it, each with its name.
    fn variants(&self) -> Vec<(usize, &str)> {
        match &self.drawing {
            Drawing::Lines(lines) => lines
                .lines
                .iter()
                .map(|line| (line.variant, line.name.as_str()))
                .collect(),
            // Bars have their names beside them.
            Drawing::Bars(_) => Vec::new(),
        }
    }

    /// The marks alone.
    fn body(&self) -> String {
        match &self.drawing {
            Drawing::Lines(lines) => lines.body(),
            Drawing::Bars(bars) => bars.body(),
        }
    }

    /// An element of the page, whose style it needs. Its values are there to be read off.
    pub fn svg(&self) -> Markup {
        let (width, height) = self.size();
        let readings = match &self.drawing {
            Drawing::Lines(lines) => lines.readings(),
            Drawing::Bars(_) => String::new(),
        };
        let style = format!("--width:{width}px");
        html! {
            svg.chart viewBox=(format!("0 0 {width} {height}")) style=(style) role="img" aria-label=(self.title()) {
                (PreEscaped(self.body())) (PreEscaped(readings))
            }
        }
    }
}

/// Text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}
