//! The answer of `guide`, validated against the plan.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Display;

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchDevice, DispatchTensor, FloatDType, TensorMetadata};
use burn::tensor::Tensor;
use sextant_plugin_api::abi::{Array, DType, Guided, Handle, Named};

use crate::boundary;
use crate::fault::Fault;
use crate::operations::{Spec, constant, inner, physical};
use crate::plan::{BufferPlan, SourcePlan};
use crate::table::{Table, Value};

/// The result of a step, validated against the plan.
#[derive(Debug)]
pub struct Answer {
    /// `[B]`, f32.
    pub loss: Tensor<1>,
    /// `[B]`, f32.
    pub denoising_weight: Option<Tensor<1>>,
    /// Index in the plan, and `[1]` without autodiff.
    pub metrics: Vec<(usize, Tensor<1>)>,
    /// Index in the plan, and the new value without autodiff.
    pub buffers: Vec<(usize, DispatchTensor)>,
}

impl Answer {
    /// Reads the result of a step, which computed on `device`, out of the table. The error says what is wrong with it.
    ///
    /// # Safety
    /// The lists of `guided` are valid for their lengths.
    pub(super) unsafe fn collect(
        guided: &Guided,
        plan: &SourcePlan,
        batch: usize,
        table: &Table,
        device: &DispatchDevice,
    ) -> Result<Self, Fault> {
        let metric_names: Vec<&str> = plan.metrics.iter().map(String::as_str).collect();
        let buffer_names: Vec<&str> = plan.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        // SAFETY: the caller's promise.
        let (metrics, buffers) = unsafe {
            (
                named("metric", guided.metrics, &metric_names)?,
                named("buffer", guided.buffers, &buffer_names)?,
            )
        };
        if guided.loss == 0 {
            return Err(Fault::NoLoss);
        }
        let per_sample = |what, handle| per_sample(what, handle, batch, table, device);
        let metrics = metrics
            .into_iter()
            .map(|(index, handle)| Ok((index, scalar(metric_names[index], handle, table)?)));
        let buffers = buffers.into_iter().filter_map(|(index, handle)| {
            let value = buffer_value(&plan.buffers[index], handle, table).transpose()?;
            Some(value.map(|value| (index, value)))
        });
        Ok(Self {
            loss: per_sample("loss", guided.loss)?,
            denoising_weight: match guided.denoising_weight {
                0 => None,
                handle => Some(per_sample("weight on the denoising loss", handle)?),
            },
            metrics: metrics.collect::<Result<_, Fault>>()?,
            buffers: buffers.collect::<Result<_, Fault>>()?,
        })
    }
}

/// Index and handle of the entries of one kind, each of those that the plan declares at most once.
///
/// # Safety
/// The list is valid for its length.
unsafe fn named(what: &'static str, list: Array, names: &[&str]) -> Result<Vec<(usize, Handle)>, Fault> {
    let (len, declared) = (list.len, names.len());
    if len > declared as u64 {
        return Err(Fault::Entry(format!(
            "{len} entries of kind {what}, but the plan declares {declared}"
        )));
    }
    // SAFETY: the caller's promise.
    let found: Vec<Named> = unsafe { boundary::list(list, declared, &format!("the list of {what}s of its result"))? };
    let mut seen = BTreeSet::new();
    for Named { index, .. } in &found {
        let Some(name) = names.get(*index as usize) else {
            return Err(Fault::Entry(format!(
                "{what} {index}, but the plan declares {declared}"
            )));
        };
        if !seen.insert(*index) {
            return Err(Fault::Entry(format!("{what} `{name}` twice")));
        }
    }
    Ok(found.iter().map(|entry| (entry.index as usize, entry.handle)).collect())
}

/// The new value of a buffer: the whole, or rows of it where the plan says so. None where there are no rows to replace.
fn buffer_value(plan: &BufferPlan, handle: Handle, table: &Table) -> Result<Option<DispatchTensor>, Fault> {
    let what = format!("new value of buffer `{}`", plan.name);
    let Value { spec, tensor } = looked_up(&what, handle, table)?;
    let some_rows = plan.rows
        && spec.rank() == plan.shape.len()
        && spec.shape[0] <= plan.shape[0]
        && spec.shape[1..] == plan.shape[1..];
    if spec.dtype != plan.dtype || !(some_rows || spec.shape == plan.shape) {
        let declared = Spec::new(plan.dtype, plan.shape.clone());
        let rows = if plan.rows { ", or fewer rows of it" } else { "" };
        return Err(other(&what, spec, &format!("the plan declares {declared}{rows}")));
    }
    Ok(tensor.clone().map(inner))
}

/// The tensor of a part of the answer.
fn looked_up<'a>(what: &str, handle: Handle, table: &'a Table) -> Result<&'a Value, Fault> {
    let wrong = |cause| Fault::Answer(format!("{what}: {cause}"));
    table.get(handle).map_err(wrong)
}

/// A part of the answer that is not the tensor which is wanted.
fn other(what: &str, found: impl Display, wanted: &str) -> Fault {
    Fault::Answer(format!("{what} is {found}, but {wanted}"))
}

fn per_sample(
    what: &'static str,
    handle: Handle,
    batch: usize,
    table: &Table,
    device: &DispatchDevice,
) -> Result<Tensor<1>, Fault> {
    let value = looked_up(what, handle, table)?;
    match &value.tensor {
        Some(tensor) if value.spec.dtype == DType::F32 && value.spec.shape == [batch] => {
            Ok(Tensor::from_dispatch(tensor.clone()))
        }
        // A batch without samples: such tensors exist as a spec only.
        None if value.spec.dtype == DType::F32 && value.spec.shape == [0] && batch == 0 => {
            Ok(Tensor::from_dispatch(constant(&value.spec, 0.0, device)))
        }
        _ => {
            let wanted = format!("must be f32 [{batch}], one number a sample");
            Err(other(what, &value.spec, &wanted))
        }
    }
}

fn scalar(name: &str, handle: Handle, table: &Table) -> Result<Tensor<1>, Fault> {
    let what = format!("metric `{name}`");
    let value = looked_up(&what, handle, table)?;
    let wanted = "must be one number";
    let tensor = match &value.tensor {
        Some(tensor) if value.spec.elements() == 1 => inner(tensor.clone()),
        _ => return Err(other(&what, &value.spec, wanted)),
    };
    let shape = physical(&[]);
    let tensor = match value.spec.dtype {
        DType::Bool => return Err(other(&what, "a mask", wanted)),
        DType::Int => Dispatch::int_into_float(Dispatch::int_reshape(tensor, shape), FloatDType::F32),
        _ => {
            let tensor = Dispatch::float_reshape(tensor, shape);
            match tensor.dtype() {
                burn::tensor::DType::F32 => tensor,
                _ => Dispatch::float_cast(tensor, FloatDType::F32),
            }
        }
    };
    Ok(Tensor::from_dispatch(tensor))
}
