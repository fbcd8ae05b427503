//! A host's view of a source: errors, panics, and who holds which tensor.

use serde::Deserialize;
use serde_json::json;
use sextant_plugin_api::abi::{Handle, Operation};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Init, Plan, Step, Tensor, describe_guidance};
use sextant_plugin_testkit::{Bench, Outcome, Value, last_step, strategy};

/// Does what its configuration says, from the list below.
struct Scripted(Config);

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    script: String,
}

impl GuidanceSource for Scripted {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        match config.script.as_str() {
            "panic in new" => panic!("no {}", "luck"),
            "error in new" => Err("never".into()),
            _ => Ok(Self(config)),
        }
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        match self.0.script.as_str() {
            "panic in plan" => std::panic::panic_any(7),
            "field in plan" => geometry.field("labels").map(|_| Plan::new()),
            _ => Ok(Plan::new().tap(2).parameter("w", [4], Init::ZEROS).metric("norm")),
        }
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let tap = step.tap(2)?;
        let loss = |tensor: Tensor| Ok(Guidance::new(tensor.mean_per_sample()));
        match self.0.script.as_str() {
            "panic in guide" => panic!("at step {}", step.index()),
            "tap" => loss(step.tap(3)?),
            "parameter" => loss(step.parameter("v")?),
            "metric" => loss(tap).map(|guidance| guidance.metric("size", step.zeros_per_sample())),
            "shape of loss" => Ok(Guidance::new(tap)),
            "consume" => {
                let a = tap * 2.0;
                let b = a.clone() + 1.0;
                let c = a + 3.0;
                loss(b * c)
            }
            "drop" => {
                drop(&tap * 2.0);
                loss(tap)
            }
            "square" => loss((tap * 2.0).square()),
            "failed" => {
                let failed = &tap + step.full([3], 1.0);
                let weight = step.parameter("w")?;
                loss(tap.linear(weight, Some(failed)) * 2.0)
            }
            "refused" => loss(tap.reshape([1; 9]) + 1.0),
            "leak" => {
                KEPT.with_borrow_mut(|kept| *kept = Some(&tap * 2.0));
                loss(tap)
            }
            "shared answer" => {
                let value = tap.mean_per_sample();
                Ok(Guidance::new(value.clone()).metric("norm", value))
            }
            "numbers" => {
                let t = 0.5 * &tap;
                let x = 9.0 - (2.0 * &t - 1.0) / 4.0f32;
                loss(&x / 0.5 + 2.0 / x)
            }
            other => Err(Error::new(format!("no script {other:?}"))),
        }
    }
}

describe_guidance!(Scripted, name = "scripted");

thread_local! {
    static KEPT: std::cell::RefCell<Option<Tensor>> = const { std::cell::RefCell::new(None) };
}

fn create(script: &str) -> Result<Bench, Error> {
    Bench::new::<Scripted>(json!({ "script": script }))
}

fn guide(script: &str) -> Result<Outcome, Error> {
    let bench = create(script)?.planned(&strategy::small())?;
    let tap = Value::new([2, 4], (0..8).map(f64::from).collect::<Vec<_>>());
    let inputs = bench.inputs(7, &[0.5, 0.9]).with_tap(2, tap);
    bench.guide(&inputs.with_parameter("w", Value::full([4, 4], 0.0)))
}

fn error(script: &str) -> String {
    guide(script).unwrap_err().to_string()
}

/// The operands of an operation, and whether they were given away.
fn operands(operation: Operation) -> Vec<(Handle, bool)> {
    let asked = last_step().asked;
    let asked: Vec<_> = asked.into_iter().filter(|a| a.operation == operation).collect();
    asked.last().expect("the operation was asked").inputs.clone()
}

#[test]
fn a_failure_is_passed_on_in_its_words() {
    for (script, words) in [
        ("panic in new", "panicked: no luck"),
        ("panic in plan", "panicked: with something that is not text"),
        ("panic in guide", "panicked: at step 7"),
        ("error in new", "never"),
        (
            "field in plan",
            "the data has no batch field \"labels\" (it has: \"features\")",
        ),
        ("tap", "tap of depth 3 was not declared in the plan (declared: 2)"),
        (
            "parameter",
            "parameter \"v\" was not declared in the plan (declared: \"w\")",
        ),
        (
            "metric",
            "metric \"size\" was not declared in the plan (declared: \"norm\")",
        ),
        (
            "shape of loss",
            "the loss must be one f32 a sample, [2]; this is F32 [2, 4]",
        ),
    ] {
        assert_eq!(error(script), words);
    }
}

#[test]
fn a_wrong_key_is_named() {
    let error = Bench::new::<Scripted>(r#"{"scirpt": ""}"#).err().unwrap();
    assert_eq!(error.to_string(), "unknown field `scirpt`, expected `script`");
}

#[test]
fn guidance_before_the_plan_is_an_error() {
    let planned = create("tap").unwrap().planned(&strategy::small()).unwrap();
    let error = create("tap").unwrap().guide(&planned.inputs(7, &[0.5])).unwrap_err();
    assert_eq!(error.to_string(), "the host asked for guidance before the plan");
}

#[test]
fn a_tensor_is_given_away_when_nobody_else_holds_it() {
    guide("consume").unwrap();
    let asked = last_step().asked;
    let scaled = asked.iter().find(|a| a.operation == Operation::MulScalar).unwrap();
    assert!(!scaled.inputs[0].1, "the step keeps its tap");
    let added: Vec<bool> = asked
        .iter()
        .filter(|a| a.operation == Operation::AddScalar)
        .map(|a| a.inputs[0].1)
        .collect();
    assert_eq!(added, [false, true], "shared first, then the last holder's");
    assert!(operands(Operation::Mul).iter().all(|(_, consumed)| *consumed));
    assert!(last_step().released.is_empty(), "nothing was left to release");
}

#[test]
fn a_tensor_on_both_sides_is_given_away_by_neither() {
    guide("square").unwrap();
    let operands = operands(Operation::Mul);
    assert_eq!(operands[0].0, operands[1].0);
    assert!(!operands[0].1 && !operands[1].1);
    assert_eq!(last_step().released, [operands[0].0], "released once, after");
}

#[test]
fn a_dropped_tensor_is_released() {
    guide("drop").unwrap();
    let dropped = last_step().asked[0].outputs[0];
    assert_eq!(last_step().released, [dropped]);
}

#[test]
fn answers_stay_alive_and_may_share_a_tensor() {
    let bench = create("shared answer").unwrap().planned(&strategy::small()).unwrap();
    let inputs = bench
        .inputs(7, &[0.5])
        .with_tap(2, Value::new([1, 4], [0.0, 1.0, 2.0, 3.0]));
    let outcome = bench.guide(&inputs).unwrap();
    assert_eq!(outcome.loss, [1.5]);
    assert_eq!(outcome.metrics["norm"], 1.5);
    assert_eq!(last_step().late, 0);
}

#[test]
fn the_first_failure_is_the_error_with_its_line() {
    for (script, words) in [
        ("refused", "a shape with more dimensions than a tensor can have ("),
        ("failed", "add: shapes [2, 4] and [3] do not broadcast ("),
    ] {
        let error = error(script);
        assert!(error.starts_with(words) && error.contains("contract.rs:"), "{error}");
    }
    let asked: Vec<_> = last_step().asked.iter().map(|a| a.operation).collect();
    let known = [Operation::Full, Operation::Add];
    assert_eq!(asked, known, "nothing is asked of failed tensors");
}

#[test]
fn a_tensor_kept_beyond_its_step_is_harmless() {
    guide("leak").unwrap();
    let kept = KEPT.with_borrow_mut(Option::take).unwrap();
    let later = kept + 1.0;
    assert!(later.is_failed());
    assert_eq!(
        last_step().late,
        1,
        "the host refuses the operation; the drop asks nothing"
    );
}

#[test]
fn numbers_stand_on_either_side_of_an_operator() {
    let formula = |t: f64| {
        let x = 9.0 - (2.0 * t - 1.0) / 4.0;
        x / 0.5 + 2.0 / x
    };
    let mean = |from: u32| (from..from + 4).map(|t| formula(f64::from(t) * 0.5)).sum::<f64>() / 4.0;
    let loss = guide("numbers").unwrap().loss;
    for (found, expected) in loss.iter().zip([mean(0), mean(4)]) {
        assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    }
}
