//! A plan against the model and the data of this run.

use sextant_plugin_api::abi::{Network, TapKind};

use super::SourcePlan;
use super::read::network_name;
use crate::fault::Fault;
use crate::geometry::{GuidanceGeometry, NetworkShape};

/// Refuses a plan that asks for what this run cannot give. The error says what is at fault and what would be right; the caller
/// adds the source's name.
pub(crate) fn check(plan: &SourcePlan, geometry: &GuidanceGeometry) -> Result<(), Fault> {
    for tap in &plan.taps {
        let network = network(geometry, tap.network)?;
        if tap.kind == TapKind::Attention && tap.depth == 0 {
            return Err(Fault::EmbeddingAttention { depth: network.depth });
        }
        if tap.kind != TapKind::Output && tap.depth > network.depth {
            return Err(Fault::Depth {
                asked: tap.depth,
                network: network_name(tap.network),
                depth: network.depth,
            });
        }
    }
    for field in &plan.fields {
        if !geometry.fields.iter().any(|(name, _)| name == field) {
            let known: Vec<&str> = geometry.fields.iter().map(|(name, _)| name.as_str()).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            };
            let field = field.clone();
            return Err(Fault::NoField { field, known });
        }
    }
    Ok(())
}

fn network(geometry: &GuidanceGeometry, network: Network) -> Result<&NetworkShape, Fault> {
    match network {
        Network::Student => Ok(&geometry.student),
        Network::Ema => Ok(&geometry.ema),
        Network::Teacher => geometry.teacher.as_ref().ok_or(Fault::NoTeacher),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TapRequest;
    use super::*;
    use crate::fixture::geometry;

    fn plan(taps: &[(Network, usize)], fields: &[&str]) -> SourcePlan {
        SourcePlan {
            required_minor: 0,
            batch_coupled: false,
            t_range: None,
            taps: taps
                .iter()
                .map(|&(network, depth)| TapRequest {
                    network,
                    kind: TapKind::Block,
                    depth,
                })
                .collect(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
            parameters: vec![],
            buffers: vec![],
            metrics: vec![],
            settings: vec![],
        }
    }

    #[test]
    fn should_accept_every_depth_that_exists_and_every_field_of_the_data() {
        let plan = plan(
            &[
                (Network::Student, 0),
                (Network::Student, 3),
                (Network::Teacher, 2),
                (Network::Ema, 1),
            ],
            &["features"],
        );
        check(&plan, &geometry()).unwrap();
    }

    #[test]
    fn should_name_the_depths_that_exist() {
        let error = check(&plan(&[(Network::Student, 4)], &[]), &geometry())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("depth 4 of the student") && error.contains("to 3"),
            "{error}"
        );
    }

    #[test]
    fn should_take_attention_of_blocks_only() {
        let attention = |depth| {
            let mut plan = plan(&[(Network::Student, depth)], &[]);
            plan.taps[0].kind = TapKind::Attention;
            check(&plan, &geometry())
        };
        attention(3).unwrap();
        assert!(attention(0).unwrap_err().to_string().contains("from 1 to 3"));
        assert!(attention(4).unwrap_err().to_string().contains("depth 4 of the student"));
    }

    #[test]
    fn should_take_the_output_of_any_network_that_there_is() {
        let output = |network, geometry: &GuidanceGeometry| {
            let mut plan = plan(&[(network, 99)], &[]);
            plan.taps[0].kind = TapKind::Output;
            check(&plan, geometry)
        };
        for network in [Network::Student, Network::Teacher, Network::Ema] {
            output(network, &geometry()).unwrap();
        }
        let without = GuidanceGeometry {
            teacher: None,
            ..geometry()
        };
        assert!(
            output(Network::Teacher, &without)
                .unwrap_err()
                .to_string()
                .contains("set `teacher`")
        );
    }

    #[test]
    fn should_say_how_to_name_a_teacher() {
        let mut geometry = geometry();
        geometry.teacher = None;
        let error = check(&plan(&[(Network::Teacher, 1)], &[]), &geometry)
            .unwrap_err()
            .to_string();
        assert!(error.contains("set `teacher`"), "{error}");
    }

    #[test]
    fn should_list_the_fields_of_the_data() {
        let error = check(&plan(&[], &["dino"]), &geometry()).unwrap_err().to_string();
        assert!(error.contains("\"dino\"") && error.contains("features"), "{error}");
    }
}
