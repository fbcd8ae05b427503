//! The laws of `layersync`.

use proptest::prelude::*;
use serde_json::json;
use sextant_layersync::LayerSync;
use sextant_plugin_api::Error;
use sextant_plugin_testkit::{Bench, Value, laws, proptest, strategy};

fn distance(shallow: &Value, deep: &Value) -> Result<Vec<f64>, Error> {
    let bench = Bench::new::<LayerSync>(json!({ "depth": 2, "target_depth": 5 }))?.planned(&strategy::small())?;
    let inputs = bench.inputs(7, &vec![0.5; shallow.shape[0]]);
    bench.loss(&inputs.with_tap(2, shallow.clone()).with_tap(5, deep.clone()))
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_cosine_is_bounded_free_of_scale_and_least_at_equality(
        [a, b] in strategy::pairs(), factors in strategy::factors()
    ) {
        laws::cosine(distance, &a, &b, &factors)?;
        laws::equal("sides exchanged", &distance(&b, &a).unwrap(), &distance(&a, &b).unwrap())?;
    }

    #[test]
    fn no_gradient_reaches_the_deeper_tokens(
        geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64
    ) {
        let bench = Bench::new::<LayerSync>("").unwrap().planned(&geometry).unwrap();
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        let student = geometry.student();
        let [shallow, deep] = [2.0 / 7.0, 4.0 / 7.0].map(|fraction| student.depth_at(fraction));
        let outcome = bench.guide(&inputs).unwrap();
        prop_assert!(outcome.guides(shallow) && !outcome.guides(deep), "{:?}", outcome.gradients);
        laws::gradients(&bench, &outcome, &[shallow])?;
    }
}
