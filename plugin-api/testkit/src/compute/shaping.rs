//! Reductions, shapes and rows.

use sextant_plugin_api::abi::{self, Operation as O};
use sextant_plugin_api::{DType, Error};

use super::{Operands, ensure, same_dtype};
use crate::Value;

pub(super) fn needs_dim(a: &Value, dim: usize) -> Result<(), Error> {
    let shape = &a.shape;
    ensure(dim < shape.len(), || {
        format!("dimension {dim} does not exist in {shape:?} (they count from 0)")
    })
}

pub(super) fn reduce(operands: &Operands<'_>, dims: &[usize], keep: bool) -> Result<Value, Error> {
    let (a, operation) = (operands.get(0)?, operands.operation);
    if a.dtype == DType::Bool || (a.dtype == DType::Int && operation == O::Mean) {
        return Err(format!("{:?} is not reduced so: cast it first", a.dtype).into());
    }
    for (i, dim) in dims.iter().enumerate() {
        needs_dim(a, *dim)?;
        if dims[..i].contains(dim) {
            return Err(format!("dimension {dim} is named twice").into());
        }
        if a.shape[*dim] == 0 && operation != O::Sum {
            return Err(format!("dimension {dim} is empty, so there is nothing to take").into());
        }
    }
    let reduced = |dim: &usize| dims.contains(dim);
    let kept: Vec<usize> = (0..a.shape.len())
        .map(|dim| if reduced(&dim) { 1 } else { a.shape[dim] })
        .collect();
    let begin = match operation {
        O::Max => f64::NEG_INFINITY,
        O::Min => f64::INFINITY,
        _ => 0.0,
    };
    let mut result = Value::full(&kept, begin).of(a.dtype);
    Value::from_fn(&a.shape, |index| {
        let place = index.iter().zip(&kept);
        let place = place.fold(0, |p, (i, extent)| p * extent + if *extent == 1 { 0 } else { *i });
        let (old, new) = (result.data[place], a.at(index));
        result.data[place] = match operation {
            O::Max if new.is_nan() || new > old => new,
            O::Min if new.is_nan() || new < old => new,
            O::Max | O::Min => old,
            _ => old + new,
        };
        0.0
    });
    if operation == O::Mean {
        let count: usize = dims.iter().map(|dim| a.shape[*dim]).product();
        result = result.map(|sum| sum / count as f64);
    }
    if !keep {
        result.shape = (0..a.shape.len()).filter(|d| !reduced(d)).map(|d| a.shape[d]).collect();
    }
    Ok(result)
}

/// Index of the smallest or the largest element of a dimension; of equal ones the first.
pub(super) fn index_of_extreme(operands: &Operands<'_>, dim: usize) -> Result<Value, Error> {
    let a = operands.get(0)?;
    if a.dtype == DType::Bool {
        return Err("masks have no order: cast a first".into());
    }
    needs_dim(a, dim)?;
    if a.shape[dim] == 0 {
        return Err(format!("dimension {dim} is empty, so there is nothing to take").into());
    }
    let mut shape = a.shape.clone();
    shape.remove(dim);
    let largest = operands.operation == O::Argmax;
    let index = Value::from_fn(shape, |index| {
        let mut from = index.to_vec();
        from.insert(dim, 0);
        let mut best = (0, a.at(&from));
        for place in 1..a.shape[dim] {
            from[dim] = place;
            let value = a.at(&from);
            if if largest { value > best.1 } else { value < best.1 } {
                best = (place, value);
            }
        }
        best.0 as f64
    });
    Ok(index.of(DType::Int))
}

pub(super) fn reshape(a: &Value, shape: &[usize]) -> Result<Value, Error> {
    match shape.iter().product::<usize>() == a.data.len() {
        true => Ok(Value::new(shape, a.data.clone()).of(a.dtype)),
        false => Err(format!("{:?} cannot become {shape:?}", a.shape).into()),
    }
}

pub(super) fn permute(a: &Value, dims: &[usize]) -> Result<Value, Error> {
    let mut sorted = dims.to_vec();
    sorted.sort_unstable();
    if sorted != (0..a.shape.len()).collect::<Vec<_>>() {
        return Err(format!("{dims:?} does not name each dimension of {:?} once", a.shape).into());
    }
    let shape: Vec<usize> = dims.iter().map(|dim| a.shape[*dim]).collect();
    let mut from = vec![0; dims.len()];
    let permuted = Value::from_fn(shape, |index| {
        dims.iter().zip(index).for_each(|(dim, i)| from[*dim] = *i);
        a.at(&from)
    });
    Ok(permuted.of(a.dtype))
}

pub(super) fn expand(a: &Value, shape: &[usize]) -> Result<Value, Error> {
    let fits = |(from, to): (&usize, &usize)| from == to || *from == 1;
    match a.shape.len() == shape.len() && a.shape.iter().zip(shape).all(fits) {
        true => Ok(Value::from_fn(shape, |index| a.at(index)).of(a.dtype)),
        false => Err(format!(
            "{:?} does not expand to {shape:?}: only extents of 1 are repeated",
            a.shape
        )
        .into()),
    }
}

pub(super) fn slice(a: &Value, slice: &abi::Slice) -> Result<Value, Error> {
    let (dim, start, end) = (slice.dim as usize, slice.start as usize, slice.end as usize);
    needs_dim(a, dim)?;
    if start > end || end > a.shape[dim] || slice.step == 0 {
        return Err(format!(
            "elements {start} to {end} in steps of {} do not lie within dimension {dim} of {:?}",
            slice.step, a.shape
        )
        .into());
    }
    let numbers: Vec<usize> = (start..end).step_by(slice.step as usize).collect();
    Ok(select(a, dim, &numbers))
}

/// Rows of a dimension that are known to be there.
fn select(a: &Value, dim: usize, numbers: &[usize]) -> Value {
    let mut shape = a.shape.clone();
    shape[dim] = numbers.len();
    let mut from = vec![0; shape.len()];
    Value::from_fn(shape, |index| {
        from.copy_from_slice(index);
        from[dim] = numbers[index[dim]];
        a.at(&from)
    })
    .of(a.dtype)
}

/// Row numbers, each below `extent`.
fn numbers(rows: &Value, extent: usize) -> Result<Vec<usize>, Error> {
    if rows.dtype != DType::Int || rows.shape.len() != 1 {
        return Err("rows must be a vector of integers".into());
    }
    let number = |row: &f64| match *row >= 0.0 && *row < extent as f64 {
        true => Ok(*row as usize),
        false => Err(format!("row {row} does not exist: there are {extent} (counted from 0)").into()),
    };
    rows.data.iter().map(number).collect()
}

pub(super) fn gather(a: &Value, rows: &Value, dim: usize) -> Result<Value, Error> {
    needs_dim(a, dim)?;
    Ok(select(a, dim, &numbers(rows, a.shape[dim])?))
}

pub(super) fn scatter(a: &Value, rows: &Value, dim: usize, count: usize) -> Result<Value, Error> {
    needs_dim(a, dim)?;
    if a.dtype == DType::Bool {
        return Err("masks are not added up: cast a first".into());
    }
    let numbers = numbers(rows, count)?;
    if numbers.len() != a.shape[dim] {
        return Err(format!("{} row numbers do not match {:?}", numbers.len(), a.shape).into());
    }
    let mut shape = a.shape.clone();
    shape[dim] = count;
    let mut result = Value::full(shape, 0.0).of(a.dtype);
    let after: usize = a.shape[dim + 1..].iter().product();
    for (place, value) in a.data.iter().enumerate() {
        let (outer, from, inner) = (
            place / after / numbers.len(),
            place / after % numbers.len(),
            place % after,
        );
        result.data[(outer * count + numbers[from]) * after + inner] += value;
    }
    Ok(result)
}

pub(super) fn concat(operands: &Operands<'_>, dim: usize) -> Result<Value, Error> {
    let first = operands.get(0)?;
    needs_dim(first, dim)?;
    let mut shape = first.shape.clone();
    let mut sources = Vec::new();
    for index in 0..operands.values.len() {
        let part = operands.get(index)?;
        same_dtype(first, part)?;
        let agrees = |d: usize| d == dim || part.shape[d] == first.shape[d];
        if part.shape.len() != first.shape.len() || !(0..part.shape.len()).all(agrees) {
            return Err(format!("{:?} and {:?} do not join along {dim}", first.shape, part.shape).into());
        }
        sources.extend((0..part.shape[dim]).map(|row| (part, row)));
    }
    shape[dim] = sources.len();
    let mut from = vec![0; shape.len()];
    let whole = Value::from_fn(shape, |index| {
        let (part, row) = sources[index[dim]];
        from.copy_from_slice(index);
        from[dim] = row;
        part.at(&from)
    });
    Ok(whole.of(first.dtype))
}
