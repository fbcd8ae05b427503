//! The answer of `guide`, validated against the plan.
#![allow(unsafe_code)]

use std::collections::BTreeSet;

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
        // SAFETY: the caller's promise.
        let (metrics, buffers) = unsafe {
            (
                named("metric", guided.metrics, plan.metrics.len())?,
                named("buffer", guided.buffers, plan.buffers.len())?,
            )
        };
        let metric_names: Vec<&str> = plan.metrics.iter().map(String::as_str).collect();
        let buffer_names: Vec<&str> = plan.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        declared("metric", &metrics, &metric_names)?;
        declared("buffer", &buffers, &buffer_names)?;
        if guided.loss == 0 {
            return Err(Fault::NoLoss);
        }
        Ok(Self {
            loss: per_sample("loss", guided.loss, batch, table, device)?,
            denoising_weight: match guided.denoising_weight {
                0 => None,
                handle => Some(per_sample(
                    "weight on the denoising loss",
                    handle,
                    batch,
                    table,
                    device,
                )?),
            },
            metrics: metrics
                .iter()
                .map(|metric| {
                    let index = metric.index as usize;
                    Ok((index, scalar(metric_names[index], metric.handle, table)?))
                })
                .collect::<Result<_, Fault>>()?,
            buffers: buffers
                .iter()
                .filter_map(|buffer| {
                    let index = buffer.index as usize;
                    let value = buffer_value(&plan.buffers[index], buffer.handle, table).transpose()?;
                    Some(value.map(|value| (index, value)))
                })
                .collect::<Result<_, Fault>>()?,
        })
    }
}

/// The entries of one kind, no more than the plan declares.
///
/// # Safety
/// The list is valid for its length.
unsafe fn named(what: &'static str, list: Array, declared: usize) -> Result<Vec<Named>, Fault> {
    if list.len > declared as u64 {
        return Err(Fault::ManyEntries {
            what,
            len: list.len,
            declared,
        });
    }
    // SAFETY: the caller's promise.
    unsafe { boundary::list(list, declared, &format!("the list of {what}s of its result")) }
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
        return Err(other(&what, spec, format!("the plan declares {declared}{rows}")));
    }
    Ok(tensor.clone().map(inner))
}

/// The tensor of a part of the answer.
fn looked_up<'a>(what: &str, handle: Handle, table: &'a Table) -> Result<&'a Value, Fault> {
    table.get(handle).map_err(|cause| Fault::AnswerHandle {
        what: what.to_owned(),
        cause: Box::new(cause),
    })
}

/// A part of the answer that is not the tensor which is wanted.
fn other(what: &str, found: impl ToString, wanted: String) -> Fault {
    Fault::AnswerTensor {
        what: what.to_owned(),
        found: found.to_string(),
        wanted,
    }
}

/// Indices lie in the plan's list, each at most once.
fn declared(what: &'static str, found: &[Named], names: &[&str]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for entry in found {
        let Some(name) = names.get(entry.index as usize) else {
            return Err(Fault::NoEntry {
                what,
                index: entry.index,
                declared: names.len(),
            });
        };
        if !seen.insert(entry.index) {
            let name = (*name).to_owned();
            return Err(Fault::EntryTwice { what, name });
        }
    }
    Ok(())
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
            Err(other(what, &value.spec, wanted))
        }
    }
}

fn scalar(name: &str, handle: Handle, table: &Table) -> Result<Tensor<1>, Fault> {
    let what = format!("metric `{name}`");
    let value = looked_up(&what, handle, table)?;
    let wanted = || "must be one number".to_owned();
    let tensor = match &value.tensor {
        Some(tensor) if value.spec.elements() == 1 => inner(tensor.clone()),
        _ => return Err(other(&what, &value.spec, wanted())),
    };
    let shape = physical(&[]);
    let tensor = match value.spec.dtype {
        DType::Bool => {
            return Err(other(&what, "a mask", wanted()));
        }
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
