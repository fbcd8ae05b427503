//! Rows of features, checked once at the door.

use nalgebra::DMatrixView;

use super::MeasureError;

/// Values beyond this are refused: the kernel distance cubes their products and squares that for its error.
const LARGEST: f64 = 1e20;

/// Features `[N, D]` in f64, row-major, one row a sample: at least one row and one column, all finite, none above 1e20.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    width: usize,
    values: Vec<f64>,
}

impl Features {
    /// Takes row-major values, `width` to a row.
    pub fn new(values: Vec<f64>, width: usize) -> Result<Self, MeasureError> {
        if width == 0 || values.is_empty() {
            let rows = values.len().checked_div(width).unwrap_or(0);
            return Err(MeasureError::Empty { rows, width });
        }
        if !values.len().is_multiple_of(width) {
            return Err(MeasureError::Ragged {
                values: values.len(),
                width,
            });
        }
        match values.iter().position(|value| value.is_nan() || value.abs() > LARGEST) {
            Some(at) => Err(MeasureError::NotFinite {
                row: at / width,
                column: at % width,
                value: values[at],
            }),
            None => Ok(Self { width, values }),
        }
    }

    /// Takes row-major values as encoders give them, `width` to a row.
    pub fn from_f32(values: &[f32], width: usize) -> Result<Self, MeasureError> {
        Self::new(values.iter().map(|&value| f64::from(value)).collect(), width)
    }

    /// N.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// D.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One sample. Panics past the end.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// All samples in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.width)
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The rows at `indices`, in that order. Panics if one is past the end, or there are none.
    pub fn select(&self, indices: &[usize]) -> Self {
        assert!(!indices.is_empty(), "a selection of at least one row");
        Self {
            width: self.width,
            values: indices.iter().flat_map(|&index| self.row(index)).copied().collect(),
        }
    }

    /// The same numbers as a `[D, N]` matrix, whose columns are the samples.
    ///
    /// Never as `[N, D]`, a view with a row stride: products of such views of at most five rows or columns write past
    /// their result in nalgebra 0.34.2 (`axcpy_uninit` of `base/blas_uninit.rs` takes the length of the slice, gaps
    /// included, for that of the vector).
    pub(super) fn columns(&self) -> DMatrixView<'_, f64> {
        DMatrixView::from_slice(&self.values, self.width, self.len())
    }

    /// The mean of every column, `[D]`.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= self.len() as f64);
        mean
    }

    /// These rows less `mean`, `[D]`.
    pub(super) fn centred(&self, mean: &[f64]) -> Self {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.width) {
            row.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
        }
        Self {
            width: self.width,
            values,
        }
    }

    /// An error unless there are at least `least` rows; `set` is what the message calls them.
    pub(super) fn at_least(&self, least: usize, measure: &'static str, set: &'static str) -> Result<(), MeasureError> {
        match self.len() {
            rows if rows < least => Err(MeasureError::TooFew {
                measure,
                set,
                rows,
                least,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_as_they_were_given() {
        let features = Features::from_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3).unwrap();
        assert_eq!((features.len(), features.width()), (2, 3));
        assert_eq!(features.row(1), [4.0, 5.0, 6.0]);
        assert_eq!(features.columns()[(0, 1)], 4.0);
        assert_eq!(features.mean(), [2.5, 3.5, 4.5]);
        assert_eq!(features.select(&[1, 1]).values(), [4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn values_that_are_no_matrix_are_refused() {
        for (values, width, wanted) in [
            (0, 3, MeasureError::Empty { rows: 0, width: 3 }),
            (1, 0, MeasureError::Empty { rows: 0, width: 0 }),
            (5, 3, MeasureError::Ragged { values: 5, width: 3 }),
        ] {
            assert_eq!(Features::new(vec![1.0; values], width), Err(wanted));
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_by_their_place() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            match Features::from_f32(&[0.0, 1.0, 2.0, value], 2) {
                Err(MeasureError::NotFinite { row: 1, column: 1, .. }) => {}
                other => panic!("{value}: {other:?}"),
            }
        }
    }
}
