//! The laws of `self-transcendence`.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sextant_plugin_api::parts::Mask;
use sextant_plugin_api::{Condition, Error, TimeRange, rows_inside};
use sextant_plugin_testkit::{Bench, Inputs, Value, laws, proptest, strategy};
use sextant_self_transcendence::SelfTranscendence;

fn bench(mut config: Json) -> Bench {
    config["projector_width"] = json!(16);
    Bench::new::<SelfTranscendence>(config)
        .unwrap()
        .planned(&strategy::small())
        .unwrap()
}

/// The small model's default depth.
const STUDENT: u32 = 3;

/// A step that guides tokens, as they are, towards features of the teacher's, one row of the value a sample.
fn towards(bench: &Bench, h: &Value, conditional: &Value, unconditional: &Value) -> Inputs {
    let (c, u) = (conditional.clone(), unconditional.clone());
    let inputs = bench.inputs(7, &vec![0.5; h.shape[0]]).with_identity_projector("");
    inputs.with_tap(STUDENT, h.clone()).with_network(move |row| {
        let side = if row.condition == Condition::Null { &u } else { &c };
        side.rows(&[row.sample]).data
    })
}

fn guided(scale: f64, h: &Value, conditional: &Value, unconditional: &Value) -> Result<Vec<f64>, Error> {
    let bench = bench(json!({ "scale": scale }));
    bench.loss(&towards(&bench, h, conditional, unconditional))
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_squared_error_is_zero_exactly_at_the_target_and_a_mean(
        h in strategy::features([2, 4, 8]), z in strategy::features([2, 4, 8]), d in -3.0..3.0f64
    ) {
        laws::squared_error(|h, z| guided(30.0, h, z, z), &h, &z, d)?;
    }

    #[test]
    fn scale_one_is_the_conditional_feature_zero_the_unconditional_and_linear_beyond(
        c in strategy::features([32]), u in strategy::features([32]), scale in -2.0..40.0f64
    ) {
        let loss = |scale: f64, h: &[f64], c: &[f64], u: &[f64]| {
            let [h, c, u] = [h, c, u].map(|side| Value::new([1, 4, 8], side));
            guided(scale, &h, &c, &u)
        };
        laws::feature_guidance(loss, &c.data, &u.data, scale)?;
    }

    #[test]
    fn each_mask_weighs_the_unmasked_loss_and_runs_the_teacher_where_it_counts(
        (range, times) in strategy::ranges().prop_flat_map(|range| (Just(range), strategy::times(range))), seed: u64
    ) {
        let unmasked = bench(json!({ "t_min": 0.0, "t_max": 1.0 }));
        let unmasked = unmasked.loss(&unmasked.inputs(seed, &times)).unwrap();
        let inside = rows_inside(&times, TimeRange::new(range.0, range.1).unwrap());
        let all: Vec<u32> = (0..times.len() as u32).collect();
        for (mask, name) in [(Mask::Sample, "sample"), (Mask::Released, "released"), (Mask::Inside, "inside")] {
            let bench = bench(json!({ "mask": name, "t_min": range.0, "t_max": range.1 }));
            let inputs = bench.inputs(seed, &times);
            let outcome = bench.guide(&inputs).unwrap();
            laws::time_mask(mask, range, &times, &outcome.loss, &unmasked)?;
            let counted = if mask == Mask::Released && !inside.is_empty() { &all } else { &inside };
            laws::guided_pass(&outcome, &inputs, counted)?;
            prop_assert_eq!(bench.declared().t_range.is_some(), mask != Mask::Released);
            prop_assert_eq!(bench.declared().batch_coupled, mask != Mask::Sample);
        }
    }

    #[test]
    fn every_model_is_guided_at_half_its_depth_and_nothing_of_the_teacher_is(
        geometry in strategy::geometries(), times in strategy::times((0.4, 0.7)), seed: u64
    ) {
        let bench = Bench::new::<SelfTranscendence>(json!({ "projector_width": 6 })).unwrap().planned(&geometry).unwrap();
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        let inside = inputs.with_times(&vec![0.5; times.len()]);
        laws::gradients(&bench, &bench.guide(&inside).unwrap(), &[geometry.student().depth_at(0.5)])?;
    }
}
