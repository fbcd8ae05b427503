//! From the plugin's struct to an owned plan; everything is validated here, and trusted afterwards.
#![allow(unsafe_code)]

use std::collections::BTreeSet;

use sextant_plugin_api::abi::{
    self, ABI_MAJOR, ABI_MINOR, Agreement, Array, BufferInfo, DType, InitKind, MAX_RANK, Network, ParameterInfo,
    SettingInfo, SettingMeaning, Shape, Tap, TapKind, Text,
};

use super::{BufferPlan, Initial, ParameterPlan, Setting, SourcePlan, TapRequest};
use crate::boundary::{list, text};
use crate::fault::Fault;

/// Elements of one tensor; beyond it, a shape is taken for a mistake.
pub(crate) const MAX_ELEMENTS: usize = 1 << 31;
/// Elements of all parameters and buffers of a source: more than most transformers have that are guided, and 4 GiB in f32.
const MAX_STORED: usize = 1 << 30;
/// Entries of each list of a plan.
const MAX_ENTRIES: usize = 4096;
/// Bytes of a name.
const MAX_NAME: usize = 128;

/// Reads what a successful `plan` filled in.
///
/// # Safety
/// Every list and text in `plan` must be valid for its length.
pub(crate) unsafe fn read(plan: &abi::Plan) -> Result<SourcePlan, Fault> {
    let &abi::Plan {
        required_minor,
        t_min,
        t_max,
        ..
    } = plan;
    if required_minor > ABI_MINOR {
        return Err(Fault::Plan(format!(
            "its plan needs version {ABI_MAJOR}.{required_minor} of the guidance contract, this host has \
             {ABI_MAJOR}.{ABI_MINOR}: update sextant"
        )));
    }
    if plan.has_t_range != 0 && (t_min.is_nan() || t_max.is_nan() || t_min > t_max) {
        return Err(Fault::Plan(format!(
            "its plan has the t range [{t_min}, {t_max}]: the lower end must not exceed the upper"
        )));
    }
    // SAFETY: the caller promises valid lists.
    let (taps, parameters, buffers, settings) = unsafe {
        (
            list::<Tap>(plan.taps, MAX_ENTRIES, "the plan's taps")?,
            list::<ParameterInfo>(plan.parameters, MAX_ENTRIES, "the plan's parameters")?,
            list::<BufferInfo>(plan.buffers, MAX_ENTRIES, "the plan's buffers")?,
            list::<SettingInfo>(plan.settings, MAX_ENTRIES, "the plan's settings")?,
        )
    };
    // A shape that is none is found with its name below.
    let shapes = parameters
        .iter()
        .map(|p| &p.shape)
        .chain(buffers.iter().map(|b| &b.shape));
    let stored = shapes
        .filter_map(|shape| Some(dims(shape).ok()?.iter().product::<usize>()))
        .fold(0, usize::saturating_add);
    if stored > MAX_STORED {
        return Err(Fault::Plan(format!(
            "the parameters and buffers of its plan have {stored} elements together, at most {MAX_STORED} are possible"
        )));
    }
    let plan = SourcePlan {
        required_minor,
        batch_coupled: plan.batch_coupled != 0,
        t_range: (plan.has_t_range != 0).then_some([t_min, t_max]),
        taps: each(&taps, tap)?,
        // SAFETY: the caller promises valid texts and lists, here and below.
        fields: unsafe { names(plan.fields, "field")? },
        // SAFETY: as above.
        parameters: each(&parameters, |info| unsafe { parameter(info) })?,
        // SAFETY: as above.
        buffers: each(&buffers, |info| unsafe { buffer(info) })?,
        // SAFETY: as above.
        metrics: unsafe { names(plan.metrics, "metric")? },
        // SAFETY: as above.
        settings: each(&settings, |info| unsafe { setting(info) })?,
    };
    unique("field", plan.fields.iter())?;
    unique("metric", plan.metrics.iter())?;
    unique("setting", plan.settings.iter().map(|s| &s.name))?;
    unique("parameter", plan.parameters.iter().map(|p| &p.name))?;
    unique("buffer", plan.buffers.iter().map(|b| &b.name))?;
    Ok(plan)
}

fn each<T, P>(list: &[T], read: impl Fn(&T) -> Result<P, Fault>) -> Result<Vec<P>, Fault> {
    list.iter().map(read).collect()
}

fn tap(tap: &Tap) -> Result<TapRequest, Fault> {
    let unknown = |what, code, reason| Fault::Plan(format!("its plan has a tap of {what} {code}, which {reason}"));
    let network = Network::from_code(tap.network).ok_or_else(|| unknown("network", tap.network, "does not exist"))?;
    let kind = TapKind::from_code(tap.kind).ok_or_else(|| unknown("kind", tap.kind, "this host does not know"))?;
    if kind == TapKind::Attention && network != Network::Student {
        let network = network_name(network);
        return Err(Fault::Plan(format!(
            "its plan taps the attention of the {network} network: `forward` gives tokens and the output only"
        )));
    }
    let depth = tap.depth as usize;
    Ok(TapRequest { network, kind, depth })
}

pub(super) fn network_name(network: Network) -> &'static str {
    match network {
        Network::Student => "student",
        Network::Teacher => "teacher",
        Network::Ema => "ema",
    }
}

unsafe fn names(array: Array, what: &'static str) -> Result<Vec<String>, Fault> {
    // SAFETY: the caller promises a valid list.
    unsafe { list::<Text>(array, MAX_ENTRIES, &format!("the plan's {what}s"))? }
        .into_iter()
        // SAFETY: the caller promises valid texts.
        .map(|name| unsafe { checked_name(name, what) })
        .collect()
}

unsafe fn checked_name(name: Text, what: &'static str) -> Result<String, Fault> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { text(name, &format!("the name of a {what} in its plan"))? };
    if name.len() > MAX_NAME {
        let len = name.len();
        return Err(Fault::Plan(format!(
            "its plan has a {what} whose name is {len} bytes long, at most {MAX_NAME} are possible"
        )));
    }
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let reason = "names have no spaces and are not empty".into();
        return Err(Fault::Name { what, name, reason });
    }
    Ok(name)
}

/// The name of something that checkpoints hold.
unsafe fn stored_name(name: Text, what: &'static str) -> Result<String, Fault> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(name, what)? };
    if name.split('.').any(str::is_empty) {
        let reason = "a part between dots is empty".into();
        return Err(Fault::Name { what, name, reason });
    }
    // Tools that unpack a checkpoint make files of its names.
    if name.contains(['/', '\\']) {
        let reason = "slashes are for paths, write dots".into();
        return Err(Fault::Name { what, name, reason });
    }
    Ok(name)
}

unsafe fn parameter(info: &ParameterInfo) -> Result<ParameterPlan, Fault> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { stored_name(info.name, "parameter")? };
    // A module's path writes the entry 0 of a sequence as `_0`, which published names do not.
    let entry_of_a_sequence =
        |part: &&str| part.starts_with('_') && part[1..].starts_with(|c: char| c.is_ascii_digit());
    if let Some(part) = name.split('.').find(entry_of_a_sequence) {
        let (what, reason) = ("parameter", format!("write `{}` for `{part}`", &part[1..]));
        return Err(Fault::Name { what, name, reason });
    }
    let shape = stored_shape(&info.shape, "parameter", &name)?;
    // SAFETY: the caller promises a valid list.
    let initial = unsafe { initial(info.init, info.value, info.values, &shape, "parameter", &name)? };
    Ok(ParameterPlan {
        name,
        shape,
        initial,
        trainable: info.trainable != 0,
    })
}

unsafe fn buffer(info: &BufferInfo) -> Result<BufferPlan, Fault> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { stored_name(info.name, "buffer")? };
    let shape = stored_shape(&info.shape, "buffer", &name)?;
    let wrong = |reason: String| entry("buffer", &name, reason);
    let dtype = DType::from_code(info.dtype)
        .ok_or_else(|| wrong(format!("has element type {}, which does not exist", info.dtype)))?;
    let agreement = [Agreement::Mean, Agreement::Gathered, Agreement::Replicated]
        .into_iter()
        .find(|a| *a as u32 == info.agreement)
        .ok_or_else(|| wrong(format!("has agreement {}, which does not exist", info.agreement)))?;
    // SAFETY: the caller promises a valid list.
    let initial = unsafe { initial(info.init, info.value, info.values, &shape, "buffer", &name)? };
    Ok(BufferPlan {
        name,
        dtype,
        agreement,
        shape,
        rows: info.rows != 0,
        initial,
    })
}

unsafe fn setting(info: &SettingInfo) -> Result<Setting, Fault> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(info.name, "setting")? };
    if !info.value.is_finite() {
        let reason = format!("is {}, which is not finite", info.value);
        return Err(entry("setting", &name, reason));
    }
    Ok(Setting {
        name,
        value: info.value,
        meaning: SettingMeaning::from_code(info.meaning),
    })
}

/// A fault of a parameter, a buffer or a setting.
fn entry(what: &'static str, name: &str, reason: String) -> Fault {
    Fault::Plan(format!("{what} `{name}` of its plan {reason}"))
}

fn stored_shape(shape: &Shape, what: &'static str, name: &str) -> Result<Vec<usize>, Fault> {
    let dims = dims(shape).map_err(|cause| Fault::Plan(format!("{what} `{name}` of its plan: {cause}")))?;
    if dims.is_empty() || dims.contains(&0) {
        let reason = format!("has shape {dims:?}: it needs a rank of at least 1 and no extent 0");
        return Err(entry(what, name, reason));
    }
    Ok(dims)
}

/// Extents of a shape that crossed the boundary.
pub(crate) fn dims(shape: &Shape) -> Result<Vec<usize>, Fault> {
    let rank = shape.rank as usize;
    if rank > MAX_RANK {
        return Err(Fault::Shape(format!("rank {rank} is more than {MAX_RANK}")));
    }
    let dims: Vec<usize> = shape.dims[..rank].iter().map(|d| *d as usize).collect();
    match dims.iter().try_fold(1usize, |n, d| n.checked_mul((*d).max(1))) {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(dims),
        _ => Err(Fault::Shape(format!(
            "shape {dims:?} has more than {MAX_ELEMENTS} elements"
        ))),
    }
}

unsafe fn initial(
    code: u32,
    value: f64,
    values: Array,
    shape: &[usize],
    what: &'static str,
    name: &str,
) -> Result<Initial, Fault> {
    let wrong = |reason: String| entry(what, name, reason);
    use InitKind::{Constant, Normal, Uniform, Values, XavierUniform};
    let kinds = [Constant, XavierUniform, Normal, Values, Uniform];
    let kind = kinds.into_iter().find(|kind| *kind as u32 == code);
    let kind = kind.ok_or_else(|| wrong(format!("has init {code}, which does not exist")))?;
    let finite = || match value.is_finite() {
        true => Ok(value),
        false => Err(wrong(format!("begins with {value}, which is not finite"))),
    };
    Ok(match kind {
        Constant => Initial::Constant(finite()?),
        Normal if value < 0.0 => return Err(wrong(format!("has the negative standard deviation {value}"))),
        Normal => Initial::Normal(finite()?),
        Uniform if value < 0.0 => return Err(wrong(format!("has the negative bound {value}"))),
        Uniform => Initial::Uniform(finite()?),
        XavierUniform if shape.len() < 2 => {
            return Err(wrong(format!("has shape {shape:?}: Xavier needs a rank of at least 2")));
        }
        XavierUniform => Initial::XavierUniform,
        Values => {
            let wanted: usize = shape.iter().product();
            if values.len != wanted as u64 {
                let found = values.len;
                return Err(wrong(format!(
                    "has {found} values for the {wanted} elements of {shape:?}"
                )));
            }
            // SAFETY: the caller promises a valid list.
            let values: Vec<f32> = unsafe { list(values, wanted, &format!("the values of {what} `{name}`"))? };
            if values.iter().any(|v| !v.is_finite()) {
                return Err(wrong("has a value that is not finite".into()));
            }
            Initial::Values(values)
        }
    })
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Fault::Plan(format!("its plan has two {what}s called `{name}`")));
        }
    }
    Ok(())
}
