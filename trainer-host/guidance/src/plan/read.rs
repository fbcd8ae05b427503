//! From the plugin's struct to an owned plan; everything is validated here, and trusted afterwards.
#![allow(unsafe_code)]

use std::collections::BTreeSet;

use sextant_plugin_api::abi::{
    self, ABI_MAJOR, ABI_MINOR, Agreement, Array, BufferInfo, DType, InitKind, MAX_RANK, Network, ParameterInfo,
    SettingInfo, SettingMeaning, Shape, Tap, TapKind, Text,
};

use super::{BufferPlan, Initial, ParameterPlan, Setting, SourcePlan, TapRequest};
use crate::boundary::{list, text};

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
pub(crate) unsafe fn read(plan: &abi::Plan) -> Result<SourcePlan, String> {
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
    let (taps, parameters, buffers, settings) = unsafe {
        (
            list::<Tap>(plan.taps, MAX_ENTRIES, "the plan's taps")?,
            list::<ParameterInfo>(plan.parameters, MAX_ENTRIES, "the plan's parameters")?,
            list::<BufferInfo>(plan.buffers, MAX_ENTRIES, "the plan's buffers")?,
            list::<SettingInfo>(plan.settings, MAX_ENTRIES, "the plan's settings")?,
        )
    };
    let stored = parameters
        .iter()
        .map(|p| &p.shape)
        .chain(buffers.iter().map(|b| &b.shape))
        .try_fold(0usize, |sum, shape| {
            Ok::<_, String>(sum.saturating_add(dims(shape)?.iter().product()))
        });
    if let Ok(stored) = stored
        && stored > MAX_STORED
    {
        return Err(format!(
            "the parameters and buffers of its plan have {stored} elements together, at most {MAX_STORED} are possible"
        ));
    }
    let plan = SourcePlan {
        required_minor: plan.required_minor,
        batch_coupled: plan.batch_coupled != 0,
        t_range,
        taps: taps.iter().map(tap).collect::<Result<_, _>>()?,
        // SAFETY: the caller promises valid texts.
        fields: unsafe { names(plan.fields, "field")? },
        parameters: parameters
            .iter()
            // SAFETY: the caller promises valid texts and lists.
            .map(|p| unsafe { parameter(p) })
            .collect::<Result<_, _>>()?,
        buffers: buffers
            .iter()
            // SAFETY: the caller promises valid texts and lists.
            .map(|b| unsafe { buffer(b) })
            .collect::<Result<_, _>>()?,
        // SAFETY: the caller promises valid texts.
        metrics: unsafe { names(plan.metrics, "metric")? },
        settings: settings
            .iter()
            // SAFETY: the caller promises valid texts.
            .map(|s| unsafe { setting(s) })
            .collect::<Result<_, _>>()?,
    };
    unique("field", plan.fields.iter())?;
    unique("metric", plan.metrics.iter())?;
    unique("setting", plan.settings.iter().map(|s| &s.name))?;
    unique("parameter", plan.parameters.iter().map(|p| &p.name))?;
    unique("buffer", plan.buffers.iter().map(|b| &b.name))?;
    Ok(plan)
}

fn tap(tap: &Tap) -> Result<TapRequest, String> {
    let network = Network::from_code(tap.network)
        .ok_or_else(|| format!("its plan has a tap of network {}, which does not exist", tap.network))?;
    let kind = TapKind::from_code(tap.kind)
        .ok_or_else(|| format!("its plan has a tap of kind {}, which this host does not know", tap.kind))?;
    if kind == TapKind::Attention && network != Network::Student {
        return Err(format!(
            "its plan taps the attention of the {} network: `forward` gives tokens and the output only",
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
    unsafe { list::<Text>(array, MAX_ENTRIES, &format!("the plan's {what}s"))? }
        .into_iter()
        // SAFETY: the caller promises valid texts.
        .map(|name| unsafe { checked_name(name, what) })
        .collect()
}

unsafe fn checked_name(name: Text, what: &str) -> Result<String, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { text(name, &format!("the name of a {what} in its plan"))? };
    if name.len() > MAX_NAME {
        return Err(format!(
            "its plan has a {what} whose name is {} bytes long, at most {MAX_NAME} are possible",
            name.len()
        ));
    }
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "its plan has a {what} called {name:?}: names have no spaces and are not empty"
        ));
    }
    Ok(name)
}

/// The name of something that checkpoints hold.
unsafe fn stored_name(name: Text, what: &str) -> Result<String, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(name, what)? };
    if name.split('.').any(str::is_empty) {
        return Err(format!(
            "its plan has a {what} called {name:?}: a part between dots is empty"
        ));
    }
    // Tools that unpack a checkpoint make files of its names.
    if name.contains(['/', '\\']) {
        return Err(format!(
            "its plan has a {what} called {name:?}: slashes are for paths, write dots"
        ));
    }
    Ok(name)
}

unsafe fn parameter(info: &ParameterInfo) -> Result<ParameterPlan, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { stored_name(info.name, "parameter")? };
    // A module's path writes the entry 0 of a sequence as `_0`, which published names do not.
    if let Some(part) = name
        .split('.')
        .find(|part| part.starts_with('_') && part[1..].starts_with(|c: char| c.is_ascii_digit()))
    {
        return Err(format!(
            "its plan has a parameter called {name:?}: write `{}` for `{part}`",
            &part[1..]
        ));
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

unsafe fn buffer(info: &BufferInfo) -> Result<BufferPlan, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { stored_name(info.name, "buffer")? };
    let shape = stored_shape(&info.shape, "buffer", &name)?;
    let dtype = DType::from_code(info.dtype).ok_or_else(|| {
        format!(
            "buffer `{name}` of its plan has element type {}, which does not exist",
            info.dtype
        )
    })?;
    let agreement = [Agreement::Mean, Agreement::Gathered, Agreement::Replicated]
        .into_iter()
        .find(|a| *a as u32 == info.agreement)
        .ok_or_else(|| {
            format!(
                "buffer `{name}` of its plan has agreement {}, which does not exist",
                info.agreement
            )
        })?;
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

unsafe fn setting(info: &SettingInfo) -> Result<Setting, String> {
    // SAFETY: the caller promises a valid text.
    let name = unsafe { checked_name(info.name, "setting")? };
    if !info.value.is_finite() {
        return Err(format!(
            "setting `{name}` of its plan is {}, which is not finite",
            info.value
        ));
    }
    Ok(Setting {
        name,
        value: info.value,
        meaning: SettingMeaning::from_code(info.meaning),
    })
}

fn stored_shape(shape: &Shape, what: &str, name: &str) -> Result<Vec<usize>, String> {
    let dims = dims(shape).map_err(|reason| format!("{what} `{name}` of its plan: {reason}"))?;
    if dims.is_empty() || dims.contains(&0) {
        return Err(format!(
            "{what} `{name}` of its plan has shape {dims:?}: it needs a rank of at least 1 and no extent 0"
        ));
    }
    Ok(dims)
}

/// Extents of a shape that crossed the boundary.
pub(crate) fn dims(shape: &Shape) -> Result<Vec<usize>, String> {
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
    let kind = [
        InitKind::Constant,
        InitKind::XavierUniform,
        InitKind::Normal,
        InitKind::Values,
        InitKind::Uniform,
    ]
    .into_iter()
    .find(|kind| *kind as u32 == code)
    .ok_or_else(|| format!("{what} `{name}` of its plan has init {code}, which does not exist"))?;
    let finite = || match value.is_finite() {
        true => Ok(value),
        false => Err(format!(
            "{what} `{name}` of its plan begins with {value}, which is not finite"
        )),
    };
    Ok(match kind {
        InitKind::Constant => Initial::Constant(finite()?),
        InitKind::Normal if value < 0.0 => {
            return Err(format!(
                "{what} `{name}` of its plan has the negative standard deviation {value}"
            ));
        }
        InitKind::Normal => Initial::Normal(finite()?),
        InitKind::Uniform if value < 0.0 => {
            return Err(format!("{what} `{name}` of its plan has the negative bound {value}"));
        }
        InitKind::Uniform => Initial::Uniform(finite()?),
        InitKind::XavierUniform if shape.len() < 2 => {
            return Err(format!(
                "{what} `{name}` of its plan has shape {shape:?}: Xavier needs a rank of at least 2"
            ));
        }
        InitKind::XavierUniform => Initial::XavierUniform,
        InitKind::Values => {
            let wanted: usize = shape.iter().product();
            if values.len != wanted as u64 {
                return Err(format!(
                    "{what} `{name}` of its plan has {} values for the {wanted} elements of {shape:?}",
                    values.len
                ));
            }
            // SAFETY: the caller promises a valid list.
            let values: Vec<f32> = unsafe { list(values, wanted, &format!("the values of {what} `{name}`"))? };
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
