//! State of sources between steps.

use std::collections::BTreeMap;

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{Device, TensorData};
use sextant_plugin_api::abi::DType;

use super::error::GuidanceError;
use super::initial::draw;
use super::operations::{self, physical};
use super::plan::BufferPlan;
use super::step::SourceLoss;

/// The buffers of all sources of a phase. No gradients flow through them.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    source: String,
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    device: Device,
    value: DispatchTensor,
}

impl Buffers {
    /// Adds the buffers of a source, drawn on the CPU.
    pub(super) fn add(&mut self, source: &str, plans: &[BufferPlan], seed: u64, device: &Device) {
        let device = device.clone().without_autodiff();
        for plan in plans {
            let data = draw(&plan.initial, &plan.shape, seed, source, &plan.name);
            self.entries.push(Entry {
                source: source.to_owned(),
                name: plan.name.clone(),
                dtype: plan.dtype,
                shape: plan.shape.clone(),
                value: operations::from_data(data, plan.dtype, device.as_dispatch()),
                device: device.clone(),
            });
        }
    }

    /// The values of one source, in the order of its plan.
    pub(super) fn tensors(&self, source: &str) -> Vec<DispatchTensor> {
        let of_source = self.entries.iter().filter(|entry| entry.source == source);
        of_source.map(|entry| entry.value.clone()).collect()
    }

    /// Takes over the new values that sources gave in a step. To be called once the step is known to be good.
    ///
    /// Some rows for a buffer of rows replace its oldest: row 0 is the oldest afterwards, too.
    pub fn commit(&mut self, losses: &[SourceLoss]) {
        for loss in losses {
            for (name, value) in &loss.buffers {
                let entry = self
                    .entries
                    .iter_mut()
                    .find(|entry| entry.source == loss.name && entry.name == *name);
                if let Some(entry) = entry {
                    entry.replace(value.clone());
                }
            }
        }
    }

    /// Whether no source has a buffer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every value by its path, such as `repa.bank`: f32, i64 or bool elements. A synchronisation.
    pub fn named(&self) -> Result<BTreeMap<String, TensorData>, GuidanceError> {
        self.entries
            .iter()
            .map(|entry| {
                let elements = entry.shape.iter().product();
                let data = operations::data(entry.value.clone(), entry.dtype, elements)
                    .map_err(|reason| GuidanceError::Checkpoint(format!("buffer `{}`: {reason}", entry.path())))?;
                let data = match entry.dtype {
                    DType::Int => data.convert::<i64>(),
                    DType::Bool => data.convert::<bool>(),
                    _ => data.convert::<f32>(),
                };
                let (bytes, _, dtype) = data.into_parts();
                Ok((entry.path(), TensorData::from_bytes(bytes, physical(&entry.shape), dtype)))
            })
            .collect()
    }

    /// Replaces every value. The names must be those of [`named`](Self::named), no more and no fewer, with their shapes.
    pub fn load_named(mut self, mut values: BTreeMap<String, TensorData>) -> Result<Self, GuidanceError> {
        for entry in &mut self.entries {
            let path = entry.path();
            let data = values
                .remove(&path)
                .ok_or_else(|| GuidanceError::Checkpoint(format!("buffer `{path}` is missing")))?;
            if *data.shape() != physical(&entry.shape) {
                return Err(GuidanceError::Checkpoint(format!(
                    "buffer `{path}` has shape {:?}, its source declares {:?}",
                    data.shape().to_vec(),
                    entry.shape
                )));
            }
            entry.value = operations::from_data(data, entry.dtype, entry.device.as_dispatch());
        }
        match values.into_keys().next() {
            None => Ok(self),
            Some(path) => Err(GuidanceError::Checkpoint(format!("buffer `{path}` belongs to no source of this phase"))),
        }
    }
}

impl Entry {
    /// Takes the new value; of fewer rows than there are, they replace the oldest, and the newest stand last.
    fn replace(&mut self, value: DispatchTensor) {
        let (rows, all) = (value.shape()[0], self.shape[0]);
        if rows == all {
            self.value = value;
            return;
        }
        let mut kept = vec![Slice::full(); self.shape.len()];
        kept[0] = Slice::new(rows as isize, Some(all as isize), 1);
        let old = self.value.clone();
        self.value = match self.dtype {
            DType::Int => Dispatch::int_cat(vec![Dispatch::int_slice(old, &kept), value], 0),
            DType::Bool => Dispatch::bool_cat(vec![Dispatch::bool_slice(old, &kept), value], 0),
            _ => Dispatch::float_cat(vec![Dispatch::float_slice(old, &kept), value], 0),
        };
    }

    fn path(&self) -> String {
        format!("{}.{}", self.source, self.name)
    }
}
