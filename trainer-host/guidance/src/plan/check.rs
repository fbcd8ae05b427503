//! A plan against the model and the data of this run.

use sextant_plugin_api::abi::{Network, TapKind};

use super::read::network_name;
use super::{SourcePlan, TapRequest};
use crate::fault::Fault;
use crate::geometry::{GuidanceGeometry, NetworkShape};

/// Refuses a plan that asks for what this run cannot give. The error says what is at fault and what would be right; the caller
/// adds the source's name.
pub(crate) fn check(plan: &SourcePlan, geometry: &GuidanceGeometry) -> Result<(), Fault> {
    let lacking = |reason: String| Err(Fault::Lacking(reason));
    for TapRequest { network, kind, depth } in &plan.taps {
        let shape = match network {
            Network::Student => Some(&geometry.student),
            Network::Ema => Some(&geometry.ema),
            Network::Teacher => geometry.teacher.as_ref(),
        };
        let Some(NetworkShape { depth: blocks, .. }) = shape else {
            return lacking(
                "it needs a teacher, which this phase does not name: set `teacher` to an earlier phase's `model` or `ema`"
                    .into(),
            );
        };
        if *kind == TapKind::Attention && *depth == 0 {
            return lacking(format!(
                "it asks for the attention of depth 0, the embedding, which has none: set a depth from 1 to {blocks}"
            ));
        }
        if *kind != TapKind::Output && depth > blocks {
            let network = network_name(*network);
            return lacking(format!(
                "it asks for depth {depth} of the {network} network, which has {blocks} blocks: set a depth from 0 (the \
                 embedding) to {blocks}"
            ));
        }
    }
    let known: Vec<&str> = geometry.fields.iter().map(|(name, _)| name.as_str()).collect();
    match plan.fields.iter().find(|field| !known.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => {
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            lacking(format!(
                "it reads the batch field \"{field}\", which the data lacks; fields of the data: {known}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::geometry;

    /// The outcome for one activation of `network`, and for a batch field.
    fn outcome(network: Network, kind: TapKind, depth: usize, field: &str, geometry: &GuidanceGeometry) -> String {
        let plan = SourcePlan {
            required_minor: 0,
            batch_coupled: false,
            t_range: None,
            taps: vec![TapRequest { network, kind, depth }],
            fields: vec![field.to_owned()],
            parameters: vec![],
            buffers: vec![],
            metrics: vec![],
            settings: vec![],
        };
        check(&plan, geometry).map_or_else(|fault| fault.to_string(), |()| "fine".into())
    }

    #[test]
    fn should_accept_what_exists_and_say_what_does() {
        use Network::{Ema, Student, Teacher};
        use TapKind::{Attention, Block, Output};
        let with = geometry();
        let without = GuidanceGeometry {
            teacher: None,
            ..geometry()
        };
        for (network, kind, depth, field, geometry, parts) in [
            (Student, Block, 0, "features", &with, ["fine", ""]),
            (Student, Block, 3, "features", &with, ["fine", ""]),
            (Teacher, Block, 2, "features", &with, ["fine", ""]),
            (Ema, Block, 1, "features", &with, ["fine", ""]),
            (Student, Block, 4, "features", &with, ["depth 4 of the student", "to 3"]),
            (Student, Attention, 3, "features", &with, ["fine", ""]),
            (Student, Attention, 0, "features", &with, ["from 1 to 3", ""]),
            (Student, Attention, 4, "features", &with, ["depth 4 of the student", ""]),
            (Student, Output, 99, "features", &with, ["fine", ""]),
            (Teacher, Output, 99, "features", &with, ["fine", ""]),
            (Ema, Output, 99, "features", &with, ["fine", ""]),
            (Teacher, Output, 99, "features", &without, ["set `teacher`", ""]),
            (Teacher, Block, 1, "features", &without, ["set `teacher`", ""]),
            (
                Student,
                Block,
                1,
                "dino",
                &with,
                ["\"dino\"", "fields of the data: features"],
            ),
        ] {
            let found = outcome(network, kind, depth, field, geometry);
            assert!(parts.iter().all(|part| found.contains(part)), "{parts:?} in {found}");
        }
    }
}
