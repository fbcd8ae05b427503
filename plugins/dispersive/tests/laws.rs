//! The laws of `dispersive`.

use proptest::prelude::*;
use serde_json::json;
use sextant_dispersive::Dispersive;
use sextant_plugin_testkit::{Bench, Value, laws, proptest, strategy};

/// The loss of the batch; every sample must have it.
fn dispersion(tau: f64, h: &Value) -> Result<f64, TestCaseError> {
    let bench = Bench::new::<Dispersive>(json!({ "depth": 2, "tau": tau })).unwrap();
    let bench = bench.planned(&strategy::small()).unwrap();
    prop_assert!(bench.declared().batch_coupled);
    let outcome = bench
        .guide(&bench.inputs(7, &vec![0.5; h.shape[0]]).with_tap(2, h.clone()))
        .unwrap();
    laws::gradients(&bench, &outcome, &[2])?;
    let loss = outcome.loss[0];
    prop_assert_eq!(&outcome.loss, &vec![loss; h.shape[0]]);
    Ok(loss)
}

/// The loss by its formula, pair by pair.
fn formula(tau: f64, h: &Value) -> f64 {
    let (batch, width) = (h.shape[0], h.data.len() / h.shape[0]);
    let row = |i: usize| &h.data[i * width..][..width];
    let distance = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / width as f64;
    let pairs = (0..batch).flat_map(|i| (0..batch).map(move |j| (i, j)));
    let sum: f64 = pairs.map(|(i, j)| (-distance(i, j) / tau).exp()).sum();
    (sum / (batch * batch) as f64).ln()
}

/// A batch of 1 to 5 samples of [3, 2].
fn batch() -> impl Strategy<Value = Value> {
    (1..=5usize).prop_flat_map(|batch| strategy::features([batch, 3, 2]))
}

fn close(what: &str, found: f64, expected: f64) -> laws::Law {
    laws::equal(what, &[found], &[expected])
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn it_is_the_formula_at_most_zero_and_at_least_minus_log_of_the_batch(h in batch(), tau in 0.1..4.0f64) {
        let loss = dispersion(tau, &h)?;
        close("the formula", loss, formula(tau, &h))?;
        prop_assert!(loss <= 1e-12 && loss >= -(h.shape[0] as f64).ln() - 1e-12, "{loss}");
    }

    #[test]
    fn samples_that_are_one_have_none(h in batch(), tau in 0.1..4.0f64) {
        let same = h.rows(&vec![0; h.shape[0]]);
        close("identical samples", dispersion(tau, &same)?, 0.0)?;
    }

    #[test]
    fn neither_translation_nor_rotation_nor_the_order_of_samples_counts(
        h in batch(), tau in 0.1..4.0f64, by in strategy::features([3, 2]), axis in strategy::features([6])
    ) {
        let loss = dispersion(tau, &h)?;
        let moved = Value::from_fn(&h.shape, |i| h.at(i) + by.at(&i[1..]));
        close("translated", dispersion(tau, &moved)?, loss)?;
        let length: f64 = axis.data.iter().map(|v| v * v).sum();
        prop_assume!(length > 1e-3);
        // Two reflections, along the axis and along the first coordinate, are a rotation.
        let reflected = Value::from_fn(&h.shape, |i| {
            let row = h.rows(&[i[0]]).data;
            let along: f64 = row.iter().zip(&axis.data).map(|(a, b)| a * b).sum::<f64>() / length;
            let place = i[1] * 2 + i[2];
            let sign = if place == 0 { -1.0 } else { 1.0 };
            sign * (row[place] - 2.0 * along * axis.data[place])
        });
        close("rotated", dispersion(tau, &reflected)?, loss)?;
        let backwards: Vec<usize> = (0..h.shape[0]).rev().collect();
        close("reordered", dispersion(tau, &h.rows(&backwards))?, loss)?;
    }

    #[test]
    fn it_falls_as_the_samples_spread(h in batch(), tau in 0.1..4.0f64, by in 1.05..3.0f64) {
        let (near, far) = (dispersion(tau, &h)?, dispersion(tau, &h.map(|v| v * by))?);
        prop_assert!(far <= near + 1e-12, "{far} after {near}");
        // Strictly, unless all are one already or too far apart to tell.
        if near < -1e-6 && near > -0.9 * (h.shape[0] as f64).ln() {
            prop_assert!(far < near, "{far} after {near}");
        }
        // And a greater temperature sees less of it.
        prop_assert!(dispersion(tau * by, &h)? >= near - 1e-12);
    }

    #[test]
    fn every_model_has_one(geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64) {
        let bench = Bench::new::<Dispersive>("").unwrap().planned(&geometry).unwrap();
        laws::sound(&bench, &bench.inputs(seed, &times))?;
    }
}
