//! The promises of the source, tried on numbers in memory: no trainer is needed. Change the loss, and say here what it must do.

use sextant_my_source::Source;

use sextant_plugin_api::Network;
use sextant_plugin_testkit::proptest::prelude::*;
use sextant_plugin_testkit::{Bench, Inputs, Tap, laws, strategy};

/// The source on a small model of 6 blocks.
fn bench(config: &str) -> Bench {
    let bench = Bench::new::<Source>(config).unwrap();
    bench.planned(&strategy::small()).unwrap()
}

/// A step whose tokens after block 3 all have the root mean square `r`.
fn tokens_of(r: f64, bench: &Bench, times: &[f32]) -> Inputs {
    let inputs = bench.inputs(1, times);
    let tokens = inputs.tap(3).map(|_| -r);
    inputs.with_tap(3, tokens)
}

#[test]
fn it_reads_the_tokens_half_way_up_and_nothing_else() {
    let bench = bench("{}");
    assert_eq!(bench.declared().taps, [(Network::Student, Tap::Block(3))]);
    assert_eq!(bench.declared().fields, [""; 0]);
}

#[test]
fn it_names_the_key_that_is_wrong() {
    let error = Bench::new::<Source>(r#"{"size": 0}"#).err().unwrap();
    assert!(error.to_string().contains("`size`"), "{error}");
}

proptest! {
    #[test]
    fn tokens_of_the_right_length_cost_nothing_and_others_more(
        size in 0.1..10.0,
        times in strategy::times((0.0, 1.0)),
    ) {
        let bench = bench(&format!(r#"{{"size": {size}}}"#));
        let cost = |r: f64| bench.loss(&tokens_of(r, &bench, &times)).unwrap();
        prop_assert!(cost(size).iter().all(|loss| loss.abs() < 1e-12));
        prop_assert!(cost(1.1 * size).iter().all(|loss| *loss > 1e-5));
        prop_assert!(cost(0.9 * size).iter().all(|loss| *loss > 1e-5));
    }

    #[test]
    fn the_loss_is_sound(
        seed: u64,
        geometry in strategy::geometries(),
        times in strategy::times((0.0, 1.0)),
    ) {
        let bench = Bench::new::<Source>("{}").unwrap().planned(&geometry).unwrap();
        laws::sound(&bench, &bench.inputs(seed, &times))?;
    }
}
