//! Features that a phase's teacher gives: whose tokens at which depth, and how sharpened.

use sextant_guidance::plan::{Network, SettingMeaning};

use sextant_guidance::{SourcePlan, Sources};
use sextant_model::Sit;
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
    /// The part of it that guides.
    pub target: Target,
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

/// f_u + w (f_c - f_u), row by row. Both have the same shape.
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

    /// A plan with these taps, and a setting of this value.
    fn plan(taps: &[(Network, usize)], value: f64, meaning: SettingMeaning) -> SourcePlan {
        let tap = |&(network, depth)| TapRequest {
            network,
            kind: TapKind::Block,
            depth,
        };
        let mut plan = fixture::plan(taps.iter().map(tap).collect());
        let name = "scale".into();
        plan.settings = vec![Setting { name, value, meaning }];
        plan
    }

    #[test]
    fn a_target_is_the_teachers_deepest_tokens_and_the_scale_that_is_declared() {
        use {Network::*, SettingMeaning::*};
        let found = |depth, scale| Some(Target { depth, scale });
        for (taps, meaning, wanted) in [
            (&[(Student, 3), (Teacher, 4)][..], FeatureGuidance, found(4, Some(30.0))),
            // A number of that name is not enough.
            (&[(Teacher, 4)], Plain, found(4, None)),
            (&[(Teacher, 5), (Teacher, 2)], FeatureGuidance, found(5, None)),
            (&[(Student, 3), (Ema, 4)], FeatureGuidance, None),
        ] {
            assert_eq!(target(&plan(taps, 30.0, meaning)), wanted, "{taps:?}");
        }
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
