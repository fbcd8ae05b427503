//! The ready parts: against the fixtures that PyTorch computed, and their laws on generated numbers.

mod fixture;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sextant_plugin_api::parts::{Mask, TimeMask, cosine_alignment, feature_cfg, patchify, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Buffer, Error, Geometry, Guidance, GuidanceSource, Init, NetworkGeometry, Plan, Step, describe_guidance,
};
use sextant_plugin_testkit::{Bench, Outcome, Value, laws, proptest, strategy};

/// One part, applied to the taps of depth 0 (the guided), 1 (the target) and 2 (the unconditional target).
struct Part(Config);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    part: Name,
    mask: Option<Mask>,
    t_min: f64,
    t_max: f64,
    scale: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            part: Name::Cosine,
            mask: None,
            t_min: 0.4,
            t_max: 0.7,
            scale: 30.0,
        }
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Cosine,
    SquaredError,
    Guided,
    Patches,
}

impl GuidanceSource for Part {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let (patch, tokens) = (geometry.patch, geometry.student().tokens());
        let patches = [geometry.batch, tokens, patch * patch * geometry.channels];
        let plan = Plan::new().tap(0).tap(1).tap(2);
        Ok(plan.buffer(Buffer::new("patches", patches, Init::ZEROS)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let config = &self.0;
        let loss = |rows: &[u32]| {
            let of = |depth| Ok::<_, Error>(step.tap(depth)?.gather(0, rows));
            let (guided, target) = (of(0)?, of(1)?);
            Ok(match config.part {
                Name::Cosine => cosine_alignment(guided, target),
                Name::SquaredError => squared_error(guided, target),
                _ => squared_error(guided, feature_cfg(target, of(2)?, config.scale)),
            })
        };
        if let Name::Patches = config.part {
            let patches = patchify(step.x(), step.geometry().patch)?;
            return Ok(Guidance::new(step.zeros_per_sample()).buffer("patches", patches));
        }
        Ok(Guidance::new(match config.mask {
            Some(mask) => TimeMask::new(mask, config.t_min, config.t_max)?.masked(step, loss)?,
            None => loss(&(0..step.batch() as u32).collect::<Vec<_>>())?,
        }))
    }
}

describe_guidance!(Part, name = "part");

/// Runs a part on taps of its own shapes.
fn guide(config: &Json, taps: [&Value; 3], times: &[f32]) -> Result<Outcome, Error> {
    let bench = Bench::new::<Part>(config)?.planned(&strategy::small())?;
    let taps = (0..).zip(taps);
    let inputs = taps.fold(bench.inputs(7, times), |inputs, (depth, tap)| {
        inputs.with_tap(depth, tap.clone())
    });
    bench.guide(&inputs)
}

/// A part as a function of its two sides.
fn distance(part: &str) -> impl Fn(&Value, &Value) -> Result<Vec<f64>, Error> {
    let config = json!({ "part": part });
    move |a, b| Ok(guide(&config, [a, b, b], &vec![0.5; a.shape[0]])?.loss)
}

/// A part on the features of the fixture; its times if none are given.
fn on_fixture(config: Json, times: Option<Vec<f32>>) -> (Outcome, Vec<f32>) {
    let tensors = fixture::load("guidance_losses.safetensors");
    let times = times.unwrap_or_else(|| tensors["in.t"].data.iter().map(|t| *t as f32).collect());
    let taps = ["in.student", "in.target", "in.target_uncond"].map(|name| &tensors[name]);
    (guide(&config, taps, &times).unwrap(), times)
}

fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / expected.abs().max(1e-6);
        assert!(error < 1e-5, "{found} instead of {expected}");
    }
}

#[test]
fn cosine_alignment_is_repas_loss() {
    let expected = &fixture::load("guidance_losses.safetensors")["repa.per_sample"];
    assert_near(&on_fixture(json!({ "part": "cosine" }), None).0.loss, &expected.data);
}

#[test]
fn guided_features_are_self_transcendences_loss_under_both_published_masks() {
    let tensors = fixture::load("guidance_losses.safetensors");
    for (mask, name) in [
        ("sample", "self_transcendence.per_sample"),
        ("released", "self_transcendence_released.per_sample"),
    ] {
        let (outcome, _) = on_fixture(json!({ "part": "guided", "mask": mask }), None);
        assert_near(&outcome.loss, &tensors[name].data);
    }
}

#[test]
fn a_batch_outside_the_range_has_no_loss_and_asks_for_nothing() {
    for mask in ["sample", "released", "inside"] {
        let config = json!({ "part": "guided", "mask": mask });
        let (outcome, _) = on_fixture(config, Some(vec![0.1, 0.2, 0.9, 1.0]));
        assert_eq!(outcome.loss, [0.0; 4], "{mask}");
        assert_eq!(outcome.asked.len(), 1, "{mask}");
    }
}

/// A model for latents of any extents.
fn latents(batch: usize, channels: usize, grid: [usize; 2], patch: usize) -> Geometry {
    let student = NetworkGeometry {
        depth: 2,
        width: 4,
        heads: 1,
        prefix_tokens: 0,
        grid,
    };
    Geometry::new(batch, [channels, grid[0] * patch, grid[1] * patch], patch, student)
}

/// Patches of latents.
fn patches(geometry: &Geometry, x: Value) -> Value {
    let config = json!({ "part": "patches" });
    let bench = Bench::new::<Part>(config).unwrap().planned(geometry).unwrap();
    let mut inputs = bench.inputs(7, &vec![0.5; geometry.batch]);
    inputs.x = x;
    bench.guide(&inputs).unwrap().buffers.remove("patches").unwrap()
}

#[test]
fn patchify_orders_row_column_channel() {
    let tensors = fixture::load("guidance_losses.safetensors");
    let latent = &tensors["in.latents"];
    let [batch, channels, rows, cols] = latent.shape[..] else {
        panic!("latents have four dimensions")
    };
    let found = patches(&latents(batch, channels, [rows / 2, cols / 2], 2), latent.clone());
    assert_eq!(found, tensors["patchify"]);
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn a_cosine_is_bounded_free_of_scale_and_least_at_equality([a, b] in strategy::pairs(), factors in strategy::factors()) {
        laws::cosine(distance("cosine"), &a, &b, &factors)?;
    }

    #[test]
    fn a_token_of_zeros_has_the_cosine_zero(a in strategy::features([1, 1, 4])) {
        let zeros = a.map(|_| 0.0);
        prop_assert_eq!(distance("cosine")(&a, &zeros).unwrap(), [0.0]);
    }

    #[test]
    fn a_squared_error_is_zero_at_the_target_and_a_mean([a, b] in strategy::pairs(), d in -3.0..3.0f64) {
        laws::squared_error(distance("squared-error"), &a, &b, d)?;
    }

    #[test]
    fn guidance_runs_along_the_line_through_both_features(
        c in strategy::features([5]), u in strategy::features([5]), scale in -2.0..40.0f64
    ) {
        let loss = |scale: f64, guided: &[f64], c: &[f64], u: &[f64]| {
            let [guided, c, u] = [guided, c, u].map(|side| Value::new([1, 1, side.len()], side));
            Ok(guide(&json!({ "part": "guided", "scale": scale }), [&guided, &c, &u], &[0.5])?.loss)
        };
        laws::feature_guidance(loss, &c.data, &u.data, scale)?;
    }

    #[test]
    fn masks_weigh_those_inside_ends_inclusive(
        (range, times) in strategy::ranges().prop_flat_map(|range| (Just(range), strategy::times(range))), seed: u64
    ) {
        let geometry = strategy::small();
        let loss = |config: &Json| {
            let bench = Bench::new::<Part>(config).unwrap().planned(&geometry).unwrap();
            bench.loss(&bench.inputs(seed, &times)).unwrap()
        };
        let unmasked = loss(&json!({ "part": "guided" }));
        for (mask, name) in [(Mask::Sample, "sample"), (Mask::Released, "released"), (Mask::Inside, "inside")] {
            let masked = loss(&json!({ "part": "guided", "mask": name, "t_min": range.0, "t_max": range.1 }));
            laws::time_mask(mask, range, &times, &masked, &unmasked)?;
        }
    }

    #[test]
    fn patches_hold_every_element_once_in_its_place(
        batch in 1..=3usize, channels in 1..=4usize, grid in [1..=3usize, 1..=3usize], patch in 1..=3usize
    ) {
        let geometry = latents(batch, channels, grid, patch);
        // Each element is the number of its place.
        let (height, width) = (geometry.height, geometry.width);
        let number = |b: usize, c: usize, y: usize, z: usize| (((b * channels + c) * height + y) * width + z) as f64;
        let x = Value::from_fn([batch, channels, height, width], |i| number(i[0], i[1], i[2], i[3]));
        let expected = Value::from_fn([batch, grid[0] * grid[1], patch * patch * channels], |i| {
            let (row, col, channel) = (i[2] / (patch * channels), i[2] / channels % patch, i[2] % channels);
            number(i[0], channel, i[1] / grid[1] * patch + row, i[1] % grid[1] * patch + col)
        });
        prop_assert_eq!(patches(&geometry, x), expected);
    }
}
