//! Each law, which holds for the shipped source by its own tests, holds for its sound copy here too, and sees the mutants that it is named for, at 64 cases.

use std::cell::Cell;

use serde_json::{Value as Json, json};
use sextant_plugin_api::parts::Mask;
use sextant_plugin_api::{Condition, Error, Geometry, TimeRange, rows_inside};
use sextant_plugin_testkit::proptest::prelude::*;
use sextant_plugin_testkit::proptest::test_runner::TestRunner;
use sextant_plugin_testkit::{Bench, Value, laws, strategy};
use sextant_test_mutants::{Mutant, Mutants, Source};

/// Makes a source with a configuration.
type Make<'a> = &'a dyn Fn(Json) -> Result<Bench, Error>;

/// A law of a source, by name: what it says where it is broken.
type Law = (&'static str, Source, fn(Make) -> Result<(), String>);

/// The laws of the shipped sources that are run here.
const LAWS: [Law; 8] = [
    ("cosine", Source::Layersync, cosine),
    ("gradients", Source::Layersync, no_gradient_reaches_the_target),
    ("sound", Source::Layersync, sound),
    ("feature guidance", Source::SelfTranscendence, feature_guidance),
    ("guided pass", Source::SelfTranscendence, guided_pass),
    ("time mask", Source::SelfTranscendence, time_mask),
    ("sound", Source::SelfTranscendence, sound),
    ("sound", Source::Sra, sound),
];

/// Names of the laws that see a mutant.
fn expected(mutant: Mutant) -> &'static [&'static str] {
    match mutant {
        Mutant::MaskOffByOne => &["guided pass", "time mask"],
        Mutant::TeacherNotDetached => &["gradients"],
        Mutant::WrongAxis | Mutant::SummedLoss => &["cosine"],
        Mutant::LabelAfterDropout => &["guided pass"],
        Mutant::ForgottenCoefficient => &["feature guidance"],
        Mutant::ForeignRandom | Mutant::NanAtZero => &["sound"],
        // The value is another at every call.
        Mutant::StaticState => &["cosine", "sound"],
        // No step succeeds.
        Mutant::UndeclaredRead => &["cosine", "gradients", "sound"],
    }
}

fn cases<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> laws::Law) -> Result<(), String> {
    // A fault is to be found, not to be made small.
    let config = ProptestConfig {
        cases: 64,
        max_shrink_iters: 0,
        ..strategy::repeatable()
    };
    TestRunner::new(config)
        .run(&strategy, test)
        .map_err(|error| error.to_string())
}

fn planned(make: Make, config: Json, geometry: &Geometry) -> Result<Bench, TestCaseError> {
    let bench = make(config).and_then(|bench| bench.planned(geometry));
    bench.map_err(|error| TestCaseError::fail(error.to_string()))
}

fn sound(make: Make) -> Result<(), String> {
    let any = (strategy::geometries(), strategy::times((0.4, 0.7)), any::<u64>());
    cases(any, |(geometry, times, seed)| {
        let bench = planned(make, json!({}), &geometry)?;
        laws::sound(&bench, &bench.inputs(seed, &times))
    })
}

fn cosine(make: Make) -> Result<(), String> {
    let sides = (strategy::pairs(), strategy::factors());
    cases(sides, |([a, b], factors)| {
        let distance = |a: &Value, b: &Value| {
            let bench = make(json!({}))?.planned(&strategy::small())?;
            let inputs = bench.inputs(7, &vec![0.5; a.shape[0]]);
            bench.loss(&inputs.with_tap(2, a.clone()).with_tap(3, b.clone()))
        };
        laws::cosine(distance, &a, &b, &factors)
    })
}

fn no_gradient_reaches_the_target(make: Make) -> Result<(), String> {
    cases((strategy::geometries(), any::<u64>()), |(geometry, seed)| {
        let bench = planned(make, json!({}), &geometry)?;
        let outcome = bench.guide(&bench.inputs(seed, &[0.5, 0.9]));
        let outcome = outcome.map_err(|error| TestCaseError::fail(error.to_string()))?;
        laws::gradients(&bench, &outcome, &[geometry.student().depth_at(2.0 / 7.0)])
    })
}

fn feature_guidance(make: Make) -> Result<(), String> {
    let sides = (strategy::features([32]), strategy::features([32]), -2.0..40.0f64);
    cases(sides, |(c, u, scale)| {
        let loss = |scale: f64, h: &[f64], c: &[f64], u: &[f64]| {
            let config = json!({ "scale": scale });
            let bench = make(config)?.planned(&strategy::small())?;
            let inputs = bench.inputs(7, &[0.5]).with_identity_projector("");
            let (c, u) = (c.to_vec(), u.to_vec());
            let inputs = inputs.with_network(move |row| match row.condition {
                Condition::Null => u.clone(),
                _ => c.clone(),
            });
            bench.loss(&inputs.with_tap(3, Value::new([1, 4, 8], h)))
        };
        laws::feature_guidance(loss, &c.data, &u.data, scale)
    })
}

/// Ranges, times around them, and a seed.
fn ranged() -> impl Strategy<Value = ((f64, f64), Vec<f32>, u64)> {
    let times = |range| (Just(range), strategy::times(range), any::<u64>());
    strategy::ranges().prop_flat_map(times)
}

fn guided_pass(make: Make) -> Result<(), String> {
    cases(ranged(), |(range, times, seed)| {
        let config = json!({ "t_min": range.0, "t_max": range.1 });
        let bench = planned(make, config, &strategy::small())?;
        let inputs = bench.inputs(seed, &times);
        let outcome = bench
            .guide(&inputs)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let inside = rows_inside(&times, TimeRange::new(range.0, range.1).unwrap());
        laws::guided_pass(&outcome, &inputs, &inside)
    })
}

fn time_mask(make: Make) -> Result<(), String> {
    cases(ranged(), |(range, times, seed)| {
        let loss = |(t_min, t_max): (f64, f64)| {
            // t = 1 lies inside of an unmasked range whichever way its end counts.
            let config = json!({ "t_min": t_min, "t_max": t_max });
            let bench = planned(make, config, &strategy::small())?;
            bench
                .loss(&bench.inputs(seed, &times))
                .map_err(|error| TestCaseError::fail(error.to_string()))
        };
        laws::time_mask(Mask::Sample, range, &times, &loss(range)?, &loss((-1.0, 2.0))?)
    })
}

#[test]
fn the_laws_hold_for_the_sound_copies() {
    for (name, source, law) in LAWS {
        let copy = |mut config: Json| {
            config["source"] = json!(source);
            Bench::new::<Mutants>(config)
        };
        law(&copy).unwrap_or_else(|error| panic!("{name}, the copy of {source:?}: {error}"));
    }
}

#[test]
fn every_mutant_is_seen_by_the_laws_that_are_named_for_it_and_by_no_others() {
    for mutant in Mutant::ALL {
        let runs = Cell::new(0);
        let make = |mut config: Json| {
            runs.set(runs.get() + 1);
            config["mutant"] = json!(mutant);
            Bench::new::<Mutants>(config)
        };
        let laws = LAWS.iter().filter(|(_, source, _)| *source == mutant.source());
        let broken = laws.filter(|(_, _, law)| law(&make).is_err());
        let broken: Vec<_> = broken.map(|(name, ..)| *name).collect();
        assert_eq!(broken, expected(mutant), "{mutant:?}");
        assert!(runs.get() > 0, "{mutant:?} was never made");
    }
}

#[test]
fn an_undeclared_read_says_what_is_undeclared() {
    let bench = Bench::new::<Mutants>(json!({ "mutant": "undeclared-read" })).unwrap();
    let bench = bench.planned(&strategy::small()).unwrap();
    let error = bench.loss(&bench.inputs(7, &[0.5])).unwrap_err().to_string();
    assert_eq!(error, "tap of depth 3 was not declared in the plan (declared: 2)");
}

#[test]
fn a_mutant_of_another_source_is_refused() {
    let config = json!({ "mutant": "foreign-random", "source": "layersync" });
    let error = Bench::new::<Mutants>(config).err().unwrap().to_string();
    assert!(error.contains("leave `source` out"), "{error}");
}
