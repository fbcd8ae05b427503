//! Batch fields of generated data.

use std::fmt;
use std::str::FromStr;

use super::case::Case;

/// A batch field: its name and the shape of one sample, whose extents follow the geometry.
///
/// Written `NAME=EXTENT,…`, an extent being a number or a symbol: `T` tokens, `D` width, `C` channels, `H` and `W` the
/// latents' height and width, `heads`. Values are normal, of the case's magnitude; those of a field called `attention` are
/// probabilities, which sum to 1 over the last extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldShape {
    /// As a source names it.
    pub name: String,
    extents: Vec<Extent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Number(usize),
    Tokens,
    Width,
    Channels,
    Side(char),
    Heads,
}

impl FieldShape {
    /// The fields that every check has: `features=T,12`, an encoder's tokens, and `attention=4,heads,T,T`, its maps.
    pub fn defaults() -> Vec<Self> {
        use Extent::{Heads, Number, Tokens};
        let field = |name: &str, extents: Vec<Extent>| Self {
            name: name.to_owned(),
            extents,
        };
        vec![
            field("features", vec![Tokens, Number(12)]),
            field("attention", vec![Number(4), Heads, Tokens, Tokens]),
        ]
    }

    /// The shape of one sample in a case.
    pub fn shape(&self, case: &Case) -> Vec<usize> {
        let extent = |extent: &Extent| match extent {
            Extent::Number(number) => *number,
            Extent::Tokens => case.tokens(),
            Extent::Width => case.width,
            Extent::Channels => case.channels,
            Extent::Side(_) => case.side(),
            Extent::Heads => case.heads,
        };
        self.extents.iter().map(extent).collect()
    }

    /// Tells whether the values are probabilities over the last extent.
    pub fn probabilities(&self) -> bool {
        self.name == "attention"
    }
}

/// A text that names no field and its shape.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text:?} is no field: write NAME=T,8 with numbers or T, D, C, H, W, heads")]
pub struct NoField {
    text: String,
}

impl FromStr for FieldShape {
    type Err = NoField;

    fn from_str(text: &str) -> Result<Self, NoField> {
        let wrong = || NoField { text: text.to_owned() };
        let (name, extents) = text.split_once('=').ok_or_else(wrong)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let extent = |extent: &str| {
            Ok(match extent.trim() {
                "T" => Extent::Tokens,
                "D" => Extent::Width,
                "C" => Extent::Channels,
                "H" => Extent::Side('H'),
                "W" => Extent::Side('W'),
                "heads" => Extent::Heads,
                number => match number.parse() {
                    Ok(number @ 1..=1024) => Extent::Number(number),
                    _ => return Err(wrong()),
                },
            })
        };
        let extents = extents.split(',').map(extent).collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            extents,
        })
    }
}

impl fmt::Display for FieldShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name)?;
        for (i, extent) in self.extents.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            match extent {
                Extent::Number(number) => write!(f, "{number}"),
                Extent::Tokens => f.write_str("T"),
                Extent::Width => f.write_str("D"),
                Extent::Channels => f.write_str("C"),
                Extent::Side(letter) => write!(f, "{letter}"),
                Extent::Heads => f.write_str("heads"),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_read_what_it_writes_and_follow_the_geometry() {
        let field: FieldShape = "depth_map=T,8,heads,C,H,W,D".parse().unwrap();
        assert_eq!(field.to_string(), "depth_map=T,8,heads,C,H,W,D");
        assert_eq!(field.shape(&Case::plain()), [4, 8, 2, 3, 4, 4, 16]);
    }

    #[test]
    fn should_refuse_what_is_no_shape() {
        for text in ["", "x", "x=", "=T", "x=0", "x=Q", "x=T,,2", "x=99999"] {
            let error = text.parse::<FieldShape>().unwrap_err().to_string();
            assert!(error.contains("NAME=T,8"), "{text}: {error}");
        }
    }
}
