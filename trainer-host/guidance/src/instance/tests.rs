use std::sync::Mutex;

use sextant_plugin_api::abi::{FAILED, Handle, MAX_RANK, Named, OK, Operation};

use super::*;
use crate::fixture::{StepFixture, ask, geometry, release, scripted, tap};

type Dims = sextant_plugin_api::abi::Dims;

fn dims(dims: &[u32]) -> Dims {
    let mut all = [0; MAX_RANK];
    all[..dims.len()].copy_from_slice(dims);
    Dims {
        size: size_of::<Dims>() as u64,
        len: dims.len() as u32,
        keep: 0,
        reserved: [0; 3],
        dims: all,
    }
}

/// The mean of the squared tokens, per sample: what most scripts begin with.
fn mean_square(step: &Step) -> Handle {
    let h = tap(step).handle;
    let (_, square) = ask::<()>(step.session, Operation::Mul, &[h, h], None, 1);
    let (status, mean) = ask(
        step.session,
        Operation::Mean,
        &[square[0].handle],
        Some(&dims(&[1, 2])),
        1,
    );
    assert_eq!(status, OK);
    assert_eq!((mean[0].shape.rank, mean[0].shape.dims[0]), (1, 4));
    mean[0].handle
}

fn run(script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static) -> Result<Answer, String> {
    let (library, config) = scripted(script);
    let mut instance = Instance::create(&library, "test", &config).unwrap();
    let plan = instance.plan(&geometry()).unwrap();
    let mut fixture = StepFixture::new();
    let (step, mut services) = fixture.parts(7);
    instance
        .guide(&plan, &step, vec![], vec![], &mut services)
        .map_err(|error| error.to_string())
}

#[test]
fn should_give_a_loss_whose_gradient_reaches_the_tap() {
    let (library, config) = scripted(|step, guided| {
        guided.loss = mean_square(step);
        Ok(())
    });
    let mut instance = Instance::create(&library, "test", &config).unwrap();
    let plan = instance.plan(&geometry()).unwrap();
    assert_eq!(plan.depths(Network::Student), [1]);
    let mut fixture = StepFixture::new();
    let h = fixture.taps[&1].clone();
    for index in 0..3 {
        let (step, mut services) = fixture.parts(index);
        let answer = instance.guide(&plan, &step, vec![], vec![], &mut services).unwrap();
        let wanted = h.clone().square().mean_dims(&[1, 2]).reshape([4]);
        answer
            .loss
            .clone()
            .into_data()
            .assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
        let gradient = h.grad(&answer.loss.sum().backward()).unwrap();
        let wanted = h.clone().inner().mul_scalar(2.0 / 32.0);
        gradient
            .into_data()
            .assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
        assert_eq!(instance.table.len(), 0, "no tensor outlives the step");
    }
}

#[test]
fn should_report_the_first_failed_operation_whatever_guide_returns() {
    for returns_ok in [true, false] {
        let error = run(move |step, guided| {
            let (h, x) = (tap(step).handle, step.x.handle);
            let (status, sum) = ask::<()>(step.session, Operation::Add, &[h, x], None, 1);
            assert_eq!((status, sum[0].handle), (FAILED, 0));
            // Silent, since the operand is the result of a failure.
            let (status, product) = ask::<()>(step.session, Operation::Mul, &[sum[0].handle, h], None, 1);
            assert_eq!((status, product[0].handle), (FAILED, 0));
            guided.loss = product[0].handle;
            if returns_ok { Ok(()) } else { Err("later words".into()) }
        })
        .unwrap_err();
        for part in [
            "\"test\"",
            "step 8",
            "`add`",
            "src/author.rs:42",
            "a: f32 [4, 4, 8]",
            "b: f32 [4, 3, 4, 4]",
            "ranks differ",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}

#[test]
fn should_report_the_words_of_the_source() {
    let error = run(|_, _| Err("the moon is full".into())).unwrap_err();
    assert!(
        error.contains("the moon is full") && error.contains("\"test\""),
        "{error}"
    );
}

#[test]
fn should_refuse_a_configuration_with_the_words_of_the_source() {
    let (library, _) = scripted(|_, _| Ok(()));
    let error = Instance::create(&library, "test", &serde_json::json!({}))
        .unwrap_err()
        .to_string();
    assert!(error.contains("speling"), "{error}");
}

#[test]
fn should_refuse_a_loss_that_is_not_one_number_a_sample() {
    let error = run(|_, _| Ok(())).unwrap_err();
    assert!(error.contains("no loss"), "{error}");
    let error = run(|step, guided| {
        guided.loss = step.x.handle;
        Ok(())
    })
    .unwrap_err();
    assert!(
        error.contains("f32 [4, 3, 4, 4]") && error.contains("f32 [4]"),
        "{error}"
    );
    let error = run(|step, guided| {
        guided.loss = step.labels.handle;
        Ok(())
    })
    .unwrap_err();
    assert!(error.contains("int [4]"), "{error}");
    let error = run(|step, guided| {
        guided.loss = step.t.handle ^ 1 << 40;
        Ok(())
    })
    .unwrap_err();
    assert!(error.contains("is no tensor of this step"), "{error}");
}

#[test]
fn should_refuse_results_that_the_plan_does_not_declare() {
    let error = run(|step, guided| {
        guided.loss = mean_square(step);
        let metric = Box::leak(Box::new([Named {
            index: 0,
            reserved: 0,
            handle: step.t.handle,
        }]));
        guided.metrics = lend_list(metric);
        Ok(())
    })
    .unwrap_err();
    assert!(
        error.contains("1 entries of kind metric, but the plan declares 0"),
        "{error}"
    );
}

#[test]
fn should_take_handles_as_dead_once_released_or_consumed() {
    let error = run(|step, guided| {
        let loss = mean_square(step);
        let h = tap(step).handle;
        assert_eq!(release(step.session, h), OK);
        assert_eq!(
            release(step.session, 0),
            OK,
            "a result of a failure has nothing to give back"
        );
        let (status, _) = ask::<()>(step.session, Operation::Neg, &[h], None, 1);
        assert_eq!(status, FAILED);
        guided.loss = loss;
        Ok(())
    })
    .unwrap_err();
    assert!(error.contains("released or consumed"), "{error}");
}

#[test]
fn should_answer_nothing_with_a_wrong_number_from_another_thread_or_after_the_step() {
    static KEPT: Mutex<(u64, Handle)> = Mutex::new((0, 0));
    let error = run(|step, guided| {
        guided.loss = mean_square(step);
        let (session, h) = (step.session, tap(step).handle);
        *KEPT.lock().unwrap() = (session, h);
        let elsewhere =
            std::thread::spawn(move || (ask::<()>(session, Operation::Neg, &[h], None, 1), release(session, h)));
        let ((status, outputs), released) = elsewhere.join().unwrap();
        assert_eq!((status, outputs[0].handle, released), (FAILED, 0, FAILED));
        let (status, _) = ask::<()>(session, Operation::Neg, &[h], None, 1);
        assert_eq!(status, OK, "the tensor is unharmed");
        let (status, outputs) = ask::<()>(session + 1000, Operation::Neg, &[h], None, 1);
        assert_eq!((status, outputs[0].handle), (FAILED, 0));
        Ok(())
    })
    .unwrap_err();
    assert!(error.contains("is not the one that runs here"), "{error}");
    let (session, h) = *KEPT.lock().unwrap();
    let (status, outputs) = ask::<()>(session, Operation::Neg, &[h], None, 1);
    assert_eq!((status, outputs[0].handle), (FAILED, 0));
    assert_eq!(release(session, h), FAILED);
}

#[test]
fn should_refuse_operations_and_attributes_that_make_no_sense() {
    let attempt = |operation: Operation, attributes: Option<Dims>, operands: usize, results: usize| {
        run(move |step, guided| {
            guided.loss = mean_square(step);
            let h = vec![tap(step).handle; operands];
            ask(step.session, operation, &h, attributes.as_ref(), results);
            Ok(())
        })
        .unwrap_err()
    };
    let short = Dims { size: 12, ..dims(&[1]) };
    for (error, part) in [
        (attempt(Operation::Sum, None, 1, 1), "attributes are missing"),
        (attempt(Operation::Sum, Some(short), 1, 1), "12 bytes long"),
        (
            attempt(Operation::Sum, Some(dims(&[3])), 1, 1),
            "dimension 3 does not exist",
        ),
        (attempt(Operation::Sum, Some(dims(&[1, 1])), 1, 1), "named twice"),
        (attempt(Operation::Sum, Some(dims(&[1])), 1, 0), "room is given for 0"),
        (attempt(Operation::Add, None, 1, 1), "it takes (a, b)"),
        (attempt(Operation::Neg, None, 2, 1), "it takes (a)"),
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn should_refuse_a_step_whose_numbers_do_not_match_its_tensors() {
    let (library, config) = scripted(|_, _| Ok(()));
    let mut instance = Instance::create(&library, "test", &config).unwrap();
    let plan = instance.plan(&geometry()).unwrap();
    let mut fixture = StepFixture::new();
    fixture.batch.ids.pop();
    let (step, mut services) = fixture.parts(0);
    let error = instance
        .guide(&plan, &step, vec![], vec![], &mut services)
        .unwrap_err()
        .to_string();
    assert!(error.contains("[3, 4, 4, 4]"), "{error}");
    fixture.batch.ids.push(1);
    fixture.taps.remove(&1);
    let (step, mut services) = fixture.parts(0);
    let error = instance
        .guide(&plan, &step, vec![], vec![], &mut services)
        .unwrap_err()
        .to_string();
    assert!(error.contains("depth 1"), "{error}");
}
