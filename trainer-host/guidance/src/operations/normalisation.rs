//! Layer norm and softmax.

use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Dispatch, Scalar};
use sextant_plugin_api::abi::{self, Operation};

use super::arithmetic::along_last;
use super::linear_algebra::needs_vector;
use super::spec::same_dtype;
use super::{Checked, Request};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn layer_norm<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let x = request.input(0);
    x.needs_float("x")?;
    let epsilon = request.attributes.read::<abi::Scalar>()?.value;
    if !epsilon.is_finite() || epsilon < 0.0 {
        return Err(Fault::Attribute(format!("eps {epsilon} must be finite and at least 0")));
    }
    if x.rank() == 0 || x.shape[x.rank() - 1] == 0 {
        return Err(Fault::Operand("x must have a last dimension that is not empty".into()));
    }
    let (rank, last) = (x.rank(), x.rank() - 1);
    for (name, operand) in [("weight", request.optional(1)), ("bias", request.optional(2))] {
        if let Some(operand) = operand {
            same_dtype(x, operand)?;
            needs_vector(operand, name, x.shape[last])?;
        }
    }
    Checked::one(x.with_shape(x.shape.clone()), move |mut operands, _| {
        let (x, weight, bias) = (operands.take(0), operands.optional(1), operands.optional(2));
        let mean = D::float_mean_dim(x.clone(), last);
        let centred = D::float_sub(x, mean);
        let variance = D::float_mean_dim(D::float_mul(centred.clone(), centred.clone()), last);
        let deviation = D::float_sqrt(D::float_add_scalar(variance, Scalar::Float(epsilon)));
        let mut y = D::float_mul(centred, D::float_recip(deviation));
        if let Some(weight) = weight {
            y = along_last(y, weight, rank, D::float_mul);
        }
        match bias {
            Some(bias) => along_last(y, bias, rank, D::float_add),
            None => y,
        }
    })
}

pub(super) fn softmax<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    a.needs_float("a")?;
    let dim = request.attributes.read::<abi::Dim>()?.dim as usize;
    a.needs_dim(dim)?;
    let output = a.with_shape(a.shape.clone());
    match request.operation {
        Operation::Softmax => Checked::unary(output, move |a| D::softmax(a, dim)),
        _ => Checked::unary(output, move |a| D::log_softmax(a, dim)),
    }
}
