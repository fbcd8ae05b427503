//! The same elements in another arrangement.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, Slice};
use sextant_plugin_api::abi;

use super::reduction::listed;
use super::spec::{by_family, expanded, physical, reshaped, same_dtype};
use super::{Checked, Request};
use crate::fault::Fault;
use crate::plan::dims;

type D = Dispatch;

pub(super) fn reshape<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let shape = dims(&request.attributes.read::<abi::NewShape>()?.shape)?;
    let output = a.with_shape(shape);
    if output.elements() != a.elements() {
        return Err(Fault::Attribute(format!(
            "{} elements do not make {:?}, which has {}",
            a.elements(),
            output.shape,
            output.elements()
        )));
    }
    let target = physical(&output.shape);
    Checked::unary(output, move |a| reshaped(a, target))
}

pub(super) fn permute<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let axes = listed(&request.attributes.read::<abi::Dims>()?)?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if sorted != (0..a.rank()).collect::<Vec<_>>() {
        let rank = a.rank();
        return Err(Fault::Attribute(format!(
            "{axes:?} does not name each of the {rank} dimensions once"
        )));
    }
    let (spec, output) = (a.clone(), a.with_shape(axes.iter().map(|dim| a.shape[*dim]).collect()));
    Checked::unary(output, move |a| {
        if axes.iter().enumerate().all(|(i, axis)| i == *axis) {
            return a;
        }
        by_family!(
            spec,
            D::float_permute(a, &axes),
            D::int_permute(a, &axes),
            D::bool_permute(a, &axes)
        )
    })
}

pub(super) fn expand<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let shape = dims(&request.attributes.read::<abi::NewShape>()?.shape)?;
    let fits = a.shape.len() == shape.len() && a.shape.iter().zip(&shape).all(|(from, to)| from == to || *from == 1);
    if !fits {
        return Err(Fault::Attribute(format!(
            "it does not expand to {shape:?}: ranks must agree, and only extents of 1 are repeated"
        )));
    }
    let target = physical(&shape);
    Checked::unary(a.with_shape(shape), move |a| expanded(a, target))
}

pub(super) fn slice<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let abi::Slice {
        dim, start, end, step, ..
    } = request.attributes.read()?;
    let dim = dim as usize;
    a.needs_dim(dim)?;
    let extent = a.shape[dim] as u64;
    if start > end || end > extent || step == 0 {
        return Err(Fault::Attribute(format!(
            "elements {start} to {end} in steps of {step} do not lie within the extent {extent} of dimension {dim}"
        )));
    }
    let mut shape = a.shape.clone();
    shape[dim] = (end - start).div_ceil(step) as usize;
    let step = step.min(extent.max(1)) as isize;
    let mut slices = vec![Slice::full(); a.rank()];
    slices[dim] = Slice::new(start as isize, Some(end as isize), step);
    let spec = a.clone();
    Checked::unary(a.with_shape(shape), move |a| {
        by_family!(
            spec,
            D::float_slice(a, &slices),
            D::int_slice(a, &slices),
            D::bool_slice(a, &slices)
        )
    })
}

pub(super) fn concat<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    if request.inputs.is_empty() {
        return Err(Fault::Operand("there is nothing to join".into()));
    }
    let first = request.input(0);
    let dim = request.attributes.read::<abi::Dim>()?.dim as usize;
    first.needs_dim(dim)?;
    let mut shape = first.shape.clone();
    shape[dim] = 0;
    for index in 0..request.inputs.len() {
        let part = request.input(index);
        same_dtype(first, part)?;
        let agrees =
            part.rank() == first.rank() && (0..part.rank()).all(|d| d == dim || part.shape[d] == first.shape[d]);
        if !agrees {
            return Err(Fault::Operand(format!(
                "part {index} has shape {:?}, which agrees with {:?} not in every dimension but {dim}",
                part.shape, first.shape
            )));
        }
        shape[dim] += part.shape[dim];
    }
    let (spec, count) = (first.clone(), request.inputs.len());
    let mut checked = Checked::one(first.with_shape(shape), move |mut operands, _| {
        let mut parts: Vec<_> = (0..count).filter_map(|index| operands.optional(index)).collect();
        if parts.len() == 1 {
            return parts.remove(0);
        }
        by_family!(
            spec,
            D::float_cat(parts, dim),
            D::int_cat(parts, dim),
            D::bool_cat(parts, dim)
        )
    })?;
    checked.takes_empty = true;
    Ok(checked)
}
