#![allow(unsafe_code)]

use sextant_plugin_api::abi::{
    self, ABI_MINOR, Array, BufferInfo, InitKind, MAX_RANK, ParameterInfo, SettingInfo, Shape, Tap, Text,
};

use super::read::read;
use super::*;
use crate::boundary::{NO_LIST, lend_list, lend_text};

fn empty() -> abi::Plan {
    abi::Plan {
        size: size_of::<abi::Plan>() as u64,
        required_minor: 0,
        batch_coupled: 0,
        has_t_range: 0,
        reserved: [0; 2],
        t_min: 0.0,
        t_max: 0.0,
        taps: NO_LIST,
        fields: NO_LIST,
        parameters: NO_LIST,
        buffers: NO_LIST,
        metrics: NO_LIST,
        settings: NO_LIST,
    }
}

fn shape(dims: &[u64]) -> Shape {
    let mut all = [0; MAX_RANK];
    all[..dims.len()].copy_from_slice(dims);
    Shape {
        rank: dims.len() as u32,
        reserved: 0,
        dims: all,
    }
}

fn parameter_info(name: &'static str, dims: &[u64]) -> ParameterInfo {
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

fn read_plan(plan: &abi::Plan) -> Result<SourcePlan, String> {
    // SAFETY: the lists live in the test.
    unsafe { read(plan) }.map_err(|fault| fault.to_string())
}

#[test]
fn should_read_everything_that_a_plan_says() {
    let taps = [
        Tap {
            network: 0,
            kind: 0,
            depth: 2,
            reserved: 0,
        },
        Tap {
            network: 1,
            kind: 0,
            depth: 4,
            reserved: 0,
        },
    ];
    let texts = [lend_text("features"), lend_text("z")];
    let numbers = [1f32, 2.0];
    let parameters = [
        parameter_info("mlp.0.weight", &[3, 2]),
        ParameterInfo {
            init: InitKind::Values as u32,
            trainable: 0,
            values: lend_list(&numbers),
            ..parameter_info("two", &[2])
        },
    ];
    let buffers = [buffer_info("bank")];
    let plan = read_plan(&abi::Plan {
        batch_coupled: 1,
        has_t_range: 1,
        t_min: 0.4,
        t_max: 0.7,
        taps: lend_list(&taps),
        fields: lend_list(&texts),
        parameters: lend_list(&parameters),
        buffers: lend_list(&buffers),
        metrics: lend_list(&texts[..1]),
        ..empty()
    })
    .unwrap();
    assert!(plan.batch_coupled);
    assert_eq!(plan.t_range, Some([0.4, 0.7]));
    assert_eq!(plan.depths(Network::Teacher), [4]);
    assert_eq!(
        (plan.fields, plan.metrics),
        (vec!["features".to_owned(), "z".into()], vec!["features".to_owned()])
    );
    assert_eq!(plan.parameters[0].initial, Initial::XavierUniform);
    assert_eq!(
        (plan.parameters[1].trainable, &plan.parameters[1].initial),
        (false, &Initial::Values(vec![1.0, 2.0]))
    );
    assert_eq!(
        (plan.buffers[0].rows, plan.buffers[0].agreement),
        (true, Agreement::Gathered)
    );
}

#[test]
fn should_read_elements_that_are_longer_than_it_knows() {
    #[repr(C)]
    struct Longer(Tap, u64);
    let taps = [1, 3].map(|depth| {
        Longer(
            Tap {
                network: 0,
                kind: 0,
                depth,
                reserved: 0,
            },
            u64::MAX,
        )
    });
    let plan = read_plan(&abi::Plan {
        taps: lend_list(&taps),
        ..empty()
    })
    .unwrap();
    assert_eq!(plan.depths(Network::Student), [1, 3]);
}

#[test]
fn should_say_what_is_wrong_with_a_plan() {
    let tap = Tap {
        network: 0,
        kind: 0,
        depth: 1,
        reserved: 0,
    };
    let fault = |plan: abi::Plan| read_plan(&plan).unwrap_err();
    let of_tap = |tap: Tap| {
        fault(abi::Plan {
            taps: lend_list(&[tap]),
            ..empty()
        })
    };
    let of_parameter = |info: ParameterInfo| {
        fault(abi::Plan {
            parameters: lend_list(&[info]),
            ..empty()
        })
    };
    let of_buffer = |info: BufferInfo| {
        fault(abi::Plan {
            buffers: lend_list(&[info]),
            ..empty()
        })
    };
    let of_names = |names: &[&str]| {
        let texts: Vec<Text> = names.iter().map(|name| lend_text(name)).collect();
        fault(abi::Plan {
            metrics: lend_list(&texts),
            ..empty()
        })
    };
    let setting = |name: &'static str, value| SettingInfo {
        name: lend_text(name),
        meaning: 0,
        reserved: 0,
        value,
    };
    let of_setting = |settings: &[SettingInfo]| {
        fault(abi::Plan {
            settings: lend_list(settings),
            ..empty()
        })
    };
    let p = || parameter_info("w", &[2, 2]);
    let range = |t_min, t_max| {
        fault(abi::Plan {
            has_t_range: 1,
            t_min,
            t_max,
            ..empty()
        })
    };
    let nan = [f32::NAN, 1.0, 1.0, 1.0];
    let narrow = Array {
        stride: 8,
        ..lend_list(&[tap])
    };
    let parameters = [p(), p()];
    for (error, part) in [
        (
            fault(abi::Plan {
                required_minor: ABI_MINOR + 1,
                ..empty()
            }),
            "this host has 1.2",
        ),
        (range(0.7, 0.4), "[0.7, 0.4]"),
        (range(f64::NAN, 1.0), "t range"),
        (of_tap(Tap { network: 9, ..tap }), "network 9"),
        (of_tap(Tap { kind: 9, ..tap }), "kind 9"),
        (
            of_tap(Tap {
                network: 2,
                kind: 2,
                ..tap
            }),
            "attention of the ema",
        ),
        (
            fault(abi::Plan {
                taps: narrow,
                ..empty()
            }),
            "8 bytes apart",
        ),
        (
            fault(abi::Plan {
                taps: Array { len: 3, ..NO_LIST },
                ..empty()
            }),
            "null",
        ),
        (of_setting(&[setting("w", f64::NAN)]), "setting `w` of its plan is NaN"),
        (
            of_setting(&[setting("w", 1.0), setting("w", 2.0)]),
            "two settings called `w`",
        ),
        (of_setting(&[setting("a b", 1.0)]), "a setting called"),
        (of_names(&["a", "a"]), "two metrics called `a`"),
        (of_names(&["a b"]), "no spaces"),
        (of_names(&[""]), "not empty"),
        (
            fault(abi::Plan {
                parameters: lend_list(&parameters),
                ..empty()
            }),
            "two parameters called `w`",
        ),
        (of_parameter(parameter_info("a..b", &[2, 2])), "between dots"),
        (of_parameter(parameter_info("a._0.w", &[2, 2])), "write `0` for `_0`"),
        (of_parameter(parameter_info("w", &[])), "rank of at least 1"),
        (of_parameter(parameter_info("w", &[2, 0])), "no extent 0"),
        (
            of_parameter(parameter_info("w", &[2])),
            "Xavier needs a rank of at least 2",
        ),
        (of_parameter(parameter_info("w", &[1 << 40, 1 << 40])), "more than"),
        (
            of_parameter(ParameterInfo {
                shape: Shape { rank: 9, ..shape(&[]) },
                ..p()
            }),
            "rank 9",
        ),
        (of_parameter(ParameterInfo { init: 9, ..p() }), "init 9"),
        (
            of_parameter(ParameterInfo {
                init: 0,
                value: f64::INFINITY,
                ..p()
            }),
            "not finite",
        ),
        (
            of_parameter(ParameterInfo {
                init: 2,
                value: -1.0,
                ..p()
            }),
            "negative",
        ),
        (
            of_parameter(ParameterInfo { init: 3, ..p() }),
            "0 values for the 4 elements",
        ),
        (
            of_parameter(ParameterInfo {
                init: 3,
                values: lend_list(&nan),
                ..p()
            }),
            "not finite",
        ),
        (
            of_buffer(BufferInfo {
                dtype: 99,
                ..buffer_info("b")
            }),
            "element type 99",
        ),
        (
            of_buffer(BufferInfo {
                agreement: 99,
                ..buffer_info("b")
            }),
            "agreement 99",
        ),
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}
