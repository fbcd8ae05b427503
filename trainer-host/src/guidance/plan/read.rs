//! From the plugin's struct to an owned plan; everything is validated here, and trusted afterwards.
#![allow(unsafe_code)]

use std::collections::BTreeSet;

use sextant_plugin_api::abi::{
    self, ABI_MAJOR, ABI_MINOR, Agreement, Array, BufferInfo, DType, InitKind, MAX_RANK, Network,
    ParameterInfo, Shape, Tap, TapKind, Text,
};

use super::{BufferPlan, Initial, ParameterPlan, SourcePlan, TapRequest};
use crate::guidance::boundary::{list, text};

/// Elements of one parameter or buffer; beyond it, a shape is taken for a mistake.
const MAX_ELEMENTS: usize = 1 << 32;

/// Reads what a successful `plan` filled in.
///
/// # Safety
/// Every list and text in `plan` must be valid for its length.
pub(in crate::guidance) unsafe fn read(plan: &abi::Plan) -> Result<SourcePlan, String> {
    if plan.required_minor > ABI_MINOR {
        return Err(format!(
            "its plan needs version {ABI_MAJOR}.{} of the guidance contract, this host has {ABI_MAJOR}.{ABI_MINOR}: update sextant",
            plan.required_minor
        ));
    }
    let t_range = match plan.has_t_range {
        0 => None,
        _ if plan.t_min.is_nan() || plan.t_max.is_nan() || plan.t_min > plan.t_max => {
            return Err(format!(
                "its plan has the t range [{}, {}]: the lower end must not exceed the upper",
                plan.t_min, plan.t_max
            ));
        }
        _ => Some([plan.t_min, plan.t_max]),
    };
    // SAFETY: the caller promises valid lists.
    let (taps, parameters, buffers) = unsafe {
        (
            list::<Tap>(plan.taps, "the plan's taps")?,
            list::<ParameterInfo>(plan.parameters, "the plan's parameters")?,
            list::<BufferInfo>(plan.buffers, "the plan's buffers")?,
        )
    };
    let plan = SourcePlan {
        required_minor: plan.required_minor,
        batch_coupled: plan.batch_coupled != 0,
        t_range,
        taps: taps.iter().map(tap).collect::<Result<_, _>>()?,
        // SAFETY: the caller promises valid texts.
        fields: unsafe { names(plan.fields, "field")? },
        // SAFETY: the caller promises valid texts and lists.
        parameters: parameters.iter().map(|p| unsafe { parameter(p) }).collect::<Result<_, _>>()?,
        // SAFETY: the caller promises valid texts and lists.
        buffers: buffers.iter().map(|b| unsafe { buffer(b) }).collect::<Result<_, _>>()?,
        // SAFETY: the caller promises valid texts.
        metrics: unsafe { names(plan.metrics, "metric")? },
    };
    unique("field", plan.fields.iter())?;
    unique("metric", plan.metrics.iter())?;
    unique("parameter", plan.parameters.iter().map(|p| &p.name))?;
    unique("buffer", plan.buffers.iter().map(|b| &b.name))?;
    Ok(plan)
}

fn tap(tap: &Tap) -> Result<TapRequest, String> {
    let network = Network::from_code(tap.network)
        .ok_or_else(|| format!("its plan has a tap of network {}, which does not exist", tap.network))?;
    let kind = TapKind::from_code(tap.kind)
        .ok_or_else(|| format!("its plan has a tap of kind {}, which this host does not know", tap.kind))?;
    if kind == TapKind::Output && network != Network::Student {
        return Err(format!(
            "its plan taps the output of the {} network: `forward` gives outputs of blocks only",
            network_name(network)
        ));
    }
    Ok(TapRequest {
        network,
        kind,
        depth: tap.depth as usize,
    })
}

pub(super) fn network_name(network: Network) -> &'static str {
    match network {
        Network::Student => "student",
        Network::Teacher => "teacher",
        Network::Ema => "ema",
    }
}

unsafe fn names(array: Array, what: &str) -> Result<Vec<String>, String> {
    // SAFETY: the caller promises a valid list.
    unsafe { list::<Text>(array, &format!("the plan's {what}s"))? }
        .into_iter()
        // SAFETY: the caller promises valid texts.
        .map(|name| unsafe { checked_name(name, what) })
        .collect()
}

unsafe fn checked_name(name: Text, what: &str) -> Result<String, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { text(name, &format!("the name of a {what} in its plan"))? };
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("its plan has a {what} called {name:?}: names have no spaces and are not empty"));
    }
    Ok(name)
}

unsafe fn parameter(info: &ParameterInfo) -> Result<ParameterPlan, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(info.name, "parameter")? };
    if name.split('.').any(str::is_empty) {
        return Err(format!("its plan has a parameter called {name:?}: a part between dots is empty"));
    }
    let shape = stored_shape(&info.shape, "parameter", &name)?;
    // SAFETY: the caller promises a valid list.
    let initial = unsafe { initial(info.init, info.value, info.values, &shape, "parameter", &name)? };
    Ok(ParameterPlan { name, shape, initial, trainable: info.trainable != 0 })
}

unsafe fn buffer(info: &BufferInfo) -> Result<BufferPlan, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(info.name, "buffer")? };
    let shape = stored_shape(&info.shape, "buffer", &name)?;
    let dtype = DType::from_code(info.dtype)
        .ok_or_else(|| format!("buffer `{name}` of its plan has element type {}, which does not exist", info.dtype))?;
    let agreement = [Agreement::Mean, Agreement::Gathered, Agreement::Replicated]
        .into_iter()
        .find(|a| *a as u32 == info.agreement)
        .ok_or_else(|| format!("buffer `{name}` of its plan has agreement {}, which does not exist", info.agreement))?;
    // SAFETY: the caller promises a valid list.
    let initial = unsafe { initial(info.init, info.value, info.values, &shape, "buffer", &name)? };
    Ok(BufferPlan { name, dtype, agreement, shape, rows: info.rows != 0, initial })
}

fn stored_shape(shape: &Shape, what: &str, name: &str) -> Result<Vec<usize>, String> {
    let dims = dims(shape).map_err(|reason| format!("{what} `{name}` of its plan: {reason}"))?;
    if dims.is_empty() || dims.contains(&0) {
        return Err(format!("{what} `{name}` of its plan has shape {dims:?}: it needs a rank of at least 1 and no extent 0"));
    }
    Ok(dims)
}

/// Extents of a shape that crossed the boundary.
pub(in crate::guidance) fn dims(shape: &Shape) -> Result<Vec<usize>, String> {
    let rank = shape.rank as usize;
    if rank > MAX_RANK {
        return Err(format!("rank {rank} is more than {MAX_RANK}"));
    }
    let dims: Vec<usize> = shape.dims[..rank].iter().map(|d| *d as usize).collect();
    match dims.iter().try_fold(1usize, |n, d| n.checked_mul((*d).max(1))) {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(dims),
        _ => Err(format!("shape {dims:?} has more than {MAX_ELEMENTS} elements")),
    }
}

unsafe fn initial(
    code: u32,
    value: f64,
    values: Array,
    shape: &[usize],
    what: &str,
    name: &str,
) -> Result<Initial, String> {
    let kind = [InitKind::Constant, InitKind::XavierUniform, InitKind::Normal, InitKind::Values]
        .into_iter()
        .find(|kind| *kind as u32 == code)
        .ok_or_else(|| format!("{what} `{name}` of its plan has init {code}, which does not exist"))?;
    let finite = || match value.is_finite() {
        true => Ok(value),
        false => Err(format!("{what} `{name}` of its plan begins with {value}, which is not finite")),
    };
    Ok(match kind {
        InitKind::Constant => Initial::Constant(finite()?),
        InitKind::Normal if value < 0.0 => {
            return Err(format!("{what} `{name}` of its plan has the negative standard deviation {value}"));
        }
        InitKind::Normal => Initial::Normal(finite()?),
        InitKind::XavierUniform if shape.len() < 2 => {
            return Err(format!("{what} `{name}` of its plan has shape {shape:?}: Xavier needs a rank of at least 2"));
        }
        InitKind::XavierUniform => Initial::XavierUniform,
        InitKind::Values => {
            // SAFETY: the caller promises a valid list.
            let values: Vec<f32> = unsafe { list(values, &format!("the values of {what} `{name}`"))? };
            let wanted: usize = shape.iter().product();
            if values.len() != wanted {
                return Err(format!("{what} `{name}` of its plan has {} values for the {wanted} elements of {shape:?}", values.len()));
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(format!("{what} `{name}` of its plan has a value that is not finite"));
            }
            Initial::Values(values)
        }
    })
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("its plan has two {what}s called `{name}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sextant_plugin_api::abi::MAX_RANK;

    use super::*;
    use crate::guidance::boundary::{NO_LIST, lend_list, lend_text};

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
        }
    }

    fn shape(dims: &[u64]) -> Shape {
        let mut all = [0; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Shape { rank: dims.len() as u32, reserved: 0, dims: all }
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
        unsafe { read(plan) }
    }

    #[test]
    fn should_read_everything_that_a_plan_says() {
        let taps = [Tap { network: 0, kind: 0, depth: 2, reserved: 0 }, Tap { network: 1, kind: 0, depth: 4, reserved: 0 }];
        let texts = [lend_text("features"), lend_text("z")];
        let numbers = [1f32, 2.0];
        let parameters = [
            parameter_info("mlp.0.weight", &[3, 2]),
            ParameterInfo { init: InitKind::Values as u32, trainable: 0, values: lend_list(&numbers), ..parameter_info("two", &[2]) },
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
        assert_eq!((plan.fields, plan.metrics), (vec!["features".to_owned(), "z".into()], vec!["features".to_owned()]));
        assert_eq!(plan.parameters[0].initial, Initial::XavierUniform);
        assert_eq!((plan.parameters[1].trainable, &plan.parameters[1].initial), (false, &Initial::Values(vec![1.0, 2.0])));
        assert_eq!((plan.buffers[0].rows, plan.buffers[0].agreement), (true, Agreement::Gathered));
    }

    #[test]
    fn should_read_elements_that_are_longer_than_it_knows() {
        #[repr(C)]
        struct Longer(Tap, u64);
        let taps = [1, 3].map(|depth| Longer(Tap { network: 0, kind: 0, depth, reserved: 0 }, u64::MAX));
        let plan = read_plan(&abi::Plan { taps: lend_list(&taps), ..empty() }).unwrap();
        assert_eq!(plan.depths(Network::Student), [1, 3]);
    }

    #[test]
    fn should_say_what_is_wrong_with_a_plan() {
        let tap = Tap { network: 0, kind: 0, depth: 1, reserved: 0 };
        let fault = |plan: abi::Plan| read_plan(&plan).unwrap_err();
        let of_tap = |tap: Tap| fault(abi::Plan { taps: lend_list(&[tap]), ..empty() });
        let of_parameter = |info: ParameterInfo| fault(abi::Plan { parameters: lend_list(&[info]), ..empty() });
        let of_buffer = |info: BufferInfo| fault(abi::Plan { buffers: lend_list(&[info]), ..empty() });
        let of_names = |names: &[&str]| {
            let texts: Vec<Text> = names.iter().map(|name| lend_text(name)).collect();
            fault(abi::Plan { metrics: lend_list(&texts), ..empty() })
        };
        let p = || parameter_info("w", &[2, 2]);
        let range = |t_min, t_max| fault(abi::Plan { has_t_range: 1, t_min, t_max, ..empty() });
        let nan = [f32::NAN, 1.0, 1.0, 1.0];
        let narrow = Array { stride: 8, ..lend_list(&[tap]) };
        let parameters = [p(), p()];
        for (error, part) in [
            (fault(abi::Plan { required_minor: ABI_MINOR + 1, ..empty() }), "this host has 1.0"),
            (range(0.7, 0.4), "[0.7, 0.4]"),
            (range(f64::NAN, 1.0), "t range"),
            (of_tap(Tap { network: 9, ..tap }), "network 9"),
            (of_tap(Tap { kind: 9, ..tap }), "kind 9"),
            (of_tap(Tap { network: 1, kind: 1, ..tap }), "output of the teacher"),
            (fault(abi::Plan { taps: narrow, ..empty() }), "8 bytes apart"),
            (fault(abi::Plan { taps: Array { len: 3, ..NO_LIST }, ..empty() }), "null"),
            (of_names(&["a", "a"]), "two metrics called `a`"),
            (of_names(&["a b"]), "no spaces"),
            (of_names(&[""]), "not empty"),
            (fault(abi::Plan { parameters: lend_list(&parameters), ..empty() }), "two parameters called `w`"),
            (of_parameter(parameter_info("a..b", &[2, 2])), "between dots"),
            (of_parameter(parameter_info("w", &[])), "rank of at least 1"),
            (of_parameter(parameter_info("w", &[2, 0])), "no extent 0"),
            (of_parameter(parameter_info("w", &[2])), "Xavier needs a rank of at least 2"),
            (of_parameter(parameter_info("w", &[1 << 40, 1 << 40])), "more than"),
            (of_parameter(ParameterInfo { shape: Shape { rank: 9, ..shape(&[]) }, ..p() }), "rank 9"),
            (of_parameter(ParameterInfo { init: 9, ..p() }), "init 9"),
            (of_parameter(ParameterInfo { init: 0, value: f64::INFINITY, ..p() }), "not finite"),
            (of_parameter(ParameterInfo { init: 2, value: -1.0, ..p() }), "negative"),
            (of_parameter(ParameterInfo { init: 3, ..p() }), "0 values for the 4 elements"),
            (of_parameter(ParameterInfo { init: 3, values: lend_list(&nan), ..p() }), "not finite"),
            (of_buffer(BufferInfo { dtype: 99, ..buffer_info("b") }), "element type 99"),
            (of_buffer(BufferInfo { agreement: 99, ..buffer_info("b") }), "agreement 99"),
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
}
