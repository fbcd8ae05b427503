//! State of sources between steps.

mod agreement;

use std::collections::BTreeMap;

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, Slice, TensorMetadata};
use burn::tensor::{Device, TensorData};
use sextant_plugin_api::abi::{Agreement, DType};

use super::error::GuidanceError;
use super::initial::draw;
use super::operations::{self, physical};
use super::plan::BufferPlan;
use super::step::SourceLoss;
use sextant_model::{Difference, WeightsError};

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
    agreement: Agreement,
    device: Device,
    value: DispatchTensor,
    /// Rows, the newest, that were replaced since the step began.
    fresh: usize,
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
                agreement: plan.agreement,
                fresh: 0,
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

    /// The same values, of which a step that begins has replaced nothing.
    pub fn begun(&self) -> Self {
        let mut begun = self.clone();
        begun.entries.iter_mut().for_each(|entry| entry.fresh = 0);
        begun
    }

    /// Takes over the new values that sources gave in a step. To be called once the step is known to be good.
    ///
    /// Some rows for a buffer of rows replace its oldest: row 0 is the oldest afterwards, too.
    pub fn commit(&mut self, losses: &[SourceLoss]) {
        for (source, (name, value)) in losses.iter().flat_map(|l| l.buffers.iter().map(move |b| (&l.name, b))) {
            let mut entries = self.entries.iter_mut();
            if let Some(entry) = entries.find(|entry| entry.source == *source && entry.name == *name) {
                entry.replace(value.clone());
            }
        }
    }

    /// True if no source has a buffer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every value by its path, such as `repa.bank`: f32, i64 or bool elements. A synchronisation.
    pub fn named(&self) -> Result<BTreeMap<String, TensorData>, GuidanceError> {
        let named = |entry: &Entry| {
            let (path, elements) = (entry.path(), entry.shape.iter().product());
            let data = operations::data(entry.value.clone(), entry.dtype, elements)
                .map_err(|reason| GuidanceError::Checkpoint(format!("buffer `{path}`: {reason}")))?;
            let data = match entry.dtype {
                DType::Int => data.convert::<i64>(),
                DType::Bool => data.convert::<bool>(),
                _ => data.convert::<f32>(),
            };
            let (bytes, _, dtype) = data.into_parts();
            Ok((path, TensorData::from_bytes(bytes, physical(&entry.shape), dtype)))
        };
        self.entries.iter().map(named).collect()
    }

    /// Replaces every value. The names must be those of [`named`](Self::named), no more and no fewer, with their shapes.
    pub fn load_named(mut self, values: &BTreeMap<String, TensorData>) -> Result<Self, GuidanceError> {
        let mut differences = Vec::new();
        for entry in &mut self.entries {
            let (name, wanted) = (entry.path(), physical(&entry.shape).to_vec());
            match values.get(&name) {
                None => differences.push(Difference::Missing { name, wanted }),
                Some(data) if data.shape().to_vec() != wanted => {
                    let found = data.shape().to_vec();
                    differences.push(Difference::Shape { name, found, wanted });
                }
                Some(data) => {
                    entry.value = operations::from_data(data.clone(), entry.dtype, entry.device.as_dispatch());
                }
            }
        }
        let own = |name: &String| self.entries.iter().any(|entry| entry.path() == **name);
        let others = values.iter().filter(|(name, _)| !own(name));
        differences.extend(others.map(|(name, data)| Difference::Unexpected {
            name: name.clone(),
            found: data.shape().to_vec(),
        }));
        WeightsError::of(differences).map_err(|error| GuidanceError::Checkpoint(error.to_string()))?;
        Ok(self)
    }
}

impl Entry {
    /// Takes the new value; of fewer rows than there are, they replace the oldest, and the newest stand last.
    fn replace(&mut self, value: DispatchTensor) {
        let (rows, all) = (value.shape()[0], self.shape.first().copied().unwrap_or(1));
        self.fresh = all.min(self.fresh + rows);
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

#[cfg(test)]
mod tests {
    use super::super::plan::Initial;
    use super::*;
    use burn::tensor::{Int, Tensor};

    fn buffers() -> Buffers {
        let plan = |name: &str, dtype, shape: &[usize], rows| BufferPlan {
            name: name.into(),
            dtype,
            agreement: Agreement::Mean,
            shape: shape.to_vec(),
            rows,
            initial: Initial::Values((0..shape.iter().product::<usize>()).map(|i| i as f32).collect()),
        };
        let mut buffers = Buffers::default();
        let plans = [
            plan("bank", DType::F32, &[3, 2], true),
            plan("count", DType::Int, &[2], false),
        ];
        buffers.add("sra", &plans, 1, &Device::flex().autodiff());
        buffers
    }

    fn loss(buffers: Vec<(String, DispatchTensor)>) -> SourceLoss {
        SourceLoss {
            name: "sra".into(),
            coefficient: 1.0,
            loss: Tensor::zeros([1], &Device::flex()),
            denoising_weight: None,
            metrics: vec![],
            buffers,
        }
    }

    #[test]
    fn should_replace_the_whole_or_the_oldest_rows() {
        let mut buffers = buffers();
        let count = Tensor::<1, Int>::from_data([7, 8], &Device::flex());
        let rows = Tensor::<2>::from_data([[10.0, 11.0]], &Device::flex());
        let (bank, count) = (rows.into_dispatch(), count.into_dispatch());
        buffers.commit(&[loss(vec![("bank".into(), bank), ("count".into(), count)])]);
        let named = buffers.named().unwrap();
        assert_eq!(named["sra.count"], TensorData::from([7i64, 8]));
        let bank = TensorData::from([[2f32, 3.0], [4.0, 5.0], [10.0, 11.0]]);
        assert_eq!(named["sra.bank"], bank);
    }

    #[test]
    fn should_save_and_load_every_element_type() {
        let mut changed = buffers();
        let rows = Tensor::<2>::ones([3, 2], &Device::flex());
        changed.commit(&[loss(vec![("bank".into(), rows.into_dispatch())])]);
        let saved = changed.named().unwrap();
        assert_eq!(buffers().load_named(&saved).unwrap().named().unwrap(), saved);
        let error = buffers().load_named(&BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("`sra.bank` [3, 2] is missing"), "{error}");
        assert!(error.contains("`sra.count` [2] is missing"), "{error}");
    }
}
