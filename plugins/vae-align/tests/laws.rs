//! The laws of `vae-align`.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sextant_plugin_api::parts::Mask;
use sextant_plugin_api::{Error, Geometry};
use sextant_plugin_testkit::{Bench, Value, laws, proptest, strategy};
use sextant_vae_align::VaeAlign;

fn bench(mut config: Json, geometry: &Geometry) -> Bench {
    config["projector_width"] = json!(6);
    Bench::new::<VaeAlign>(config).unwrap().planned(geometry).unwrap()
}

/// Latents whose patches are all the same, in the order of a SiT's final layer: (row, column, channel).
fn tiled(geometry: &Geometry, patch: &[f64]) -> Value {
    let (side, channels) = (geometry.patch, geometry.channels);
    Value::from_fn([1, channels, geometry.height, geometry.width], |i| {
        patch[(i[2] % side * side + i[3] % side) * channels + i[1]]
    })
}

/// The loss where the head answers one patch for every token, and the target has another everywhere. What is not the target
/// is not a number.
fn distance(target: &str, answered: &Value, wanted: &Value) -> Result<Vec<f64>, Error> {
    let geometry = strategy::small();
    let bench = bench(json!({ "target": target }), &geometry);
    let mut inputs = bench.inputs(7, &[0.5]).with_constant_layer("linear", &answered.data);
    let wanted = tiled(&geometry, &wanted.data);
    let nothing = wanted.map(|_| f64::NAN);
    (inputs.noise, inputs.x_t) = (nothing.clone(), nothing.clone());
    (inputs.velocity, inputs.x) = if target == "clean" {
        (nothing, wanted)
    } else {
        (wanted, nothing)
    };
    bench.loss(&inputs)
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_squared_error_is_zero_exactly_at_its_target_and_a_mean(
        a in strategy::features([1, 1, 8]), b in strategy::features([1, 1, 8]), d in -3.0..3.0f64
    ) {
        for target in ["velocity", "clean"] {
            laws::squared_error(|a, b| distance(target, a, b), &a, &b, d)?;
        }
    }

    #[test]
    fn the_tokens_length_does_not_count(seed: u64, scale in 0.5..4.0f64, shift in -2.0..2.0f64) {
        // What the head sees is normalised: with the projector's last layer scaled and shifted, all channels alike, the loss
        // is the same. It is long to begin with, so that the eps of 1e-6 beside the variance is nothing.
        let bench = bench(json!({ "depth": 1 }), &strategy::small());
        let inputs = bench.inputs(seed, &[0.5, 0.6]);
        let long = inputs.parameters["mlp.4.weight"].map(|w| w * 1e6);
        let inputs = inputs.with_parameter("mlp.4.weight", long);
        let (weight, bias) = (&inputs.parameters["mlp.4.weight"], &inputs.parameters["mlp.4.bias"]);
        let other = inputs.clone()
            .with_parameter("mlp.4.weight", weight.map(|w| w * scale))
            .with_parameter("mlp.4.bias", bias.map(|b| b * scale + shift));
        let base = bench.loss(&inputs).unwrap();
        laws::equal("longer tokens", &bench.loss(&other).unwrap(), &base)?;
    }

    #[test]
    fn each_mask_weighs_the_unmasked_loss(
        (range, times) in strategy::ranges().prop_flat_map(|range| (Just(range), strategy::times(range))), seed: u64
    ) {
        let geometry = strategy::small();
        let unmasked = bench(json!({ "t_min": 0.0, "t_max": 1.0 }), &geometry);
        let unmasked = unmasked.loss(&unmasked.inputs(seed, &times)).unwrap();
        for (mask, name) in [(Mask::Sample, "sample"), (Mask::Released, "released"), (Mask::Inside, "inside")] {
            let bench = bench(json!({ "mask": name, "t_min": range.0, "t_max": range.1 }), &geometry);
            let masked = bench.loss(&bench.inputs(seed, &times)).unwrap();
            laws::time_mask(mask, range, &times, &masked, &unmasked)?;
        }
    }

    #[test]
    fn every_model_is_guided_at_a_sixth_of_its_depth(
        geometry in strategy::geometries(), times in strategy::times((0.4, 0.7)), seed: u64
    ) {
        let bench = bench(json!({}), &geometry);
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        let inside = inputs.with_times(&vec![0.5; times.len()]);
        laws::gradients(&bench, &bench.guide(&inside).unwrap(), &[geometry.student().depth_at(1.0 / 6.0)])?;
    }
}
