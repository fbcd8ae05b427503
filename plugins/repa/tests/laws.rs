//! The laws of `repa`.

use proptest::prelude::*;
use serde_json::json;
use sextant_plugin_api::Error;
use sextant_plugin_testkit::{Bench, Value, laws, proptest, strategy};
use sextant_repa::Repa;

/// The loss of tokens against features, without the projector.
fn distance(h: &Value, z: &Value) -> Result<Vec<f64>, Error> {
    let bench = Bench::new::<Repa>(json!({ "depth": 2, "projector_width": 16 }))?.planned(&strategy::small())?;
    let inputs = bench.inputs(7, &vec![0.5; h.shape[0]]).with_identity_projector("");
    bench.loss(&inputs.with_tap(2, h.clone()).with_field("features", z.clone()))
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_cosine_is_bounded_free_of_scale_and_least_at_equality(
        h in strategy::features([2, 4, 8]), z in strategy::features([2, 4, 8]), factors in strategy::factors()
    ) {
        laws::cosine(distance, &h, &z, &factors)?;
    }

    #[test]
    fn tokens_are_compared_one_by_one(h in strategy::features([1, 4, 8]), z in strategy::features([1, 4, 8])) {
        // The same permutation of both sides' tokens changes nothing.
        let rolled = |side: &Value| Value::from_fn(&side.shape, |i| side.at(&[i[0], (i[1] + 1) % 4, i[2]]));
        laws::equal("rolled tokens", &distance(&rolled(&h), &rolled(&z)).unwrap(), &distance(&h, &z).unwrap())?;
    }

    #[test]
    fn every_model_is_guided_at_a_third_of_its_depth(
        geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64
    ) {
        let bench = Bench::new::<Repa>(json!({ "projector_width": 6 })).unwrap().planned(&geometry).unwrap();
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        let outcome = bench.guide(&inputs).unwrap();
        laws::gradients(&bench, &outcome, &[geometry.student().depth_at(1.0 / 3.0)])?;
        prop_assert!(outcome.loss.iter().all(|loss| loss.abs() <= 1.0 + 1e-12));
    }
}
