//! Masks: comparisons, logic and choice.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{BoolDType, Dispatch, DispatchTensor};
use sextant_plugin_api::abi::{DType, Operation};

use super::spec::{bool_dtype, broadcast, by_family, expanded, physical, same_dtype};
use super::{Checked, Context, Request, Spec};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn compare<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    let (a, b) = (request.input(0), request.input(1));
    same_dtype(a, b)?;
    let shape = broadcast(&a.shape, &b.shape)?;
    let output = Spec::new(DType::Bool, shape.clone());
    let mask = bool_dtype(&context.device);
    type Compare = fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor;
    let (float, int): (Compare, Compare) = match request.operation {
        Operation::Equal => (D::float_equal, D::int_equal),
        Operation::Greater => (D::float_greater, D::int_greater),
        Operation::GreaterEqual => (D::float_greater_equal, D::int_greater_equal),
        Operation::Lower => (D::float_lower, D::int_lower),
        _ => (D::float_lower_equal, D::int_lower_equal),
    };
    let compare: Compare = match (a.dtype, request.operation) {
        (DType::Bool, Operation::Equal) => |a, b, _| D::bool_equal(a, b),
        (DType::Bool, _) => {
            return Err(Fault::Operand("masks have no order: only `equal` compares them".into()));
        }
        (DType::Int, _) => int,
        _ => float,
    };
    Checked::binary(output, move |a, b| {
        let shape = physical(&shape);
        compare(expanded(a, shape.clone()), expanded(b, shape), mask)
    })
}

pub(super) fn logic<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    if request.inputs.iter().flatten().any(|spec| spec.dtype != DType::Bool) {
        return Err(Fault::Operand("operands must be masks".into()));
    }
    let output = a.with_shape(a.shape.clone());
    if request.operation == Operation::Not {
        return Checked::unary(output, D::bool_not);
    }
    if a.shape != request.input(1).shape {
        return Err(Fault::Operand("shapes differ: expand one of them".into()));
    }
    match request.operation {
        Operation::And => Checked::binary(output, D::bool_and),
        _ => Checked::binary(output, D::bool_or),
    }
}

pub(super) fn choose<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (mask, a, b) = (request.input(0), request.input(1), request.input(2));
    if mask.dtype != DType::Bool {
        return Err(Fault::Operand("mask must be a mask: compare it with something".into()));
    }
    same_dtype(a, b)?;
    if mask.shape != a.shape || a.shape != b.shape {
        return Err(Fault::Operand("shapes differ: expand to one shape".into()));
    }
    let (spec, output) = (a.clone(), a.with_shape(a.shape.clone()));
    Checked::one(output, move |mut operands, _| {
        let (mask, a, b) = (operands.take(0), operands.take(1), operands.take(2));
        by_family!(
            spec,
            D::float_mask_where(b, mask, a),
            D::int_mask_where(b, mask, a),
            D::bool_mask_where(b, mask, a)
        )
    })
}
