//! Tensors from numbers.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchDevice, DispatchTensor};
use burn::tensor::TensorData;
use rand::Rng;
use rand_distr::StandardNormal;
use sextant_plugin_api::abi::{self, DType, Distribution};

use super::spec::{bool_dtype, float_dtype, int_dtype, physical};
use super::{Checked, Context, Request, Spec, constant};
use crate::fault::Fault;
use crate::plan::dims;
use sextant_data::Stream;

type D = Dispatch;

pub(super) fn full<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let attributes: abi::Full = request.attributes.read()?;
    let spec = spec(attributes.dtype, &attributes.shape)?;
    let value = Fault::finite("number", attributes.value)?;
    if spec.dtype == DType::Int && value.fract() != 0.0 {
        return Err(Fault::Attribute(format!("{value} is no integer")));
    }
    Checked::one(spec.clone(), move |_, context| constant(&spec, value, &context.device))
}

pub(super) fn upload<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let attributes: abi::Upload = request.attributes.read()?;
    let mut spec = spec(attributes.dtype, &attributes.shape)?;
    let (list, elements) = (request.attributes, spec.elements());
    // Before anything is read: the length is the plugin's word.
    let (found, shape) = (attributes.data.len as usize, physical(&spec.shape));
    if found != elements {
        return Err(Fault::Attribute(format!(
            "{found} numbers are given for the {elements} elements of {:?}",
            spec.shape
        )));
    }
    let data = match spec.dtype {
        DType::Int => {
            let values: Vec<i64> = list.list(attributes.data, elements, "the data")?;
            spec.bounds = values.iter().min().copied().zip(values.iter().max().copied());
            TensorData::new(values, shape)
        }
        DType::Bool => {
            let values: Vec<u8> = list.list(attributes.data, elements, "the data")?;
            TensorData::new(values.iter().map(|v| *v != 0).collect::<Vec<bool>>(), shape)
        }
        _ => TensorData::new(list.list::<f32>(attributes.data, elements, "the data")?, shape),
    };
    let dtype = spec.dtype;
    Checked::one(spec, move |_, context| from_data(data, dtype, &context.device))
}

/// Numbers on the device, outside autodiff.
pub(crate) fn from_data(data: TensorData, dtype: DType, device: &DispatchDevice) -> DispatchTensor {
    match dtype {
        DType::Int => D::int_from_data(data.convert_dtype(int_dtype(device).into()), device),
        DType::Bool => {
            let store = burn::tensor::DType::Bool(bool_dtype(device));
            D::bool_from_data(data.convert_dtype(store), device)
        }
        dtype => D::float_from_data(data.convert_dtype(float_dtype(dtype).into()), device),
    }
}

pub(super) fn random<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    let attributes: abi::Random = request.attributes.read()?;
    let (code, all) = (attributes.distribution, [Distribution::Normal, Distribution::Uniform]);
    let distribution = Fault::code("distribution", code, all.into_iter().find(|d| *d as u32 == code))?;
    let tag = request.attributes.text(attributes.tag, "the tag")?;
    let mut shape = dims(&attributes.shape)?;
    let elements: usize = shape.iter().product();
    shape.insert(0, context.ids.len());
    let (rank, most) = (shape.len(), abi::MAX_RANK);
    if rank > most {
        return Err(Fault::Shape(format!(
            "with the batch, the rank is {rank}, more than {most}"
        )));
    }
    let output = Spec::new(DType::F32, shape.clone());
    Checked::one(output, move |_, context| {
        let stream = Stream::new(context.seed, &format!("guidance/{}/{tag}", context.instance));
        let mut values: Vec<f32> = Vec::with_capacity(elements * context.ids.len());
        for id in &context.ids {
            let mut rng = stream.at(&[context.step, *id]);
            values.extend((0..elements).map(|_| match distribution {
                Distribution::Normal => rng.sample::<f32, _>(StandardNormal),
                Distribution::Uniform => rng.random::<f32>(),
            }));
        }
        from_data(TensorData::new(values, physical(&shape)), DType::F32, &context.device)
    })
}

fn spec(dtype: u32, shape: &abi::Shape) -> Result<Spec, Fault> {
    let dtype = Fault::code("element type", dtype, DType::from_code(dtype))?;
    Ok(Spec::new(dtype, dims(shape)?))
}
