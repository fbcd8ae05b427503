//! Other element types, out of the graph, and out of the device.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use sextant_plugin_api::abi::{self, DType};

use super::spec::{bool_dtype, float_dtype, inner, int_dtype, reshaped};
use super::{Checked, Context, Request};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn cast<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let code = request.attributes.read::<abi::Cast>()?.dtype;
    let to = Fault::code("element type", code, DType::from_code(code))?;
    let from = a.dtype;
    let (int, mask) = (int_dtype(&context.device), bool_dtype(&context.device));
    let mut output = a.with_shape(a.shape.clone());
    output.dtype = to;
    Checked::unary(output, move |a| match (from, to) {
        (from, to) if from == to => a,
        (DType::Int, DType::Bool) => D::int_not_equal_elem(a, Scalar::Int(0), mask),
        (DType::Int, to) => D::int_into_float(a, float_dtype(to)),
        (DType::Bool, DType::Int) => D::bool_into_int(a, int),
        (DType::Bool, to) => D::bool_into_float(a, float_dtype(to)),
        (_, DType::Int) => D::float_into_int(a, int),
        (_, DType::Bool) => D::float_not_equal_elem(a, Scalar::Float(0.0), mask),
        (_, to) => D::float_cast(a, float_dtype(to)),
    })
}

pub(super) fn detach<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    Checked::unary(request.input(0).clone(), inner)
}

pub(super) fn download<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0).clone();
    let attributes = request.attributes;
    let abi::Download { data, bytes, .. } = attributes.read()?;
    let needed = a.elements() * element_bytes(a.dtype);
    if bytes != needed as u64 {
        return Err(Fault::Memory(format!(
            "the memory given is {bytes} bytes long, the tensor needs {needed}"
        )));
    }
    Ok(Checked {
        outputs: vec![],
        takes_empty: true,
        run: Box::new(move |mut operands, _| {
            let Some(tensor) = operands.optional(0) else {
                return Ok(vec![]);
            };
            let read = host_bytes(tensor, a.dtype, a.elements())?;
            attributes.write(data, bytes, &read)?;
            Ok(vec![])
        }),
    })
}

/// Bytes of an element outside a device: of an i64, a truth, or an f32.
pub(crate) fn element_bytes(dtype: DType) -> usize {
    match dtype {
        DType::Int => size_of::<i64>(),
        DType::Bool => 1,
        _ => size_of::<f32>(),
    }
}

/// A tensor's elements on the CPU: i64, truth values of a byte, or f32.
pub(crate) fn host_bytes(tensor: DispatchTensor, dtype: DType, elements: usize) -> Result<Vec<u8>, Fault> {
    let data = data(tensor, dtype, elements)?;
    Ok(match dtype {
        DType::Int => data.iter::<i64>().flat_map(i64::to_ne_bytes).collect(),
        DType::Bool => data.iter::<bool>().map(u8::from).collect(),
        _ => data.iter::<f32>().flat_map(f32::to_ne_bytes).collect(),
    })
}

/// A tensor's elements on the CPU, in one dimension.
pub(crate) fn data(tensor: DispatchTensor, dtype: DType, elements: usize) -> Result<TensorData, Fault> {
    let flat = reshaped(inner(tensor), vec![elements].into());
    match dtype {
        DType::Int => Tensor::<1, Int>::from_dispatch(flat).try_into_data(),
        DType::Bool => Tensor::<1, Bool>::from_dispatch(flat).try_into_data(),
        _ => Tensor::<1>::from_dispatch(flat).try_into_data(),
    }
    .map_err(|error| Fault::Failed {
        who: "device",
        words: format!("{error:?}"),
    })
}
