//! The laws of `none`.

use proptest::prelude::*;
use sextant_none::Nothing;
use sextant_plugin_testkit::{Bench, Declared, laws, proptest, strategy};

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_loss_is_exactly_zero_and_nothing_is_asked_for(
        geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64
    ) {
        let bench = Bench::new::<Nothing>("").unwrap().planned(&geometry).unwrap();
        prop_assert_eq!(bench.declared(), &Declared::default());
        let outcome = bench.guide(&bench.inputs(seed, &times)).unwrap();
        prop_assert_eq!(&outcome.loss, &vec![0.0; times.len()]);
        prop_assert!(outcome.loss.iter().all(|v| v.is_sign_positive()), "not even -0");
        prop_assert!(outcome.gradients.is_empty() && outcome.denoising_weight.is_none());
        laws::sound(&bench, &bench.inputs(seed, &times))?;
    }
}
