//! Sums, means and extremes over dimensions.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::Shape;
use sextant_plugin_api::abi::{self, DType, MAX_RANK, Operation};

use super::spec::{inner, int_dtype, physical, reshaped};
use super::{Checked, Context, Request, Spec};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn reduce<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let (dims, keep) = dims(request, a)?;
    let operation = request.operation;
    match a.dtype {
        DType::Bool => return Err(Fault::Operand("masks are not reduced: cast a first".into())),
        DType::Int if operation == Operation::Mean => {
            return Err(Fault::Operand(
                "integers have no mean: cast a to a float type first".into(),
            ));
        }
        _ => {}
    }
    if operation != Operation::Sum
        && let Some(dim) = dims.iter().find(|dim| a.shape[**dim] == 0)
    {
        return Err(empty(*dim));
    }
    let kept: Vec<usize> = a
        .shape
        .iter()
        .enumerate()
        .filter(|(dim, _)| keep || !dims.contains(dim))
        .map(|(dim, extent)| if dims.contains(&dim) { 1 } else { *extent })
        .collect();
    let (shape, output) = (a.shape.clone(), a.with_shape(kept));
    let target = physical(&output.shape);
    let one: fn(DispatchTensor, usize) -> DispatchTensor = match (a.dtype, operation) {
        (DType::Int, Operation::Sum) => D::int_sum_dim,
        (DType::Int, Operation::Max) => D::int_max_dim,
        (DType::Int, _) => D::int_min_dim,
        (_, Operation::Sum) => D::float_sum_dim,
        (_, Operation::Mean) => D::float_mean_dim,
        (_, Operation::Max) => D::float_max_dim,
        _ => D::float_min_dim,
    };
    Checked::unary(output, move |mut a| {
        // Neighbouring dimensions are merged first, since a row-major tensor is reduced over both at once.
        let (shape, runs) = merged(&shape, &dims);
        a = reshaped(a, shape);
        for dim in runs {
            a = one(a, dim);
        }
        reshaped(a, target)
    })
}

/// The index of the smallest or the largest element of a dimension.
pub(super) fn index_of_extreme<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    let a = request.input(0);
    let dim = request.attributes.read::<abi::Dim>()?.dim as usize;
    a.needs_dim(dim)?;
    if a.dtype == DType::Bool {
        return Err(Fault::Operand("masks have no order: cast a first".into()));
    }
    let mut shape = a.shape.clone();
    let extent = shape.remove(dim);
    if extent == 0 {
        return Err(empty(dim));
    }
    let output = Spec {
        bounds: Some((0, extent as i64 - 1)),
        ..Spec::new(DType::Int, shape.clone())
    };
    let (largest, float) = (request.operation == Operation::Argmax, a.is_float());
    let int = int_dtype(&context.device);
    Checked::unary(output, move |a| {
        let a = inner(a);
        let index = match (float, largest) {
            (true, true) => D::float_argmax(a, dim, int),
            (true, false) => D::float_argmin(a, dim, int),
            (false, true) => D::int_argmax(a, dim),
            (false, false) => D::int_argmin(a, dim),
        };
        reshaped(index, physical(&shape))
    })
}

fn empty(dim: usize) -> Fault {
    Fault::Operand(format!("dimension {dim} is empty, so there is nothing to take"))
}

/// The shape with neighbouring reduced dimensions merged, and the dimensions of it that are reduced.
fn merged(shape: &[usize], dims: &[usize]) -> (Shape, Vec<usize>) {
    let (mut extents, mut runs): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
    for (dim, extent) in shape.iter().enumerate() {
        let reduced = dims.contains(&dim);
        if reduced && dim > 0 && dims.contains(&(dim - 1)) {
            *extents.last_mut().expect("the dimension before") *= extent;
            continue;
        }
        if reduced {
            runs.push(extents.len());
        }
        extents.push(*extent);
    }
    (physical(&extents), runs)
}

/// The dimensions that the attributes name, each once and in range.
fn dims(request: &Request<'_>, a: &Spec) -> Result<(Vec<usize>, bool), Fault> {
    let attributes: abi::Dims = request.attributes.read()?;
    let dims = listed(&attributes)?;
    for (i, dim) in dims.iter().enumerate() {
        a.needs_dim(*dim)?;
        if dims[..i].contains(dim) {
            return Err(Fault::Attribute(format!("dimension {dim} is named twice")));
        }
    }
    Ok((dims, attributes.keep != 0))
}

/// The dimensions as they are written.
pub(super) fn listed(attributes: &abi::Dims) -> Result<Vec<usize>, Fault> {
    let len = attributes.len as usize;
    if len > MAX_RANK {
        return Err(Fault::Attribute(format!(
            "{len} dimensions are named, there are {MAX_RANK} at most"
        )));
    }
    Ok(attributes.dims[..len].iter().map(|dim| *dim as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_merge_neighbours_only() {
        assert_eq!(merged(&[2, 3, 4], &[1, 2]), (Shape::from(vec![2, 12]), vec![1]));
        assert_eq!(merged(&[2, 3, 4], &[0, 2]), (Shape::from(vec![2, 3, 4]), vec![0, 2]));
        assert_eq!(merged(&[2, 3, 4], &[2, 0, 1]), (Shape::from(vec![24]), vec![0]));
        assert_eq!(merged(&[2, 3], &[]), (Shape::from(vec![2, 3]), vec![]));
        assert_eq!(merged(&[], &[]), (Shape::from(vec![1]), vec![]));
    }
}
