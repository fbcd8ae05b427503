use std::sync::Mutex;

use sextant_plugin_api::abi::{Dims, FAILED, Handle, Named, OK, Operation, Status, Step};

use burn::tensor::Tensor;

use super::*;
use crate::boundary::lend_list;
use crate::fixture::{StepFixture, ask, dims, geometry, release, scripted, tap};

/// An operation without attributes and with one result.
fn plain(session: u64, operation: Operation, inputs: &[Handle]) -> (Status, Handle) {
    let (status, outputs) = ask::<()>(session, operation, inputs, None, 1);
    (status, outputs[0].handle)
}

/// The mean of the squared tokens, per sample: what most scripts begin with.
fn mean_square(step: &Step) -> Handle {
    let h = tap(step).handle;
    let (_, square) = plain(step.session, Operation::Mul, &[h, h]);
    let over = dims(&[1, 2], false);
    let (status, mean) = ask(step.session, Operation::Mean, &[square], Some(&over), 1);
    assert_eq!(status, OK);
    assert_eq!((mean[0].shape.rank, mean[0].shape.dims[0]), (1, 4));
    mean[0].handle
}

fn instance(
    script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static,
) -> (Instance, SourcePlan) {
    let (library, config) = scripted(script);
    let mut instance = Instance::create(&library, "test", &config).unwrap();
    let plan = instance.plan(&geometry()).unwrap();
    (instance, plan)
}

fn guided(
    (instance, plan): &mut (Instance, SourcePlan),
    fixture: &mut StepFixture,
    index: u64,
) -> Result<Answer, String> {
    let (step, mut services) = fixture.parts(index);
    let answer = instance.guide(plan, &step, vec![], vec![], &mut services);
    answer.map_err(|error| error.to_string())
}

fn run(script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static) -> Result<Answer, String> {
    guided(&mut instance(script), &mut StepFixture::new(), 7)
}

/// Runs a script that fails, with words that have these parts.
fn fails(parts: &[&str], script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static) {
    let error = run(script).unwrap_err();
    assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} in {error}");
}

fn close<const D: usize>(found: Tensor<D>, wanted: Tensor<D>) {
    let (found, wanted) = (found.into_data(), wanted.into_data());
    found.assert_approx_eq::<f32>(&wanted, Default::default());
}

#[test]
fn should_give_a_loss_whose_gradient_reaches_the_tap() {
    let mut source = instance(|step, guided| {
        guided.loss = mean_square(step);
        Ok(())
    });
    assert_eq!(source.1.depths(Network::Student), [1]);
    let mut fixture = StepFixture::new();
    let h = fixture.taps[&1].clone();
    for index in 0..3 {
        let answer = guided(&mut source, &mut fixture, index).unwrap();
        let wanted = h.clone().square().mean_dims(&[1, 2]).reshape([4]);
        close(answer.loss.clone(), wanted);
        let gradient = h.grad(&answer.loss.sum().backward()).unwrap();
        close(gradient, h.clone().inner().mul_scalar(2.0 / 32.0));
        assert_eq!(source.0.table.len(), 0, "no tensor outlives the step");
    }
}

#[test]
fn should_report_the_first_failed_operation_whatever_guide_returns() {
    for returns_ok in [true, false] {
        let parts = [
            "\"test\"",
            "step 8",
            "`add`",
            "src/author.rs:42",
            "a: f32 [4, 4, 8]",
            "b: f32 [4, 3, 4, 4]",
        ];
        fails(&[&parts[..], &["ranks differ"]].concat(), move |step, guided| {
            let (h, x) = (tap(step).handle, step.x.handle);
            let sum = plain(step.session, Operation::Add, &[h, x]);
            assert_eq!(sum, (FAILED, 0));
            // Silent, since the operand is the result of a failure.
            let product = plain(step.session, Operation::Mul, &[sum.1, h]);
            assert_eq!(product, (FAILED, 0));
            guided.loss = product.1;
            if returns_ok { Ok(()) } else { Err("later words".into()) }
        });
    }
}

#[test]
fn should_report_the_words_of_the_source() {
    fails(&["the moon is full", "\"test\""], |_, _| Err("the moon is full".into()));
    let (library, _) = scripted(|_, _| Ok(()));
    let error = Instance::create(&library, "test", &serde_json::json!({})).unwrap_err();
    assert!(error.to_string().contains("speling"), "{error}");
}

#[test]
fn should_refuse_a_loss_that_is_not_one_number_a_sample() {
    type Loss = fn(&Step) -> Handle;
    let cases: [(&[&str], Loss); 4] = [
        (&["no loss"], |_| 0),
        (&["f32 [4, 3, 4, 4]", "f32 [4]"], |step| step.x.handle),
        (&["int [4]"], |step| step.labels.handle),
        (&["is no tensor of this step"], |step| step.t.handle ^ 1 << 40),
    ];
    for (parts, loss) in cases {
        fails(parts, move |step, guided| {
            guided.loss = loss(step);
            Ok(())
        });
    }
}

#[test]
fn should_refuse_results_that_the_plan_does_not_declare() {
    let parts = ["1 entries of kind metric, but the plan declares 0"];
    fails(&parts, |step, guided| {
        guided.loss = mean_square(step);
        let metric = Named {
            index: 0,
            reserved: 0,
            handle: step.t.handle,
        };
        guided.metrics = lend_list(Box::leak(Box::new([metric])));
        Ok(())
    });
}

#[test]
fn should_take_handles_as_dead_once_released_or_consumed() {
    fails(&["released or consumed"], |step, guided| {
        guided.loss = mean_square(step);
        let h = tap(step).handle;
        assert_eq!(release(step.session, h), OK);
        assert_eq!(
            release(step.session, 0),
            OK,
            "a result of a failure has nothing to give back"
        );
        assert_eq!(plain(step.session, Operation::Neg, &[h]).0, FAILED);
        Ok(())
    });
}

#[test]
fn should_answer_nothing_with_a_wrong_number_from_another_thread_or_after_the_step() {
    static KEPT: Mutex<(u64, Handle)> = Mutex::new((0, 0));
    fails(&["is not the one that runs here"], |step, guided| {
        guided.loss = mean_square(step);
        let (session, h) = (step.session, tap(step).handle);
        *KEPT.lock().unwrap() = (session, h);
        let elsewhere = std::thread::spawn(move || (plain(session, Operation::Neg, &[h]), release(session, h)));
        assert_eq!(elsewhere.join().unwrap(), ((FAILED, 0), FAILED));
        assert_eq!(plain(session, Operation::Neg, &[h]).0, OK, "the tensor is unharmed");
        assert_eq!(plain(session + 1000, Operation::Neg, &[h]), (FAILED, 0));
        Ok(())
    });
    let (session, h) = *KEPT.lock().unwrap();
    assert_eq!(plain(session, Operation::Neg, &[h]), (FAILED, 0));
    assert_eq!(release(session, h), FAILED);
}

#[test]
fn should_refuse_operations_and_attributes_that_make_no_sense() {
    let over = |list: &[u32]| Some(dims(list, false));
    let short = Dims {
        size: 12,
        ..dims(&[1], false)
    };
    for (operation, attributes, operands, results, part) in [
        (Operation::Sum, None, 1, 1, "attributes are missing"),
        (Operation::Sum, Some(short), 1, 1, "12 bytes long"),
        (Operation::Sum, over(&[3]), 1, 1, "dimension 3 does not exist"),
        (Operation::Sum, over(&[1, 1]), 1, 1, "named twice"),
        (Operation::Sum, over(&[1]), 1, 0, "room is given for 0"),
        (Operation::Add, None, 1, 1, "it takes (a, b)"),
        (Operation::Neg, None, 2, 1, "it takes (a)"),
    ] {
        fails(&[part], move |step, guided| {
            guided.loss = mean_square(step);
            let h = vec![tap(step).handle; operands];
            ask(step.session, operation, &h, attributes.as_ref(), results);
            Ok(())
        });
    }
}

#[test]
fn should_refuse_a_step_whose_numbers_do_not_match_its_tensors() {
    let mut source = instance(|_, _| Ok(()));
    let mut fixture = StepFixture::new();
    fixture.batch.ids.pop();
    let error = guided(&mut source, &mut fixture, 0).unwrap_err();
    assert!(error.contains("[3, 4, 4, 4]"), "{error}");
    fixture.batch.ids.push(1);
    fixture.taps.remove(&1);
    let error = guided(&mut source, &mut fixture, 0).unwrap_err();
    assert!(error.contains("depth 1"), "{error}");
}
