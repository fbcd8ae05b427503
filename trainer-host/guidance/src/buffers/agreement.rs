//! Buffers of several ranks: one value of them all, as their plan says.

use burn::tensor::TensorData;
use sextant_plugin_api::abi::{Agreement, DType};
use sha2::{Digest, Sha256};

use super::super::error::GuidanceError;
use super::super::operations::{self, physical};
use super::{Buffers, Entry};

/// Bytes of a number of rows, of which each buffer begins with one in what a rank tells.
const ROWS: usize = size_of::<u64>();

impl Buffers {
    /// The bytes by which the others know this rank's buffers after a step, of which these are the working values: none for those
    /// that the step left as they were.
    ///
    /// # Errors
    /// A device that does not give them.
    pub fn told(&self) -> Result<Vec<u8>, GuidanceError> {
        let mut told = Vec::new();
        for entry in &self.entries {
            told.extend((entry.fresh as u64).to_le_bytes());
            if entry.fresh == 0 {
                continue;
            }
            let bytes = entry.bytes()?;
            match entry.agreement {
                Agreement::Mean => told.extend(bytes),
                Agreement::Gathered => told.extend(&bytes[bytes.len() - entry.fresh * entry.row_bytes()..]),
                Agreement::Replicated => told.extend(Sha256::digest(&bytes)),
            }
        }
        Ok(told)
    }

    /// The values after a step in which every rank told this, in their order. `before` are those that it began with; what a rank left
    /// alone counts as it was then.
    ///
    /// # Errors
    /// Names a buffer that is not what its plan says, such as one that is to be the same on all ranks and is not.
    pub fn joined(mut self, before: &Self, told: &[&[u8]]) -> Result<Self, GuidanceError> {
        let mut told: Vec<&[u8]> = told.to_vec();
        for (entry, before) in self.entries.iter_mut().zip(&before.entries) {
            let of_ranks = told
                .iter_mut()
                .map(|told| entry.take(told))
                .collect::<Result<Vec<_>, _>>()?;
            if of_ranks.iter().all(|(fresh, _)| *fresh == 0) {
                continue;
            }
            let fault = |reason: String| GuidanceError::Ranks {
                buffer: entry.path(),
                reason,
            };
            let bytes = match entry.agreement {
                Agreement::Replicated => {
                    let first = of_ranks[0];
                    if let Some(rank) = of_ranks.iter().position(|of_rank| *of_rank != first) {
                        return Err(fault(format!(
                            "it is to be the same on every rank, and rank {rank} has another value than rank 0"
                        )));
                    }
                    continue;
                }
                Agreement::Gathered => {
                    let mut rows = before.bytes()?;
                    let all = rows.len();
                    of_ranks.iter().for_each(|(_, bytes)| rows.extend(*bytes));
                    rows.split_off(rows.len() - all)
                }
                Agreement::Mean => {
                    let before = before.bytes()?;
                    let values: Vec<&[u8]> = of_ranks
                        .iter()
                        .map(|(fresh, bytes)| if *fresh == 0 { &before[..] } else { bytes })
                        .collect();
                    mean(entry.dtype, &values)
                }
            };
            entry.value = operations::from_data(entry.data(&bytes), entry.dtype, entry.device.as_dispatch());
        }
        Ok(self)
    }
}

impl Entry {
    fn row_bytes(&self) -> usize {
        operations::element_bytes(self.dtype) * self.shape.iter().skip(1).product::<usize>()
    }

    /// The value, row-major: i64, bool or f32.
    fn bytes(&self) -> Result<Vec<u8>, GuidanceError> {
        operations::host_bytes(self.value.clone(), self.dtype, self.shape.iter().product()).map_err(|reason| {
            GuidanceError::Ranks {
                buffer: self.path(),
                reason: reason.to_string(),
            }
        })
    }

    fn data(&self, bytes: &[u8]) -> TensorData {
        let shape = physical(&self.shape);
        match self.dtype {
            DType::Int => {
                let values = bytes.as_chunks().0.iter().map(|value| i64::from_ne_bytes(*value));
                TensorData::new(values.collect::<Vec<_>>(), shape)
            }
            DType::Bool => TensorData::new(bytes.iter().map(|value| *value != 0).collect::<Vec<_>>(), shape),
            _ => {
                let values = bytes.as_chunks().0.iter().map(|value| f32::from_ne_bytes(*value));
                TensorData::new(values.collect::<Vec<_>>(), shape)
            }
        }
    }

    /// Takes what a rank told of this buffer: the number of rows, and the bytes.
    fn take<'a>(&self, told: &mut &'a [u8]) -> Result<(usize, &'a [u8]), GuidanceError> {
        let mut next = |count: usize| {
            let (taken, rest) = told.split_at_checked(count)?;
            *told = rest;
            Some(taken)
        };
        let taken = next(ROWS).and_then(|rows| {
            let fresh = u64::from_le_bytes(rows.try_into().ok()?) as usize;
            let length = match (fresh, self.agreement) {
                (0, _) => 0,
                (_, Agreement::Mean) => operations::element_bytes(self.dtype) * self.shape.iter().product::<usize>(),
                (_, Agreement::Gathered) => fresh * self.row_bytes(),
                (_, Agreement::Replicated) => Sha256::output_size(),
            };
            Some((fresh, next(length)?))
        });
        taken.ok_or_else(|| GuidanceError::Ranks {
            buffer: self.path(),
            reason: "a rank has told less of it than its plan says: do all have the same plugins?".into(),
        })
    }
}

/// The mean of values, added in the order of ranks: of whole numbers the nearest, of truths that of most.
fn mean(dtype: DType, values: &[&[u8]]) -> Vec<u8> {
    let count = values.len() as f64;
    let sum = |place: usize, read: &dyn Fn(&[u8]) -> f64, width: usize| -> f64 {
        values
            .iter()
            .map(|bytes| read(&bytes[place * width..(place + 1) * width]))
            .sum()
    };
    let elements = |width: usize| 0..values[0].len() / width;
    match dtype {
        DType::Int => {
            let read = |bytes: &[u8]| bytes.try_into().map_or(0, i64::from_ne_bytes) as f64;
            let mean = |place| ((sum(place, &read, 8) / count).round() as i64).to_ne_bytes();
            elements(8).flat_map(mean).collect()
        }
        DType::Bool => {
            let mean = |place| u8::from(2.0 * sum(place, &|bytes| f64::from(bytes[0]), 1) > count);
            elements(1).map(mean).collect()
        }
        _ => {
            let read = |bytes: &[u8]| f64::from(bytes.try_into().map_or(f32::NAN, f32::from_ne_bytes));
            let mean = |place| ((sum(place, &read, 4) / count) as f32).to_ne_bytes();
            elements(4).flat_map(mean).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int, Tensor};

    use super::super::super::plan::{BufferPlan, Initial};
    use super::super::super::step::SourceLoss;
    use super::*;

    fn buffers() -> Buffers {
        let plan = |name: &str, agreement, dtype, shape: &[usize], rows| BufferPlan {
            name: name.into(),
            dtype,
            agreement,
            shape: shape.to_vec(),
            rows,
            initial: Initial::Values(vec![0.0; shape.iter().product()]),
        };
        let mut buffers = Buffers::default();
        let plans = [
            plan("centre", Agreement::Mean, DType::F32, &[2], false),
            plan("bank", Agreement::Gathered, DType::F32, &[3, 1], true),
            plan("count", Agreement::Replicated, DType::Int, &[1], false),
        ];
        buffers.add("own", &plans, 1, &Device::flex());
        buffers
    }

    /// The working values of a rank whose source answered these.
    fn answered(before: &Buffers, centre: Option<[f32; 2]>, bank: &[f32], count: i64) -> Buffers {
        let device = Device::flex();
        let mut values = vec![(
            "count".to_owned(),
            Tensor::<1, Int>::from_data([count], &device).into_dispatch(),
        )];
        if let Some(centre) = centre {
            values.push((
                "centre".to_owned(),
                Tensor::<1>::from_data(centre, &device).into_dispatch(),
            ));
        }
        let mut working = before.begun();
        let loss = |buffers| SourceLoss {
            name: "own".into(),
            coefficient: 1.0,
            loss: Tensor::zeros([1], &device),
            denoising_weight: None,
            metrics: vec![],
            buffers,
        };
        working.commit(&[loss(values)]);
        for row in bank {
            let row = Tensor::<2>::from_data([[*row]], &device).into_dispatch();
            working.commit(&[loss(vec![("bank".to_owned(), row)])]);
        }
        working
    }

    fn joined(before: &Buffers, ranks: Vec<Buffers>) -> Result<Buffers, GuidanceError> {
        let told: Vec<Vec<u8>> = ranks.iter().map(|rank| rank.told().unwrap()).collect();
        let told: Vec<&[u8]> = told.iter().map(Vec::as_slice).collect();
        let mut all = ranks.into_iter().map(|rank| rank.joined(before, &told));
        let first = all.next().unwrap()?;
        for other in all {
            assert_eq!(other?.named().unwrap(), first.named().unwrap());
        }
        Ok(first)
    }

    #[test]
    fn each_agreement_has_its_value() {
        let before = buffers();
        let ranks = [
            answered(&before, Some([1.0, 4.0]), &[1.0], 7),
            answered(&before, Some([3.0, 0.0]), &[2.0, 3.0], 7),
            answered(&before, None, &[], 7),
        ];
        let values = joined(&before, ranks.to_vec()).unwrap().named().unwrap();
        assert_eq!(values["own.centre"], TensorData::from([4.0f32 / 3.0, 4.0 / 3.0]));
        assert_eq!(values["own.bank"], TensorData::from([[1.0f32], [2.0], [3.0]]));
        assert_eq!(values["own.count"], TensorData::from([7i64]));
    }

    #[test]
    fn rows_are_those_that_one_rank_would_have_kept() {
        let before = buffers();
        let rows = |ranks: &[&[f32]]| {
            let ranks = ranks.iter().map(|rows| answered(&before, None, rows, 1));
            joined(&before, ranks.collect()).unwrap().named().unwrap()["own.bank"].clone()
        };
        let one = answered(&before, None, &[1.0, 2.0, 3.0, 4.0, 5.0], 1);
        assert_eq!(rows(&[&[1.0, 2.0, 3.0, 4.0], &[5.0]]), one.named().unwrap()["own.bank"]);
        assert_eq!(rows(&[&[5.0], &[]]), TensorData::from([[0.0f32], [0.0], [5.0]]));
    }

    #[test]
    fn what_is_to_be_the_same_and_is_not_names_the_rank() {
        let before = buffers();
        let ranks = [7, 7, 8].map(|count| answered(&before, None, &[], count));
        let said = joined(&before, ranks.to_vec()).unwrap_err().to_string();
        assert!(said.contains("own.count") && said.contains("rank 2"), "{said}");
    }
}
