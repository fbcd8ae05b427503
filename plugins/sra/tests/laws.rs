//! The laws of `sra`.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sextant_plugin_api::{Condition, Error, GuidanceSource, Network};
use sextant_plugin_testkit::{Bench, Path, Value, laws, proptest, strategy};
use sextant_sra::Sra;

/// The small model's default depth.
const STUDENT: u32 = 2;

/// The loss of tokens, without the head, against what the moving average answers.
fn distance(config: &Json, h: &Value, z: &Value) -> Result<Vec<f64>, Error> {
    let bench = Bench::new::<Sra>(config)?.planned(&strategy::small())?;
    let inputs = bench.inputs(7, &vec![0.5; h.shape[0]]).with_identity_projector("");
    let z = z.clone();
    bench.loss(
        &inputs
            .with_tap(STUDENT, h.clone())
            .with_network(move |row| z.rows(&[row.sample]).data),
    )
}

/// `[B, T, D]` to `[B, D, T]`.
fn transposed(side: &Value) -> Value {
    let [batch, tokens, width] = side.shape[..] else {
        panic!("tokens have three dimensions")
    };
    Value::from_fn([batch, width, tokens], |i| side.at(&[i[0], i[2], i[1]]))
}

#[test]
fn each_loss_states_its_published_coefficient() {
    let stated = |config: Json| Sra::coefficient(&serde_json::from_value(config).unwrap());
    assert_eq!(stated(json!({})), Some(0.5), "the cosine is the default");
    assert_eq!(stated(json!({ "loss": "smooth-l1" })), Some(0.2));
}

proptest! {
    #![proptest_config(strategy::repeatable())]

    #[test]
    fn smooth_l1_meets_its_quadratic_and_its_linear_piece(
        h in strategy::features([2, 4, 8]), beta in 0.01..2.0f64, d in -3.0..3.0f64
    ) {
        laws::smooth_l1(|h, z| distance(&json!({ "loss": "smooth-l1", "beta": beta }), h, z), beta, &h, d)?;
    }

    #[test]
    fn the_cosine_runs_over_the_tokens_or_over_the_channels(
        a in strategy::features([2, 8, 4]), b in strategy::features([2, 8, 4]), factors in strategy::factors()
    ) {
        let at = |config: Json, a: &Value, b: &Value| -> Result<Vec<f64>, Error> {
            Ok(distance(&config, a, b)?.iter().map(|loss| loss - 1.0).collect())
        };
        laws::cosine(|a, b| at(json!({}), &transposed(a), &transposed(b)), &a, &b, &factors)?;
        let (a, b) = (transposed(&a), transposed(&b));
        laws::cosine(|a, b| at(json!({ "axis": "channels" }), a, b), &a, &b, &factors)?;
    }

    #[test]
    fn the_moving_average_sees_the_same_sample_a_little_earlier(
        geometry in strategy::geometries(), times in strategy::times((0.0, 0.2)), shift in 0.0..=1.0f64, cosine: bool, seed: u64
    ) {
        let bench = Bench::new::<Sra>(json!({ "shift": shift })).unwrap().planned(&geometry).unwrap();
        let path = if cosine { Path::Cosine } else { Path::Linear };
        let inputs = bench.inputs(seed, &times).with_path(path);
        let outcome = bench.guide(&inputs).unwrap();
        prop_assert_eq!(outcome.passes.len(), 1);
        let pass = &outcome.passes[0];
        prop_assert_eq!(pass.network, Network::Ema);
        prop_assert_eq!(&pass.depths, &vec![geometry.student().published_depth(&[(12, 8), (28, 20)])]);
        prop_assert_eq!(&pass.rows, &(0..times.len() as u32).collect::<Vec<_>>());
        prop_assert!(pass.conditions.iter().all(|c| *c == Condition::Dropped), "the label that the student sees");
        for (earlier, t) in pass.t.iter().zip(&times) {
            let t = f64::from(*t);
            prop_assert!((t - shift).max(0.0) <= *earlier && *earlier <= t, "{earlier} for t = {t}");
        }
        // The same image and noise at that time.
        let shape = inputs.x.shape.clone();
        let expected = Value::from_fn(&shape, |i| {
            let [alpha, sigma, ..] = path.coefficients(pass.t[i[0]]);
            alpha * inputs.x.at(i) + sigma * inputs.noise.at(i)
        });
        laws::equal("x at the earlier time", &pass.x_t.data, &expected.data)?;
        if shift == 0.0 {
            prop_assert_eq!(&pass.x_t, &inputs.x_t);
        }
    }

    #[test]
    fn draws_follow_their_samples_and_no_gradient_reaches_the_target(
        geometry in strategy::geometries(), times in strategy::times((0.0, 1.0)), seed: u64, cosine: bool
    ) {
        let loss = if cosine { "cosine" } else { "smooth-l1" };
        let bench = Bench::new::<Sra>(json!({ "loss": loss })).unwrap().planned(&geometry).unwrap();
        let inputs = bench.inputs(seed, &times);
        laws::sound(&bench, &inputs)?;
        laws::gradients(&bench, &bench.guide(&inputs).unwrap(), &[geometry.student().published_depth(&[(12, 4), (28, 8)])])?;
    }
}
