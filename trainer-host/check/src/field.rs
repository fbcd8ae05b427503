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
    /// As they are written, each an extent of any case.
    extents: Vec<String>,
}

impl FieldShape {
    /// The fields that every check has: an encoder's tokens, and its maps.
    pub fn defaults() -> [Self; 2] {
        ["features=T,12", "attention=4,heads,T,T"].map(|text| text.parse().expect("a name and its extents"))
    }

    /// The shape of one sample in a case.
    pub fn shape(&self, case: &Case) -> Vec<usize> {
        self.extents.iter().filter_map(|text| extent(text, case)).collect()
    }

    /// Tells whether the values are probabilities over the last extent.
    pub fn probabilities(&self) -> bool {
        self.name == "attention"
    }
}

/// The number that an extent stands for in a case; none where it is no extent.
fn extent(text: &str, case: &Case) -> Option<usize> {
    match text {
        "T" => Some(case.tokens()),
        "D" => Some(case.width),
        "C" => Some(case.channels),
        "H" | "W" => Some(case.side()),
        "heads" => Some(case.heads),
        number => number.parse().ok().filter(|number| (1..=1024).contains(number)),
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
        let extents: Vec<String> = extents.split(',').map(|extent| extent.trim().to_owned()).collect();
        let known = extents.iter().all(|text| extent(text, &Case::plain()).is_some());
        if name.is_empty() || name.contains(char::is_whitespace) || !known {
            return Err(wrong());
        }
        let name = name.to_owned();
        Ok(Self { name, extents })
    }
}

impl fmt::Display for FieldShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.extents.join(","))
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
