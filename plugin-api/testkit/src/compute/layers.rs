//! Products, normalisations and attention.

use sextant_plugin_api::Error;
use sextant_plugin_api::abi::Operation as O;

use super::{Operands, broadcast, ensure, same_dtype};
use crate::Value;

pub(super) fn matmul(a: &Value, b: &Value) -> Result<Value, Error> {
    same_dtype(a, b)?;
    let rank = a.shape.len();
    if rank < 2 || b.shape.len() != rank || a.shape[rank - 1] != b.shape[rank - 2] {
        return Err(format!("{:?} and {:?} have no matrix product", a.shape, b.shape).into());
    }
    let mut shape = broadcast(&a.shape[..rank - 2], &b.shape[..rank - 2])?;
    shape.extend([a.shape[rank - 2], b.shape[rank - 1]]);
    let (mut left, mut right) = (vec![0; rank], vec![0; rank]);
    let product = Value::from_fn(shape, |index| {
        left.copy_from_slice(index);
        right.copy_from_slice(index);
        (0..a.shape[rank - 1])
            .map(|k| {
                left[rank - 1] = k;
                right[rank - 2] = k;
                a.at(&left) * b.at(&right)
            })
            .sum()
    });
    Ok(product.of(a.dtype))
}

pub(super) fn linear(operands: &Operands<'_>) -> Result<Value, Error> {
    let (x, weight, bias) = (operands.float(0)?, operands.float(1)?, operands.optional(2));
    same_dtype(x, weight)?;
    let [outputs, inputs] = weight.shape[..] else {
        return Err(format!("the weight must be [out, in], it is {:?}", weight.shape).into());
    };
    if x.shape.last() != Some(&inputs) || inputs == 0 {
        return Err(format!("x is {:?}, the weight {:?}", x.shape, weight.shape).into());
    }
    vector(x, bias, "bias", outputs)?;
    let mut shape = x.shape.clone();
    *shape.last_mut().expect("x has the weight's inputs") = outputs;
    let mut data = Vec::with_capacity(shape.iter().product());
    for row in x.data.chunks(inputs) {
        for (out, column) in weight.data.chunks(inputs).enumerate() {
            let dot: f64 = row.iter().zip(column).map(|(a, b)| a * b).sum();
            data.push(dot + bias.map_or(0.0, |bias| bias.data[out]));
        }
    }
    Ok(Value::new(shape, data).of(x.dtype))
}

/// An optional operand that must be a vector of x's type.
pub(super) fn vector(x: &Value, operand: Option<&Value>, name: &str, extent: usize) -> Result<(), Error> {
    let Some(operand) = operand else { return Ok(()) };
    same_dtype(x, operand)?;
    let shape = &operand.shape;
    ensure(*shape == [extent], || {
        format!("{name} must have shape [{extent}], it has {shape:?}")
    })
}

pub(super) fn attention(operands: &Operands<'_>, scale: f64) -> Result<Value, Error> {
    let (q, k, v) = (operands.float(0)?, operands.float(1)?, operands.float(2)?);
    if [q, k, v].iter().any(|value| value.shape.len() != 4) {
        return Err("q, k and v must be [B, heads, T, width]".into());
    }
    let logits = matmul(q, &super::shaping::permute(k, &[0, 1, 3, 2])?)?.map(|v| v * scale);
    matmul(&along(&logits, 3, false), v)
}

pub(super) fn layer_norm(operands: &Operands<'_>, eps: f64) -> Result<Value, Error> {
    let x = operands.float(0)?;
    let width = x.shape.last().copied().unwrap_or(0);
    if width == 0 {
        return Err("x must have a last dimension that is not empty".into());
    }
    let (weight, bias) = (operands.optional(1), operands.optional(2));
    vector(x, weight, "weight", width)?;
    vector(x, bias, "bias", width)?;
    let mut result = x.clone();
    for row in result.data.chunks_mut(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
        for (i, v) in row.iter_mut().enumerate() {
            *v = (*v - mean) / (variance + eps).sqrt() * weight.map_or(1.0, |w| w.data[i])
                + bias.map_or(0.0, |b| b.data[i]);
        }
    }
    Ok(result)
}

pub(super) fn softmax(operands: &Operands<'_>, dim: usize) -> Result<Value, Error> {
    let a = operands.float(0)?;
    super::shaping::needs_dim(a, dim)?;
    Ok(along(a, dim, operands.operation == O::LogSoftmax))
}

/// (Log-)softmax along a dimension that exists.
fn along(a: &Value, dim: usize, log: bool) -> Value {
    let (extent, inner) = (a.shape[dim], a.shape[dim + 1..].iter().product::<usize>());
    let mut result = a.clone();
    for start in (0..a.data.len()).filter(|place| place / inner.max(1) % extent == 0) {
        let places = || (0..extent).map(|i| start + i * inner);
        let max = places().map(|place| a.data[place]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = places().map(|place| (a.data[place] - max).exp()).sum();
        for place in places() {
            let logarithm = a.data[place] - max - sum.ln();
            result.data[place] = if log {
                logarithm
            } else {
                (a.data[place] - max).exp() / sum
            };
        }
    }
    result
}
