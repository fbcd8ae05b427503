//! Geometry in, plan out.

use std::any::Any;

use super::memory;
use crate::abi::{self, Array, DType, InitKind, Network, PathKind, PredictionKind, Shape, Text};
use crate::geometry::{FieldGeometry, NetworkGeometry};
use crate::plan::Init;
use crate::tensor::sized;
use crate::{Error, Geometry, Plan};

/// # Safety
/// `from` must follow the contract of [`abi::Geometry`].
pub(super) unsafe fn geometry(from: *const abi::Geometry) -> Result<Geometry, Error> {
    // SAFETY: the caller's promise, for the struct and all that it points to.
    let (raw, networks, fields) = unsafe {
        let raw = memory::read(from, "geometry")?;
        let networks: Vec<abi::NetworkInfo> = memory::elements(&raw.networks, "networks")?;
        let fields: Vec<abi::FieldInfo> = memory::elements(&raw.fields, "fields")?;
        (raw, networks, fields)
    };
    let network = |which: Network| {
        let info = networks.iter().find(|info| info.network == which as u32)?;
        Some(NetworkGeometry {
            depth: info.depth,
            width: info.width as usize,
            heads: info.heads as usize,
            prefix_tokens: info.prefix_tokens as usize,
            grid: [info.grid_rows as usize, info.grid_cols as usize],
        })
    };
    let mut known = Vec::new();
    for field in &fields {
        // A field of a later version's type is none that this version could ask for.
        if let Some(dtype) = DType::from_code(field.dtype) {
            known.push(FieldGeometry {
                // SAFETY: the caller's promise.
                name: unsafe { memory::string(&field.name, "a field's name") }?,
                dtype,
                shape: field.shape.extents(),
            });
        }
    }
    Ok(Geometry {
        batch: raw.batch as usize,
        channels: raw.channels as usize,
        height: raw.height as usize,
        width: raw.width as usize,
        patch: raw.patch as usize,
        classes: raw.classes as usize,
        prediction: PredictionKind::from_code(raw.prediction),
        path: PathKind::from_code(raw.path),
        student: network(Network::Student).ok_or_else(|| Error::new("the host has no student"))?,
        teacher: network(Network::Teacher),
        ema: network(Network::Ema),
        fields: known,
    })
}

/// A plan in the contract's layout. It points into the [`Plan`] that it was made of, which must live as long.
pub(super) struct Declaration {
    pub raw: abi::Plan,
    /// Lists that `raw` points to.
    _lists: Vec<Box<dyn Any>>,
}

impl Declaration {
    pub(super) fn of(plan: &Plan) -> Result<Self, Error> {
        plan.check()?;
        let mut lists = Vec::new();
        let names = |names: &[String]| names.iter().map(|name| Text::of(name)).collect::<Vec<_>>();
        let taps = plan.taps.iter().map(|tap| abi::Tap {
            network: tap.network as u32,
            kind: tap.kind as u32,
            depth: tap.depth,
            reserved: 0,
        });
        let parameters = plan.parameters.iter().map(|parameter| {
            let (init, value, values) = initial(&parameter.init);
            abi::ParameterInfo {
                name: Text::of(&parameter.name),
                shape: checked(&parameter.shape),
                init,
                trainable: u8::from(parameter.trainable),
                reserved: [0; 3],
                value,
                values,
            }
        });
        let buffers = plan.buffers.iter().map(|buffer| {
            let (init, value, values) = initial(&buffer.init);
            abi::BufferInfo {
                name: Text::of(&buffer.name),
                dtype: buffer.dtype as u32,
                agreement: buffer.agreement as u32,
                shape: checked(&buffer.shape),
                rows: u8::from(buffer.rows),
                reserved: [0; 3],
                init,
                value,
                values,
            }
        });
        let settings = plan.settings.iter().map(|setting| abi::SettingInfo {
            name: Text::of(&setting.name),
            meaning: setting.meaning as u32,
            reserved: 0,
            value: setting.value,
        });
        let raw = sized!(Plan {
            required_minor: plan.required_minor,
            batch_coupled: u8::from(plan.batch_coupled),
            has_t_range: u8::from(plan.t_range.is_some()),
            reserved: [0; 2],
            t_min: plan.t_range.map_or(0.0, |range| range.min()),
            t_max: plan.t_range.map_or(0.0, |range| range.max()),
            taps: kept(taps.collect(), &mut lists),
            fields: kept(names(&plan.fields), &mut lists),
            parameters: kept(parameters.collect(), &mut lists),
            buffers: kept(buffers.collect(), &mut lists),
            metrics: kept(names(&plan.metrics), &mut lists),
            settings: kept(settings.collect(), &mut lists),
        });
        Ok(Self { raw, _lists: lists })
    }
}

/// A list that lives as long as `lists`, in whichever of them it lies.
fn kept<T: 'static>(list: Vec<T>, lists: &mut Vec<Box<dyn Any>>) -> abi::Array {
    let array = Array::of(&list);
    lists.push(Box::new(list));
    array
}

/// A shape whose rank `Plan::check` has seen.
fn checked(shape: &[usize]) -> Shape {
    Shape::of(shape).unwrap_or_default()
}

fn initial(init: &Init) -> (u32, f64, abi::Array) {
    let (kind, value, values): (_, _, &[f32]) = match init {
        Init::Constant(value) => (InitKind::Constant, *value, &[]),
        Init::XavierUniform => (InitKind::XavierUniform, 0.0, &[]),
        Init::Uniform(bound) => (InitKind::Uniform, *bound, &[]),
        Init::Normal(deviation) => (InitKind::Normal, *deviation, &[]),
        Init::Values(values) => (InitKind::Values, 0.0, values),
    };
    (kind as u32, value, Array::of(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Agreement, Buffer, SettingMeaning, TimeRange};

    #[test]
    fn a_host_before_1_2_says_nothing_of_the_diffusion() {
        let student = abi::NetworkInfo {
            network: 0,
            depth: 4,
            width: 8,
            heads: 2,
            prefix_tokens: 0,
            grid_rows: 2,
            grid_cols: 2,
        };
        let networks = [student];
        let mut raw = sized!(Geometry {
            batch: 1,
            channels: 3,
            height: 4,
            width: 4,
            patch: 2,
            classes: 5,
            networks: Array::of(&networks),
            fields: Array::of::<abi::FieldInfo>(&[]),
            prediction: PredictionKind::Data as u32,
            path: PathKind::Cosine as u32,
        });
        // SAFETY: the struct has the bytes that it states, and its lists are alive.
        let read = |raw: &abi::Geometry| unsafe { geometry(raw) }.map(|read| (read.prediction, read.path));
        assert_eq!(read(&raw), Ok((Some(PredictionKind::Data), Some(PathKind::Cosine))));
        // Of a later one that this crate does not know.
        raw.path = 77;
        assert_eq!(read(&raw), Ok((Some(PredictionKind::Data), None)));
        raw.size = std::mem::offset_of!(abi::Geometry, prediction) as u64;
        assert_eq!(read(&raw), Ok((None, None)));
    }

    #[test]
    fn a_plan_reads_back_as_it_was_declared() {
        let plan = Plan::new()
            .tap(2)
            .teacher(3)
            .field("features")
            .parameter("0.weight", [48, 32], Init::XavierUniform)
            .frozen("table", [2], Init::Values(vec![1.0, 2.0]))
            .buffer(
                Buffer::new("bank", [8, 4], Init::Normal(0.5))
                    .agreement(Agreement::Gathered)
                    .rows(),
            )
            .metric("cosine")
            .setting("scale", 30.0, SettingMeaning::FeatureGuidance)
            .t_range(TimeRange::new(0.4, 0.7).unwrap())
            .batch_coupled()
            .requires_minor(0);
        let declaration = Declaration::of(&plan).unwrap();
        let raw = &declaration.raw;
        assert_eq!((raw.has_t_range, raw.batch_coupled, raw.required_minor), (1, 1, 0));
        assert_eq!((raw.t_min, raw.t_max), (0.4, 0.7));
        assert_eq!(raw.taps.len, 2);
        // SAFETY: the arrays belong to `declaration`, the texts to `plan`; both are alive.
        unsafe {
            let taps = raw.taps.ptr.cast::<abi::Tap>();
            assert_eq!(((*taps).network, (*taps).depth), (0, 2));
            assert_eq!(((*taps.add(1)).network, (*taps.add(1)).depth), (1, 3));
            let parameters = raw.parameters.ptr.cast::<abi::ParameterInfo>();
            let first = &*parameters;
            assert_eq!(memory::string(&first.name, "").unwrap(), "0.weight");
            assert_eq!(first.shape.extents(), [48, 32]);
            assert_eq!((first.init, first.trainable), (InitKind::XavierUniform as u32, 1));
            let second = &*parameters.add(1);
            assert_eq!(second.trainable, 0);
            assert_eq!(memory::elements::<f32>(&second.values, "").unwrap(), [1.0, 2.0]);
            let buffer = &*raw.buffers.ptr.cast::<abi::BufferInfo>();
            assert_eq!((buffer.rows, buffer.agreement, buffer.value), (1, 1, 0.5));
            let metric: Vec<abi::Text> = memory::elements(&raw.metrics, "").unwrap();
            assert_eq!(memory::string(&metric[0], "").unwrap(), "cosine");
            let setting = &*raw.settings.ptr.cast::<abi::SettingInfo>();
            assert_eq!(memory::string(&setting.name, "").unwrap(), "scale");
            assert_eq!((setting.meaning, setting.value), (1, 30.0));
        }
    }
}
