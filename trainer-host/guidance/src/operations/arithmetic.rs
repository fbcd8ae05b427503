//! Elementwise arithmetic.

use burn::backend::ops::{ActivationOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Scalar, TensorMetadata};
use burn::tensor::Tensor;
use sextant_model::ops;
use sextant_plugin_api::abi::{self, DType, Operation};

use super::spec::{broadcast, physical, reshaped, same_dtype};
use super::{Checked, Request, Spec};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn binary<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (a, b) = (request.input(0), request.input(1));
    same_dtype(a, b)?;
    let output = a.with_shape(broadcast(&a.shape, &b.shape)?);
    let operation = request.operation;
    match a.dtype {
        DType::Bool => Err(Fault::Operand(
            "masks have no arithmetic: cast them, or use `and`, `or`, `not`".into(),
        )),
        DType::Int => match operation {
            Operation::Add => Checked::binary(output, D::int_add),
            Operation::Sub => Checked::binary(output, D::int_sub),
            Operation::Mul => Checked::binary(output, D::int_mul),
            _ => Err(Fault::Operand(
                "integers are not divided: cast them to a float type first".into(),
            )),
        },
        _ => Checked::binary(
            output,
            match operation {
                Operation::Add => D::float_add,
                Operation::Sub => D::float_sub,
                Operation::Mul => D::float_mul,
                _ => D::float_div,
            },
        ),
    }
}

pub(super) fn scalar<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let value = Fault::finite("number", request.attributes.read::<abi::Scalar>()?.value)?;
    let operation = request.operation;
    let output = a.with_shape(a.shape.clone());
    if a.is_float() {
        let value = Scalar::Float(value);
        return Checked::unary(output, move |a| match operation {
            Operation::AddScalar => D::float_add_scalar(a, value),
            Operation::MulScalar => D::float_mul_scalar(a, value),
            _ => D::float_powf_scalar(a, value),
        });
    }
    if a.dtype == DType::Bool || operation == Operation::PowScalar {
        a.needs_float("a")?;
    }
    if value.fract() != 0.0 || value.abs() >= 2f64.powi(53) {
        return Err(Fault::Attribute(format!(
            "{value} is no integer: cast a to a float type first"
        )));
    }
    let value = Scalar::Int(value as i64);
    Checked::unary(output, move |a| match operation {
        Operation::AddScalar => D::int_add_scalar(a, value),
        _ => D::int_mul_scalar(a, value),
    })
}

pub(super) fn clamp<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    a.needs_float("a")?;
    let abi::Range { min, max, .. } = request.attributes.read()?;
    if min.is_nan() || max.is_nan() || min > max {
        return Err(Fault::Attribute(format!("the interval [{min}, {max}] is empty")));
    }
    Checked::unary(a.with_shape(a.shape.clone()), move |a| {
        match (min.is_finite(), max.is_finite()) {
            (true, true) => D::float_clamp(a, Scalar::Float(min), Scalar::Float(max)),
            (true, false) => D::float_clamp_min(a, Scalar::Float(min)),
            (false, true) => D::float_clamp_max(a, Scalar::Float(max)),
            (false, false) => a,
        }
    })
}

pub(super) fn unary<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let output: Spec = a.with_shape(a.shape.clone());
    let operation = request.operation;
    if a.dtype == DType::Int && matches!(operation, Operation::Neg | Operation::Abs) {
        return Checked::unary(output, move |a| match operation {
            Operation::Neg => D::int_neg(a),
            _ => D::int_abs(a),
        });
    }
    a.needs_float("a")?;
    let shape = physical(&output.shape);
    let flat = physical(&[output.elements()]);
    Checked::unary(output, move |a| match operation {
        Operation::Neg => D::float_neg(a),
        Operation::Exp => D::float_exp(a),
        Operation::Log => D::float_log(a),
        Operation::Sqrt => D::float_sqrt(a),
        Operation::Abs => D::float_abs(a),
        Operation::Sin => D::float_sin(a),
        Operation::Cos => D::float_cos(a),
        Operation::Tanh => D::float_tanh(a),
        Operation::Sigmoid => D::sigmoid(a),
        Operation::Relu => D::relu(a),
        Operation::Silu => {
            let activated = ops::silu(Tensor::<1>::from_dispatch(reshaped(a, flat)));
            reshaped(activated.into_dispatch(), shape)
        }
        Operation::Gelu => D::gelu(a),
        Operation::Floor => D::float_floor(a),
        _ => D::float_erf(a),
    })
}

/// `a + b`, where b is a vector that meets a's last dimension.
pub(super) fn along_last(
    a: DispatchTensor,
    b: DispatchTensor,
    rank: usize,
    operation: fn(DispatchTensor, DispatchTensor) -> DispatchTensor,
) -> DispatchTensor {
    let mut shape = vec![1; rank.max(1)];
    *shape.last_mut().expect("at least one") = b.shape()[0];
    operation(a, reshaped(b, shape.into()))
}
