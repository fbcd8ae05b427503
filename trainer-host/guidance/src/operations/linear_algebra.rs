//! Products of matrices.

use burn::backend::ops::AttentionModuleOptions;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::tensor::{FloatDType, Tensor};
use sextant_model::ops;
use sextant_model::precision::dtype;
use sextant_plugin_api::abi;

use super::spec::{broadcast, expanded, physical, reshaped, same_dtype};
use super::{Checked, Request, Spec};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn matmul<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (a, b) = (request.input(0), request.input(1));
    a.needs_float("a")?;
    same_dtype(a, b)?;
    if a.rank() < 2 || a.rank() != b.rank() {
        return Err(Fault::Operand(
            "a and b must have the same number of dimensions, at least 2".into(),
        ));
    }
    let outer = a.rank() - 2;
    let (m, k, n) = (a.shape[outer], a.shape[outer + 1], b.shape[outer + 1]);
    if b.shape[outer] != k {
        let rows = b.shape[outer];
        return Err(Fault::Operand(format!(
            "a has {k} columns, b has {rows} rows: they must agree"
        )));
    }
    let batch = broadcast(&a.shape[..outer], &b.shape[..outer])?;
    let with = |tail: [usize; 2]| [&batch[..], &tail].concat();
    let output = a.with_shape(with([m, n]));
    let target = physical(&output.shape);
    let shared = outer > 0 && b.shape[..outer].iter().all(|extent| *extent == 1);
    let rows: usize = a.shape[..outer + 1].iter().product();
    let (a_shape, b_shape) = (physical(&with([m, k])), physical(&with([k, n])));
    Checked::binary(output, move |a, b| {
        if shared {
            // One matrix for the whole batch: one large product instead of many small ones.
            let product = D::float_matmul(reshaped(a, vec![rows, k].into()), reshaped(b, vec![k, n].into()));
            return reshaped(product, target);
        }
        D::float_matmul(expanded(a, a_shape), expanded(b, b_shape))
    })
}

pub(super) fn linear<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (x, weight) = (request.input(0), request.input(1));
    x.needs_float("x")?;
    same_dtype(x, weight)?;
    weight.needs_rank("weight", 2)?;
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    if x.rank() == 0 || x.shape[x.rank() - 1] != inputs {
        return Err(Fault::Operand(format!(
            "the last extent of x must be {inputs}, the second of weight"
        )));
    }
    if inputs == 0 {
        return Err(Fault::Operand("weight has no columns".into()));
    }
    if let Some(bias) = request.optional(2) {
        same_dtype(x, bias)?;
        needs_vector(bias, "bias", outputs)?;
    }
    let rows = x.shape[..x.rank() - 1].iter().product::<usize>();
    let mut shape = x.shape.clone();
    *shape.last_mut().expect("rank at least 1") = outputs;
    let output = x.with_shape(shape);
    let target = physical(&output.shape);
    Checked::one(output, move |mut operands, context| {
        let (x, weight, bias) = (operands.take(0), operands.take(1), operands.optional(2));
        // As the student's layers, and as PyTorch's autocast: operands are rounded, and what a source sees of it is f32 again.
        let own = FloatDType::from(x.dtype());
        let within = if own == FloatDType::F32 {
            dtype(context.precision)
        } else {
            own
        };
        let cast = |tensor: DispatchTensor, to| match FloatDType::from(tensor.dtype()) == to {
            true => tensor,
            false => D::float_cast(tensor, to),
        };
        // Flat, since a product that broadcasts the weight over the batch computes one weight gradient per sample.
        let x = cast(reshaped(x, vec![rows, inputs].into()), within);
        let weight = cast(weight, within);
        let y = match bias.map(|bias| cast(bias, within)) {
            Some(bias) => {
                let (x, weight) = (Tensor::from_dispatch(x), Tensor::from_dispatch(weight));
                ops::linear(x, weight, Tensor::from_dispatch(bias)).into_dispatch()
            }
            None => D::linear(x, D::float_swap_dims(weight, 0, 1), None),
        };
        reshaped(cast(y, own), target)
    })
}

pub(super) fn attention<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (q, k, v) = (request.input(0), request.input(1), request.input(2));
    let scale = Fault::finite("scale", request.attributes.read::<abi::Scalar>()?.value)?;
    for (name, operand) in [("q", q), ("k", k), ("v", v)] {
        operand.needs_float(name)?;
        operand.needs_rank(name, 4)?;
        same_dtype(q, operand)?;
        if operand.shape[..2] != q.shape[..2] {
            return Err(Fault::Operand(format!("{name} must have q's batch and heads")));
        }
    }
    if k.shape[3] != q.shape[3] || k.shape[2] != v.shape[2] {
        return Err(Fault::Operand("k must have q's width and v's number of tokens".into()));
    }
    if k.shape[2] == 0 || q.shape[3] == 0 {
        return Err(Fault::Operand("there are no keys to attend to".into()));
    }
    let output = q.with_shape(vec![q.shape[0], q.shape[1], q.shape[2], v.shape[3]]);
    let options = AttentionModuleOptions {
        scale: Some(scale),
        softcap: None,
        is_causal: false,
    };
    Checked::one(output, move |mut operands, _| {
        let [q, k, v]: [DispatchTensor; 3] = std::array::from_fn(|index| operands.take(index));
        D::attention(q, k, v, None, None, options)
    })
}

/// An error unless it is a vector of `extent` elements.
pub(super) fn needs_vector(spec: &Spec, name: &str, extent: usize) -> Result<(), Fault> {
    let fault = || Fault::Operand(format!("{name} must have shape [{extent}]"));
    (spec.shape == [extent]).then_some(()).ok_or_else(fault)
}
