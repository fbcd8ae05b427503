//! The numbers of a PyTorch checkpoint, in either of its formats.

use burn::tensor::{DType, TensorData};

use super::archive::{Archive, ArchiveError};
use super::legacy::Legacy;
use super::pickle::StoredTensor;

/// An open file whose storages are read one by one.
pub(super) enum Storages {
    /// A ZIP archive, the format since PyTorch 1.6.
    Archive(Archive),
    /// The format before it.
    Legacy(Legacy),
}

impl Storages {
    /// The values of a tensor, in the order of its shape.
    pub fn read(&mut self, tensor: &StoredTensor) -> Result<TensorData, ArchiveError> {
        let StoredTensor {
            storage,
            offset,
            shape,
            strides,
        } = tensor;
        let bytes = match self {
            Self::Archive(archive) => archive.bytes(storage)?,
            Self::Legacy(legacy) => legacy.bytes(storage)?,
        };
        let width = storage.dtype.size();
        if Some(bytes.len()) != storage.count.checked_mul(width) {
            return Err(ArchiveError::Entry {
                entry: storage.key.clone(),
                reason: format!(
                    "has {} bytes, and {} values of {width} are wanted",
                    bytes.len(),
                    storage.count
                ),
            });
        }
        let count = shape.iter().product::<usize>();
        let mut values = match count == storage.count && is_contiguous(shape, strides) {
            true => bytes,
            false => gathered(&bytes, *offset, shape, strides, width),
        };
        let dtype = match storage.dtype {
            // As numbers, and only 0 and 1.
            DType::Bool(_) => {
                values.iter_mut().for_each(|value| *value = u8::from(*value != 0));
                DType::U8
            }
            dtype => dtype,
        };
        Ok(TensorData::from_bytes_vec(values, shape.clone(), dtype))
    }
}

/// True if the values of a shape follow one another.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut wanted = 1;
    let mut sides = shape.iter().zip(strides).rev();
    sides.all(|(side, stride)| {
        let fits = *side == 1 || *stride == wanted;
        wanted *= side;
        fits
    })
}

/// The values of a view, one after another; they lie within `bytes`.
fn gathered(bytes: &[u8], offset: usize, shape: &[usize], strides: &[usize], width: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut values = Vec::with_capacity(count * width);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let place: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        let at = (offset + place) * width;
        values.extend_from_slice(&bytes[at..at + width]);
        for (i, side) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_gathered_in_the_order_of_its_shape() {
        let bytes: Vec<u8> = (0..12).collect();
        assert!(is_contiguous(&[3, 4], &[4, 1]) && is_contiguous(&[1, 12], &[99, 1]) && is_contiguous(&[], &[]));
        assert!(!is_contiguous(&[4, 3], &[1, 4]));
        assert_eq!(
            gathered(&bytes, 0, &[4, 3], &[1, 4], 1),
            [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
        );
        assert_eq!(gathered(&bytes, 1, &[2, 2], &[3, 1], 2), [2, 3, 4, 5, 8, 9, 10, 11]);
        assert_eq!(gathered(&bytes, 5, &[], &[], 1), [5]);
        assert!(gathered(&bytes, 0, &[0, 3], &[3, 1], 1).is_empty());
    }
}
