//! The ready parts against the fixtures that PyTorch computed.

mod host;

use host::{Inputs, Instance, Sizes, Value, fixture};
use serde::Deserialize;
use sextant_plugin_api::parts::{Mask, TimeMask, cosine_alignment, feature_cfg, patchify, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, describe_guidance, descriptor};

/// One loss of the fixture, from the features given as taps.
struct Part(Loss);

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
struct Loss {
    name: Name,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
enum Name {
    #[default]
    Cosine,
    Guided(Mask),
    Patches,
}

impl GuidanceSource for Part {
    type Config = Loss;

    fn new(config: Loss) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        Ok(Plan::new().tap(0).tap(1).tap(2).metric("patches"))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let (student, target, unconditional) = (step.tap(0)?, step.tap(1)?, step.tap(2)?);
        Ok(match self.0.name {
            Name::Cosine => Guidance::new(cosine_alignment(student, target)),
            Name::Guided(mask) => {
                let mask = TimeMask::new(mask, 0.4, 0.7)?;
                let rows = |rows: &[u32]| {
                    let target = feature_cfg(&target, &unconditional, 30.0).gather(0, rows);
                    Ok(squared_error(student.gather(0, rows), target))
                };
                Guidance::new(mask.masked(step, rows)?)
            }
            Name::Patches => {
                let patches = patchify(step.x(), 2)?;
                Guidance::new(step.zeros_per_sample()).metric("patches", patches)
            }
        })
    }
}

describe_guidance!(Part, name = "part");

fn guide(config: &str, times: Option<Vec<f32>>) -> (host::Outcome, Vec<f32>) {
    let tensors = fixture::load("guidance_losses.safetensors");
    let tensor = |name: &str| tensors[name].clone();
    let instance = Instance::create(descriptor::<Part>(), &format!(r#"{{"name": {config}}}"#)).unwrap();
    instance
        .plan(&Sizes {
            teacher: false,
            field: None,
        })
        .unwrap();
    let times = times.unwrap_or_else(|| tensor("in.t").data);
    let inputs = Inputs {
        times: times.clone(),
        latents: [("x", tensor("in.latents"))].into(),
        taps: vec![tensor("in.student"), tensor("in.target"), tensor("in.target_uncond")],
        ..Inputs::default()
    };
    (instance.guide(&inputs).unwrap(), times)
}

fn assert_near(found: &[f32], expected: &Value) {
    assert_eq!(found.len(), expected.data.len());
    for (found, expected) in found.iter().zip(&expected.data) {
        let error = (found - expected).abs() / expected.abs().max(1e-6);
        assert!(error < 1e-5, "{found} instead of {expected}");
    }
}

#[test]
fn cosine_alignment_is_repas_loss() {
    let expected = &fixture::load("guidance_losses.safetensors")["repa.per_sample"];
    assert_near(&guide("\"Cosine\"", None).0.loss.data, expected);
}

#[test]
fn guided_features_are_self_transcendences_loss_under_both_published_masks() {
    let tensors = fixture::load("guidance_losses.safetensors");
    let sample = guide(r#"{"Guided": "sample"}"#, None).0.loss.data;
    assert_near(&sample, &tensors["self_transcendence.per_sample"]);
    let released = guide(r#"{"Guided": "released"}"#, None).0.loss.data;
    assert_near(&released, &tensors["self_transcendence_released.per_sample"]);
}

#[test]
fn the_inside_mask_divides_by_those_inside() {
    let (sample, times) = guide(r#"{"Guided": "sample"}"#, None);
    let inside = times.iter().filter(|t| (0.4f32..=0.7).contains(*t)).count() as f32;
    let factor = times.len() as f32 / inside;
    let expected: Vec<f32> = sample.loss.data.iter().map(|loss| loss * factor).collect();
    let (found, _) = guide(r#"{"Guided": "inside"}"#, None);
    assert_near(&found.loss.data, &Value::new(&[expected.len()], expected));
}

#[test]
fn a_batch_outside_the_range_has_no_loss_and_asks_for_nothing() {
    for mask in ["sample", "released", "inside"] {
        let (outcome, _) = guide(&format!(r#"{{"Guided": "{mask}"}}"#), Some(vec![0.1, 0.2, 0.9, 1.0]));
        assert_eq!(outcome.loss.data, [0.0; 4], "{mask}");
        assert_eq!(host::trace().asked.len(), 1, "{mask}");
    }
}

#[test]
fn patchify_orders_row_column_channel() {
    let expected = &fixture::load("guidance_losses.safetensors")["patchify"];
    let (outcome, _) = guide("\"Patches\"", None);
    assert_eq!(&outcome.metrics[0].1, expected);
}
