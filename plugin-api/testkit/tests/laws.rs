//! Each law lets the right function pass and sees a wrong one; the bench refuses what the real host would.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sextant_plugin_api::parts::Mask;
use sextant_plugin_api::{
    Buffer, Condition, Error, Geometry, Guidance, GuidanceSource, Init, Network, Plan, Step, describe_guidance,
};
use sextant_plugin_testkit::{Bench, Inputs, Value, laws, strategy};

/// A mean over the elements of each sample, `[B, T, D]`.
fn mean(a: &Value, b: &Value, f: impl Fn(f64) -> f64) -> Result<Vec<f64>, Error> {
    let width = a.data.len() / a.shape[0];
    let differences = a.zip(b, |a, b| f(a - b));
    Ok(differences
        .data
        .chunks(width)
        .map(|sample| sample.iter().sum::<f64>() / width as f64)
        .collect())
}

fn side(by: f64) -> Value {
    Value::from_fn([2, 3, 4], |i| {
        (by + i[0] as f64 + 2.0 * i[1] as f64 + 0.5 * i[2] as f64).sin()
    })
}

#[test]
fn a_squared_error_is_neither_a_sum_nor_off_its_target() {
    let (a, b) = (side(0.0), side(1.0));
    assert!(laws::squared_error(|a, b| mean(a, b, |d| d * d), &a, &b, 0.5).is_ok());
    assert!(laws::squared_error(|a, b| mean(a, b, |d| 12.0 * d * d), &a, &b, 0.5).is_err());
    assert!(laws::squared_error(|a, b| mean(a, b, |d| d * d + 1e-30), &a, &b, 0.5).is_err());
}

#[test]
fn smooth_l1_has_one_beta_and_meets() {
    let smooth = |d: f64, beta: f64| {
        if d.abs() < beta {
            d * d / (2.0 * beta)
        } else {
            d.abs() - beta / 2.0
        }
    };
    let a = side(0.0);
    assert!(laws::smooth_l1(|a, b| mean(a, b, |d| smooth(d, 0.3)), 0.3, &a, 0.7).is_ok());
    assert!(laws::smooth_l1(|a, b| mean(a, b, |d| smooth(d, 0.2)), 0.3, &a, 0.7).is_err());
    let torn = |d: f64| if d.abs() < 0.3 { d * d / 0.6 } else { d.abs() };
    assert!(laws::smooth_l1(|a, b| mean(a, b, torn), 0.3, &a, 0.1).is_err());
}

#[test]
fn a_mask_counts_its_ends_and_nothing_beyond() {
    let (times, unmasked) = ([0.4, 0.7, 0.4f32.next_down(), 0.7f32.next_up()], [1.0, 2.0, 3.0, 4.0]);
    let law = |mask, masked: [f64; 4]| laws::time_mask(mask, (0.4, 0.7), &times, &masked, &unmasked);
    assert!(law(Mask::Sample, [1.0, 2.0, 0.0, 0.0]).is_ok());
    assert!(law(Mask::Inside, [2.0, 4.0, 0.0, 0.0]).is_ok());
    assert!(law(Mask::Released, [0.5, 1.0, 1.5, 2.0]).is_ok());
    assert!(
        law(Mask::Sample, [1.0, 0.0, 0.0, 0.0]).is_err(),
        "the upper end is left out"
    );
    assert!(
        law(Mask::Sample, [1.0, 2.0, 1e-300, 0.0]).is_err(),
        "outside it is exactly 0"
    );
    assert!(law(Mask::Released, [1.0, 2.0, 0.0, 0.0]).is_err(), "another mask");
}

/// Answers that do not fit their plan.
struct Careless(String);

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Config {
    answer: String,
}

impl GuidanceSource for Careless {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config.answer))
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        let plan = Plan::new().tap(1).tap(2).teacher(2).metric("norm");
        Ok(plan.buffer(Buffer::new("bank", [2], Init::ZEROS)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let loss = Guidance::new(step.tap(1)?.mean_per_sample());
        let rows = if self.0 == "row" { [9] } else { [0] };
        Ok(match self.0.as_str() {
            "metric" => loss.metric("norm", step.tap(1)?),
            "buffer" => loss.buffer("bank", step.zeros_per_sample()),
            "types" => Guidance::new((step.labels() + step.t()).mean_per_sample()),
            "gather" => Guidance::new(step.tap(1)?.gather(0, &[7, 7, 7]).mean_per_sample()),
            _ => {
                let (x_t, t) = (step.x_t().gather(0, &[0]), step.t().gather(0, &[0]));
                let z = step.forward(Network::Teacher, x_t, t, &[2], &rows, &[Condition::Own])?;
                loss.metric("norm", z[0].clone().mean(&[0, 1, 2]))
            }
        })
    }
}

describe_guidance!(Careless, name = "careless");

fn error(answer: &str, change: impl Fn(Inputs) -> Inputs) -> String {
    let bench = Bench::new::<Careless>(json!({ "answer": answer })).unwrap();
    let bench = bench.planned(&strategy::small()).unwrap();
    let inputs = bench.inputs(1, &[0.1, 0.2, 0.3]);
    bench.loss(&change(inputs)).unwrap_err().to_string()
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    let refused = |answer: &str, reason: &str| {
        let error = error(answer, |inputs| inputs);
        assert!(error.contains(reason), "{answer}: {error}");
    };
    refused("metric", "its metric `norm` is [3, 4, 8], not one number");
    refused("buffer", "its buffer `bank` is F32 [3], declared F32 [2]");
    refused("types", "element types Int and F32 are mixed");
    refused("gather", "row 7 does not exist: there are 3");
    refused("row", "row 9 is asked for, but the batch has 3 samples");
}

#[test]
fn a_test_that_is_wrong_itself_is_told() {
    let missing = error("", |mut inputs| {
        inputs.taps.pop_first();
        inputs
    });
    assert_eq!(
        missing,
        "the test's inputs have no tap Block(1), which the plan declares"
    );
    let short = error("", |inputs| inputs.with_network(|_| vec![1.0]));
    assert!(short.contains("answered 1 numbers for Block(2), not 32"), "{short}");
    let panicked = error("", |inputs| inputs.with_network(|_| panic!("on purpose")));
    assert!(panicked.contains("panicked during an operation"), "{panicked}");
}
