//! Features that come with the batch.

use crate::{Error, Geometry};

/// Width E of the batch field `name`, which must hold a feature for every token of the student: `[T, E]` a sample.
///
/// # Errors
/// If the data does not have the field, or it has another shape.
pub fn feature_width(geometry: &Geometry, name: &str) -> Result<usize, Error> {
    let student = geometry.student();
    let shape = &geometry.field(name)?.shape;
    let [tokens, width] = shape[..] else {
        return Err(Error::new(format!(
            "batch field {name:?} must be [tokens, width] a sample, it is {shape:?}"
        )));
    };
    if tokens != student.tokens() {
        return Err(Error::new(format!(
            "batch field {name:?} has {tokens} tokens, the student has {}: \
             extract the features on a grid of {} by {}",
            student.tokens(),
            student.grid[0],
            student.grid[1]
        )));
    }
    Ok(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, NetworkGeometry};

    fn geometry(shape: &[usize]) -> Geometry {
        let student = NetworkGeometry {
            depth: 4,
            width: 32,
            heads: 4,
            prefix_tokens: 0,
            grid: [4, 4],
        };
        Geometry::new(2, [4, 8, 8], 2, student).with_field("z", DType::F32, shape)
    }

    #[test]
    fn a_feature_for_every_token_has_a_width() {
        assert_eq!(feature_width(&geometry(&[16, 24]), "z"), Ok(24));
    }

    #[test]
    fn other_shapes_say_what_is_wanted() {
        let error = |shape: &[usize]| feature_width(&geometry(shape), "z").unwrap_err().to_string();
        assert!(error(&[4, 4, 24]).contains("must be [tokens, width] a sample"));
        assert!(error(&[9, 24]).contains("has 9 tokens, the student has 16: extract the features on a grid of 4 by 4"));
    }
}
