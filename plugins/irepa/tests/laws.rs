//! The laws of `irepa`.

use proptest::prelude::*;
use serde_json::json;
use sextant_irepa::IRepa;
use sextant_plugin_api::{Error, Init};
use sextant_plugin_testkit::{Bench, Value, laws, proptest, strategy};

/// A 3x3 kernel that reads one place: each channel that of its own number.
fn kernel(row: usize, col: usize) -> Value {
    Value::from_fn([8, 8, 3, 3], |i| {
        f64::from(u8::from(i[0] == i[1] && i[2..] == [row, col]))
    })
}

fn convolved(alpha: f64, kernel: &Value, h: &Value, z: &Value) -> Result<Vec<f64>, Error> {
    let bench = Bench::new::<IRepa>(json!({ "depth": 2, "alpha": alpha }))?.planned(&strategy::small())?;
    let inputs = bench
        .inputs(7, &vec![0.5; h.shape[0]])
        .with_parameter("weight", kernel.clone())
        .with_parameter("bias", Value::full([8], 0.0));
    bench.loss(&inputs.with_tap(2, h.clone()).with_field("features", z.clone()))
}

/// The loss of tokens, as they are, against features.
fn distance(alpha: f64, h: &Value, z: &Value) -> Result<Vec<f64>, Error> {
    convolved(alpha, &kernel(1, 1), h, z)
}

/// Mean and unbiased deviation over the tokens of each sample and channel, `[B, 1, E]`.
fn moments(z: &Value) -> [Value; 2] {
    let [batch, tokens, width] = z.shape[..] else {
        panic!("tokens have three dimensions")
    };
    let column = |i: &[usize]| -> Vec<f64> { (0..tokens).map(|token| z.at(&[i[0], token, i[2]])).collect() };
    let mean = |column: &[f64]| column.iter().sum::<f64>() / tokens as f64;
    let deviation = |column: Vec<f64>| {
        let mean = mean(&column);
        (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (tokens - 1) as f64).sqrt()
    };
    [
        Value::from_fn([batch, 1, width], |i| mean(&column(i))),
        Value::from_fn([batch, 1, width], |i| deviation(column(i))),
    ]
}

/// z - alpha * mean, divided by the deviation.
fn normalised(alpha: f64, z: &Value) -> Value {
    let [mean, deviation] = moments(z);
    Value::from_fn(&z.shape, |i| (z.at(i) - alpha * mean.at(i)) / (deviation.at(i) + 1e-6))
}

/// Features of which no channel is the same in all tokens, or nearly: their deviation is what they are divided by.
fn varied() -> impl Strategy<Value = Value> {
    let spread = |z: &Value| moments(z)[1].data.iter().all(|deviation| *deviation > 0.1);
    strategy::features([2, 4, 8]).prop_filter("a channel varies little", spread)
}

#[test]
fn a_kernel_of_one_reads_the_token_alone_and_begins_as_pytorchs() {
    let mut bench = Bench::new::<IRepa>(json!({ "depth": 2, "kernel": 1 })).unwrap();
    let declared = bench.plan(&strategy::small()).unwrap();
    let shapes: Vec<&[usize]> = declared.parameters.iter().map(|p| &p.shape[..]).collect();
    assert_eq!(shapes, [&[8, 8, 1, 1][..], &[8]]);
    for parameter in &declared.parameters {
        assert_eq!(parameter.init, Init::Uniform(1.0 / 8f64.sqrt()));
    }
    assert_eq!(declared.required_minor, 2);
    let three = Bench::new::<IRepa>("").unwrap().planned(&strategy::small()).unwrap();
    assert_eq!(three.declared().parameters[0].init, Init::Uniform(1.0 / 72f64.sqrt()));

    // With a kernel that hands a token on, the loss is that of a 3x3 kernel that reads its middle.
    let inputs = bench.inputs(7, &[0.2, 0.5]);
    let (h, z) = (inputs.tap(2).clone(), inputs.fields["features"].clone());
    let through = Value::from_fn([8, 8, 1, 1], |i| f64::from(u8::from(i[0] == i[1])));
    let inputs = inputs
        .with_parameter("weight", through)
        .with_parameter("bias", Value::full([8], 0.0));
    laws::equal("1x1", &bench.loss(&inputs).unwrap(), &distance(0.6, &h, &z).unwrap()).unwrap();
    let error = Bench::new::<IRepa>(json!({ "kernel": 2 })).err().unwrap();
    assert_eq!(error.to_string(), "`kernel` must be odd, not 2");
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn the_target_has_unit_deviation_and_at_alpha_one_no_mean(z in varied(), alpha in 0.0..=1.0f64) {
        // It is what the tokens must be for the least loss: a cosine of 1 with each.
        for alpha in [alpha, 1.0] {
            let target = normalised(alpha, &z);
            laws::equal("at the target", &distance(alpha, &target, &z).unwrap(), &[-1.0; 2])?;
        }
        let [mean, deviation] = moments(&normalised(1.0, &z));
        prop_assert!(mean.data.iter().all(|m| m.abs() < 1e-12), "{mean:?}");
        prop_assert!(deviation.data.iter().all(|d| (d - 1.0).abs() < 1e-4), "{deviation:?}");
    }

    #[test]
    fn no_channels_scale_counts_nor_at_alpha_one_its_mean(
        h in strategy::features([2, 4, 8]), z in varied(), factors in prop::collection::vec(0.1..10.0f64, 8),
        shift in strategy::features([8]), alpha in 0.0..=1.0f64
    ) {
        let scaled = Value::from_fn(&z.shape, |i| z.at(i) * factors[i[2]]);
        let moved = Value::from_fn(&z.shape, |i| z.at(i) + shift.data[i[2]]);
        for (alpha, other) in [(alpha, scaled), (1.0, moved)] {
            let (base, found) = (distance(alpha, &h, &z).unwrap(), distance(alpha, &h, &other).unwrap());
            for (a, b) in found.iter().zip(base) {
                // The 1e-6 beside the deviation is not scaled.
                prop_assert!((a - b).abs() < 1e-3, "{a} and {b} at alpha {alpha}");
            }
        }
    }

    #[test]
    fn the_cosine_is_bounded_and_free_of_the_tokens_length(
        h in strategy::features([2, 4, 8]), z in varied(), factors in strategy::factors(), alpha in 0.0..=1.0f64
    ) {
        let base = distance(alpha, &h, &z).unwrap();
        prop_assert!(base.iter().all(|loss| loss.abs() <= 1.0 + 1e-9), "{base:?}");
        laws::equal("scaled", &distance(alpha, &h.scale_tokens(&factors), &z).unwrap(), &base)?;
    }

    #[test]
    fn the_projector_reads_the_grid_around_a_token(
        h in strategy::features([1, 4, 8]), z in varied(), row in 0..3usize, col in 0..3usize
    ) {
        // A kernel that reads one neighbour is the grid moved by one, with zeros from outside.
        let place = |at: usize, by: usize| (at + by).checked_sub(1).filter(|at| *at < 2);
        let moved = Value::from_fn(&h.shape, |i| match (place(i[1] / 2, row), place(i[1] % 2, col)) {
            (Some(y), Some(x)) => h.at(&[i[0], y * 2 + x, i[2]]),
            _ => 0.0,
        });
        let z = z.rows(&[0]);
        let found = convolved(0.6, &kernel(row, col), &h, &z).unwrap();
        laws::equal("a neighbour", &found, &distance(0.6, &moved, &z).unwrap())?;
    }

    #[test]
    fn every_model_of_two_tokens_or_more_is_guided_at_the_published_depth(
        geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64
    ) {
        let bench = Bench::new::<IRepa>("").unwrap().planned(&geometry);
        prop_assert_eq!(bench.is_ok(), geometry.student().tokens() > 1);
        let Ok(bench) = bench else { return Ok(()) };
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        laws::gradients(&bench, &bench.guide(&inputs).unwrap(), &[geometry.student().published_depth(&[(12, 4), (24, 8), (28, 8)])])?;
    }
}
