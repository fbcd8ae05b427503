//! Rows by number.

use burn::backend::Dispatch;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::tensor::IndexingUpdateOp;
use sextant_plugin_api::abi::{self, DType};

use super::spec::{by_family, constant};
use super::{Checked, Request, Spec};
use crate::fault::Fault;

type D = Dispatch;

pub(super) fn gather<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (a, rows) = (request.input(0), request.input(1));
    let dim = request.attributes.read::<abi::Dim>()?.dim as usize;
    a.needs_dim(dim)?;
    needs_rows(rows, a.shape[dim])?;
    let mut shape = a.shape.clone();
    shape[dim] = rows.shape[0];
    let spec = a.clone();
    Checked::binary(a.with_shape(shape), move |a, rows| {
        by_family!(
            spec,
            D::float_select(a, dim, rows),
            D::int_select(a, dim, rows),
            D::bool_select(a, dim, rows)
        )
    })
}

pub(super) fn scatter<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (a, rows) = (request.input(0), request.input(1));
    let abi::ScatterTo { dim, count, .. } = request.attributes.read()?;
    let (dim, count) = (dim as usize, count as usize);
    a.needs_dim(dim)?;
    if a.dtype == DType::Bool {
        return Err(Fault::Operand("masks are not added up: cast a first".into()));
    }
    needs_rows(rows, count)?;
    let (rows, extent) = (rows.shape[0], a.shape[dim]);
    if rows != extent {
        return Err(Fault::Operand(format!(
            "{rows} row numbers do not match the extent {extent} of dimension {dim}"
        )));
    }
    let mut shape = a.shape.clone();
    shape[dim] = count;
    let output = a.with_shape(shape);
    let zeros = output.clone();
    Checked::one(output, move |mut operands, context| {
        let (a, rows) = (operands.take(0), operands.take(1));
        let base = constant(&zeros, 0.0, &context.device);
        match zeros.dtype {
            DType::Int => D::int_select_assign(base, dim, rows, a, IndexingUpdateOp::Add),
            _ => D::float_select_assign(base, dim, rows, a, IndexingUpdateOp::Add),
        }
    })
}

/// Row numbers are integers in a vector. Whether they lie in range is only known where they came from the plugin's memory:
/// those computed on the device are the plugin's responsibility, since looking would be a synchronisation.
fn needs_rows(rows: &Spec, extent: usize) -> Result<(), Fault> {
    if rows.dtype != DType::Int || rows.rank() != 1 {
        return Err(Fault::Operand("rows must be a vector of integers".into()));
    }
    if extent == 0 && rows.shape[0] > 0 {
        return Err(Fault::Operand("there are no rows to number".into()));
    }
    match rows.bounds {
        Some((low, high)) if low < 0 || high >= extent as i64 => Err(Fault::Operand(format!(
            "row numbers run from {low} to {high}, but there are {extent} rows (counted from 0)"
        ))),
        _ => Ok(()),
    }
}
