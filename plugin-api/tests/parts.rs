//! The ready parts, where the laws of the shipped sources and their parity with PyTorch do not reach.

use proptest::prelude::*;
use sextant_plugin_api::parts::{Mask, TimeMask, cosine_alignment, patchify};
use sextant_plugin_api::{
    Buffer, Error, Geometry, Guidance, GuidanceSource, Init, NetworkGeometry, Plan, Step, describe_guidance,
};
use sextant_plugin_testkit::{Bench, Value, proptest, strategy};

/// A masked cosine of two taps, and the patches of the latents.
struct Parts(Option<Mask>);

impl GuidanceSource for Parts {
    type Config = std::collections::BTreeMap<String, Mask>;

    fn new(config: Self::Config) -> Result<Self, Error> {
        Ok(Self(config.get("mask").copied()))
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let (patch, tokens) = (geometry.patch, geometry.student().tokens());
        let patches = [geometry.batch, tokens, patch * patch * geometry.channels];
        Ok(Plan::new()
            .tap(0)
            .tap(1)
            .buffer(Buffer::new("patches", patches, Init::ZEROS)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        if let Some(mask) = self.0 {
            let mask = TimeMask::new(mask, 0.4, 0.7)?;
            return Ok(Guidance::new(
                mask.masked(step, |_| step.tap(0).map(|h| h.mean_per_sample()))?,
            ));
        }
        let loss = cosine_alignment(step.tap(0)?, step.tap(1)?);
        Ok(Guidance::new(loss).buffer("patches", patchify(step.x(), step.geometry().patch)?))
    }
}

describe_guidance!(Parts, name = "parts");

#[test]
fn a_batch_outside_the_range_has_no_loss_and_asks_for_nothing() {
    for mask in ["sample", "released", "inside"] {
        let bench = Bench::new::<Parts>(serde_json::json!({ "mask": mask })).unwrap();
        let bench = bench.planned(&strategy::small()).unwrap();
        let outcome = bench.guide(&bench.inputs(7, &[0.1, 0.2, 0.9, 1.0])).unwrap();
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
    let bench = Bench::new::<Parts>("").unwrap().planned(geometry).unwrap();
    let mut inputs = bench.inputs(7, &vec![0.5; geometry.batch]);
    inputs.x = x;
    bench.guide(&inputs).unwrap().buffers.remove("patches").unwrap()
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn a_token_of_zeros_has_the_cosine_zero(seed: u64) {
        let bench = Bench::new::<Parts>("").unwrap().planned(&strategy::small()).unwrap();
        let inputs = bench.inputs(seed, &[0.5; 3]);
        let zeros = inputs.tap(1).map(|_| 0.0);
        prop_assert_eq!(bench.loss(&inputs.with_tap(1, zeros)).unwrap(), [0.0; 3]);
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
