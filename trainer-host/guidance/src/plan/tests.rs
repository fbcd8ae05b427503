#![allow(unsafe_code)]

use sextant_plugin_api::abi::{self, ABI_MINOR, Array, BufferInfo, InitKind, ParameterInfo, SettingInfo, Shape, Tap};

use super::read::read;
use super::*;
use crate::boundary::{NO_LIST, SizeFirst, lend_list, lend_text};
use crate::fixture::{of_student, shape};

fn parameter_info(name: &'static str, dims: &[usize]) -> ParameterInfo {
    ParameterInfo {
        name: lend_text(name),
        shape: shape(dims),
        init: InitKind::XavierUniform as u32,
        trainable: 1,
        reserved: [0; 3],
        value: 0.0,
        values: NO_LIST,
    }
}

fn buffer_info(name: &'static str) -> BufferInfo {
    BufferInfo {
        name: lend_text(name),
        dtype: DType::F32 as u32,
        agreement: Agreement::Gathered as u32,
        shape: shape(&[2, 3]),
        rows: 1,
        reserved: [0; 3],
        init: InitKind::Normal as u32,
        value: 0.1,
        values: NO_LIST,
    }
}

/// Reads an empty plan with this change.
fn changed(change: impl FnOnce(&mut abi::Plan)) -> Result<SourcePlan, String> {
    let mut plan = abi::Plan::blank();
    change(&mut plan);
    // SAFETY: the lists live in the test.
    unsafe { read(&plan) }.map_err(|fault| fault.to_string())
}

#[test]
fn should_read_everything_that_a_plan_says() {
    let of_teacher = Tap {
        network: 1,
        ..of_student(4)
    };
    let (taps, numbers) = ([of_student(2), of_teacher], [1f32, 2.0]);
    let texts = [lend_text("features"), lend_text("z")];
    let given = ParameterInfo {
        init: InitKind::Values as u32,
        trainable: 0,
        values: lend_list(&numbers),
        ..parameter_info("two", &[2])
    };
    let parameters = [parameter_info("mlp.0.weight", &[3, 2]), given];
    let buffers = [buffer_info("bank")];
    let plan = changed(|plan| {
        (plan.batch_coupled, plan.has_t_range, plan.t_min, plan.t_max) = (1, 1, 0.4, 0.7);
        (plan.taps, plan.fields, plan.metrics) = (lend_list(&taps), lend_list(&texts), lend_list(&texts[..1]));
        (plan.parameters, plan.buffers) = (lend_list(&parameters), lend_list(&buffers));
    })
    .unwrap();
    assert!(plan.batch_coupled);
    assert_eq!(plan.t_range, Some([0.4, 0.7]));
    assert_eq!(plan.depths(Network::Teacher), [4]);
    assert_eq!(
        (plan.fields, plan.metrics),
        (vec!["features".into(), "z".into()], vec!["features".into()])
    );
    let [first, second] = &plan.parameters[..] else {
        panic!("two parameters");
    };
    assert_eq!((&first.initial, first.trainable), (&Initial::XavierUniform, true));
    assert_eq!(
        (&second.initial, second.trainable),
        (&Initial::Values(vec![1.0, 2.0]), false)
    );
    let bank = &plan.buffers[0];
    assert_eq!((bank.rows, bank.agreement), (true, Agreement::Gathered));
}

#[test]
fn should_read_elements_that_are_longer_than_it_knows() {
    #[repr(C)]
    struct Longer(Tap, u64);
    let taps = [1, 3].map(|depth| Longer(of_student(depth), u64::MAX));
    let plan = changed(|plan| plan.taps = lend_list(&taps)).unwrap();
    assert_eq!(plan.depths(Network::Student), [1, 3]);
}

#[test]
fn should_say_what_is_wrong_with_a_plan() {
    let refused = |change: &dyn Fn(&mut abi::Plan)| changed(change).unwrap_err();
    let range = |min, max| refused(&|plan| (plan.has_t_range, plan.t_min, plan.t_max) = (1, min, max));
    let of_taps = |taps: Array| refused(&|plan| plan.taps = taps);
    let of_tap = |network, kind| {
        let tap = Tap {
            network,
            kind,
            ..of_student(1)
        };
        of_taps(lend_list(&[tap]))
    };
    let setting = |name: &'static str, value| SettingInfo {
        name: lend_text(name),
        meaning: 0,
        reserved: 0,
        value,
    };
    let of_settings = |settings: &[SettingInfo]| refused(&|plan| plan.settings = lend_list(settings));
    let of_names = |names: &[&str]| {
        let texts: Vec<abi::Text> = names.iter().map(|name| lend_text(name)).collect();
        refused(&|plan| plan.metrics = lend_list(&texts))
    };
    let of_parameters = |parameters: &[ParameterInfo]| refused(&|plan| plan.parameters = lend_list(parameters));
    let named = |name, dims: &[usize]| of_parameters(&[parameter_info(name, dims)]);
    let weight = |change: &dyn Fn(&mut ParameterInfo)| {
        let mut info = parameter_info("w", &[2, 2]);
        change(&mut info);
        of_parameters(&[info])
    };
    let of_buffer = |change: &dyn Fn(&mut BufferInfo)| {
        let mut info = buffer_info("b");
        change(&mut info);
        let buffers = [info];
        refused(&|plan| plan.buffers = lend_list(&buffers))
    };
    let narrow = Array {
        stride: 8,
        ..lend_list(&[of_student(1)])
    };
    let large = Shape {
        dims: [1 << 40; abi::MAX_RANK],
        ..shape(&[1, 1])
    };
    let nan = [f32::NAN, 1.0, 1.0, 1.0];
    for (error, part) in [
        (
            refused(&|plan| plan.required_minor = ABI_MINOR + 1),
            "this host has 1.2",
        ),
        (range(0.7, 0.4), "[0.7, 0.4]"),
        (range(f64::NAN, 1.0), "t range"),
        (of_tap(9, 0), "network 9"),
        (of_tap(0, 9), "kind 9"),
        (of_tap(2, 2), "attention of the ema"),
        (of_taps(narrow), "8 bytes apart"),
        (of_taps(Array { len: 3, ..NO_LIST }), "null"),
        (of_settings(&[setting("w", f64::NAN)]), "setting `w` of its plan is NaN"),
        (
            of_settings(&[setting("w", 1.0), setting("w", 2.0)]),
            "two settings called `w`",
        ),
        (of_settings(&[setting("a b", 1.0)]), "a setting called"),
        (of_names(&["a", "a"]), "two metrics called `a`"),
        (of_names(&["a b"]), "no spaces"),
        (of_names(&[""]), "not empty"),
        (
            of_parameters(&[parameter_info("w", &[2, 2]); 2]),
            "two parameters called `w`",
        ),
        (named("a..b", &[2, 2]), "between dots"),
        (named("a._0.w", &[2, 2]), "write `0` for `_0`"),
        (named("w", &[]), "rank of at least 1"),
        (named("w", &[2, 0]), "no extent 0"),
        (named("w", &[2]), "Xavier needs a rank of at least 2"),
        (weight(&|w| w.shape = large), "more than"),
        (weight(&|w| w.shape.rank = 9), "rank 9"),
        (weight(&|w| w.init = 9), "init 9"),
        (weight(&|w| (w.init, w.value) = (0, f64::INFINITY)), "not finite"),
        (weight(&|w| (w.init, w.value) = (2, -1.0)), "negative"),
        (weight(&|w| w.init = 3), "0 values for the 4 elements"),
        (weight(&|w| (w.init, w.values) = (3, lend_list(&nan))), "not finite"),
        (of_buffer(&|b| b.dtype = 99), "element type 99"),
        (of_buffer(&|b| b.agreement = 99), "agreement 99"),
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
