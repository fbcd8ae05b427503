//! Features that a phase's teacher gives: whose tokens at which depth, and how sharpened; and those that its encoder
//! gives.

use sextant_guidance::plan::{Network, SettingMeaning};

use crate::Error;
use sextant_data::{Dataset, Field};
use sextant_guidance::{SourcePlan, Sources};
use sextant_model::Sit;
use sextant_model::encoder;
use sextant_stats::measure::{Features, MeasureError};

/// The teacher's features that guide, as far as plans tell.
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
/// The depth is what the source declared in its plan, the deepest if there are several. The scale is the setting that it declared
/// as that of feature guidance; a source that declares several depths has no scale here.
pub fn guided_of(sources: &Sources) -> Option<Target> {
    sources.plans().find_map(|(_, plan)| target(plan))
}

fn target(plan: &SourcePlan) -> Option<Target> {
    let depths = plan.depths(Network::Teacher);
    Some(Target {
        depth: *depths.last()?,
        scale: plan
            .setting(SettingMeaning::FeatureGuidance)
            .filter(|_| depths.len() == 1),
    })
}

/// The encoder's features of the held-out images, all tokens of an image in its row; none where no source reads them.
///
/// # Errors
/// Features that are not finite.
pub fn encoder_of(sources: &Sources, dataset: &Dataset) -> Result<Option<Features>, Error> {
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
    Features::from_f32(&values, width).map_err(|error| Error::Failed(format!("the encoder's features: {error}")))
}

/// f_u + w (f_c - f_u), row by row. Both have the same shape.
///
/// # Errors
/// A scale that makes too large a number.
pub fn sharpened(conditional: &Features, unconditional: &Features, scale: f64) -> Result<Features, MeasureError> {
    let pairs = conditional.values().iter().zip(unconditional.values());
    let values = pairs.map(|(c, u)| u + scale * (c - u)).collect();
    Features::new(values, conditional.width())
}

#[cfg(test)]
mod tests {
    use sextant_guidance::plan::{Setting, TapKind, TapRequest};

    use super::super::fixture;
    use super::*;

    fn plan(taps: &[(Network, usize)]) -> SourcePlan {
        let tap = |&(network, depth)| TapRequest {
            network,
            kind: TapKind::Block,
            depth,
        };
        fixture::plan(taps.iter().map(tap).collect())
    }

    fn scale(value: f64, meaning: SettingMeaning) -> Setting {
        Setting {
            name: format!("{meaning:?}"),
            value,
            meaning,
        }
    }

    #[test]
    fn a_target_is_the_teachers_depth_and_the_scale_that_is_declared() {
        let mut one = plan(&[(Network::Student, 3), (Network::Teacher, 4)]);
        // A number of that name is not enough.
        one.settings = vec![scale(7.0, SettingMeaning::Plain)];
        assert_eq!(target(&one), Some(Target { depth: 4, scale: None }));
        one.settings.push(scale(30.0, SettingMeaning::FeatureGuidance));
        let known = Target {
            depth: 4,
            scale: Some(30.0),
        };
        assert_eq!(target(&one), Some(known));
    }

    #[test]
    fn of_several_depths_the_deepest_is_shown_as_it_is() {
        let mut several = plan(&[(Network::Teacher, 5), (Network::Teacher, 2)]);
        several.settings = vec![scale(30.0, SettingMeaning::FeatureGuidance)];
        assert_eq!(target(&several), Some(Target { depth: 5, scale: None }));
    }

    #[test]
    fn who_asks_nothing_of_the_teacher_gives_no_target() {
        let mut without = plan(&[(Network::Student, 3), (Network::Ema, 4)]);
        without.settings = vec![scale(30.0, SettingMeaning::FeatureGuidance)];
        assert_eq!(target(&without), None);
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
