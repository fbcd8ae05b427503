//! What a phase's teacher gives: whose tokens at which depth, and how they are sharpened; and what its guide gives.

use serde_json::Value;
use sextant_guidance::plan::Network;

use crate::Error;
use sextant_data::{Dataset, Field};
use sextant_guidance::{SourcePlan, Sources};
use sextant_model::Sit;
use sextant_model::encoder;
use sextant_stats::measure::{Features, MeasureError};

/// The key of a source's `config` that, by convention, is the scale w of feature guidance.
const SCALE: &str = "scale";

/// Which of the teacher's features guide, as far as plans and configurations tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Depth of the teacher's tokens.
    pub depth: usize,
    /// w of f_u + w (f_c - f_u); none where the source says nothing of the kind.
    pub scale: Option<f64>,
}

/// A teacher and the features of it that guide.
#[derive(Clone, Copy, Debug)]
pub struct Guided<'a> {
    /// The frozen network.
    pub network: &'a Sit,
    /// Depth of its tokens.
    pub depth: usize,
    /// w of f_u + w (f_c - f_u), if it is known.
    pub scale: Option<f64>,
}

impl Guided<'_> {
    /// An error unless the teacher has the depth.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.network.config().depth {
            depth if self.depth > depth => Err(Error::Input(format!(
                "the teacher has {depth} blocks, there are no tokens at depth {}",
                self.depth
            ))),
            _ => Ok(()),
        }
    }
}

/// The target that a phase's teacher gives: of the first source that asks for the teacher's tokens, in the recipe's order.
///
/// The depth is what the source declared in its plan, the deepest if there are several. The scale is the key `scale` of
/// its `config`, as the recipe gives it or as the library's schema says that it is if left out; a source that declares
/// several depths, or has no such key, has no scale here.
pub fn guided_of(sources: &Sources) -> Option<Target> {
    let targets = sources
        .plans()
        .filter_map(|(name, plan)| target(plan, || sources.setting(name, SCALE)));
    targets.into_iter().next()
}

fn target(plan: &SourcePlan, scale: impl FnOnce() -> Option<Value>) -> Option<Target> {
    let depths = plan.depths(Network::Teacher);
    Some(Target {
        depth: *depths.last()?,
        scale: match depths.len() {
            1 => scale().as_ref().and_then(Value::as_f64),
            _ => None,
        },
    })
}

/// The guide's features of the held-out images, all tokens of an image in its row; none where no source reads them.
///
/// # Errors
/// Features that are not finite.
pub fn guide_of(sources: &Sources, dataset: &Dataset) -> Result<Option<Features>, Error> {
    let read = sources.fields().iter().any(|field| field == encoder::FEATURES);
    match dataset.fields().get(encoder::FEATURES) {
        Some(field) if read => held_out(field, dataset).map(Some),
        _ => Ok(None),
    }
}

fn held_out(field: &Field, dataset: &Dataset) -> Result<Features, Error> {
    let width: usize = field.shape.iter().product();
    let rows = dataset.held_out().iter();
    let values: Vec<f32> = rows
        .flat_map(|&id| &field.values[id * width..(id + 1) * width])
        .copied()
        .collect();
    Features::from_f32(&values, width).map_err(|error| Error::Failed(format!("the guide's features: {error}")))
}

/// f_u + w (f_c - f_u), row by row. Both have the same shape.
///
/// # Errors
/// Where a scale makes too large a number.
pub fn sharpened(conditional: &Features, unconditional: &Features, scale: f64) -> Result<Features, MeasureError> {
    let pairs = conditional.values().iter().zip(unconditional.values());
    let values = pairs.map(|(c, u)| u + scale * (c - u)).collect();
    Features::new(values, conditional.width())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sextant_guidance::plan::TapKind;

    use super::super::fixture;
    use super::*;
    use sextant_guidance::plan::TapRequest;

    fn plan(taps: &[(Network, usize)]) -> SourcePlan {
        let tap = |&(network, depth)| TapRequest {
            network,
            kind: TapKind::Block,
            depth,
        };
        fixture::plan(taps.iter().map(tap).collect())
    }

    #[test]
    fn a_target_is_the_teachers_depth_and_the_scale_that_is_known() {
        let one = plan(&[(Network::Student, 3), (Network::Teacher, 4)]);
        let known = target(&one, || Some(json!(30)));
        assert_eq!(
            known,
            Some(Target {
                depth: 4,
                scale: Some(30.0)
            })
        );
        for unknown in [None, Some(json!("large"))] {
            assert_eq!(target(&one, || unknown), Some(Target { depth: 4, scale: None }));
        }
    }

    #[test]
    fn of_several_depths_the_deepest_is_shown_as_it_is() {
        let several = plan(&[(Network::Teacher, 5), (Network::Teacher, 2)]);
        let found = target(&several, || Some(json!(30.0)));
        assert_eq!(found, Some(Target { depth: 5, scale: None }));
    }

    #[test]
    fn who_asks_nothing_of_the_teacher_gives_no_target() {
        let without = plan(&[(Network::Student, 3), (Network::Ema, 4)]);
        assert_eq!(target(&without, || unreachable!("there is no target")), None);
    }

    #[test]
    fn a_guides_rows_are_those_of_the_held_out_images() {
        let dataset = fixture::dataset();
        let field = Field {
            shape: vec![2, 3],
            values: (0..dataset.len() * 6).map(|at| at as f32).collect(),
        };
        let rows = held_out(&field, &dataset).unwrap();
        assert_eq!((rows.len(), rows.width()), (dataset.held_out().len(), 6));
        let last = dataset.held_out().len() - 1;
        assert_eq!(rows.row(last)[5], (dataset.held_out()[last] * 6 + 5) as f64);
    }

    #[test]
    fn sharpening_is_a_line_through_both() {
        let of = |values: &[f64]| Features::new(values.to_vec(), 2).unwrap();
        let (c, u) = (of(&[1.0, 2.0]), of(&[0.0, 4.0]));
        assert_eq!(sharpened(&c, &u, 0.0).unwrap(), u);
        assert_eq!(sharpened(&c, &u, 1.0).unwrap(), c);
        assert_eq!(sharpened(&c, &u, 30.0).unwrap(), of(&[30.0, -56.0]));
        assert!(sharpened(&c, &u, 1e300).is_err());
    }
}
