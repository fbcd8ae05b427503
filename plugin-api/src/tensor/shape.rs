//! Shapes and rows.

use std::ops::Range;
use std::panic::Location;

use super::reduce::{dim_of, dims_of};
use super::{Tensor, shape_of, sized};
use crate::Error;
use crate::abi::Operation;

const TOO_MANY: &str = "a shape with more dimensions than a tensor can have";

impl Tensor {
    /// The same elements, row by row, in another shape.
    #[must_use]
    #[track_caller]
    pub fn reshape(self, shape: impl AsRef<[usize]>) -> Tensor {
        match shape_of(shape.as_ref()) {
            Some(shape) => self.apply(Operation::Reshape, &sized!(NewShape { shape })),
            None => self.refuse(TOO_MANY),
        }
    }

    /// A new dimension of extent 1 before dimension `dim`.
    #[must_use]
    #[track_caller]
    pub fn unsqueeze(self, dim: usize) -> Tensor {
        let mut shape = self.shape().to_vec();
        shape.insert(dim.min(shape.len()), 1);
        self.reshape(shape)
    }

    /// Dimension i of the result is dimension `dims[i]` of this.
    #[must_use]
    #[track_caller]
    pub fn permute(self, dims: impl AsRef<[usize]>) -> Tensor {
        match dims_of(dims.as_ref(), false) {
            Some(dims) => self.apply(Operation::Permute, &dims),
            None => self.refuse(TOO_MANY),
        }
    }

    /// Two dimensions exchanged.
    #[must_use]
    #[track_caller]
    pub fn transpose(self, a: usize, b: usize) -> Tensor {
        let mut dims: Vec<usize> = (0..self.rank()).collect();
        if self.is_failed() {
            return self;
        }
        if a >= dims.len() || b >= dims.len() {
            let message = format!("transpose of {a} and {b} in shape {:?}", self.shape());
            return self.refuse(&message);
        }
        dims.swap(a, b);
        self.permute(dims)
    }

    /// Repeats dimensions of extent 1 to the extents given.
    #[must_use]
    #[track_caller]
    pub fn expand(self, shape: impl AsRef<[usize]>) -> Tensor {
        match shape_of(shape.as_ref()) {
            Some(shape) => self.apply(Operation::Expand, &sized!(NewShape { shape })),
            None => self.refuse(TOO_MANY),
        }
    }

    /// Elements of a dimension from `range.start` up to, not including, `range.end`.
    #[must_use]
    #[track_caller]
    pub fn slice(self, dim: usize, range: Range<usize>) -> Tensor {
        self.slice_every(dim, range, 1)
    }

    /// Every `step`-th element of a range of a dimension.
    #[must_use]
    #[track_caller]
    pub fn slice_every(self, dim: usize, range: Range<usize>, step: usize) -> Tensor {
        self.apply(
            Operation::Slice,
            &sized!(Slice {
                dim: dim as u32,
                reserved: 0,
                start: range.start as u64,
                end: range.end as u64,
                step: step as u64,
            }),
        )
    }

    /// Tensors joined along a dimension.
    ///
    /// # Errors
    /// If there are none to join.
    #[track_caller]
    pub fn concat(parts: impl IntoIterator<Item = Tensor>, dim: usize) -> Result<Tensor, Error> {
        let parts: Vec<_> = parts.into_iter().map(Some).collect();
        let Some(Some(first)) = parts.first() else {
            return Err(Error::new("there are no tensors to join"));
        };
        let session = first.session().clone();
        Ok(session.one(Operation::Concat, &parts, &dim_of(dim), Location::caller()))
    }

    /// Rows of a dimension, by number: `result[i] = a[rows[i]]`. A row may come more than once, or none.
    #[must_use]
    #[track_caller]
    pub fn gather(self, dim: usize, rows: &[u32]) -> Tensor {
        let rows = self.rows(rows);
        self.gather_by(dim, rows)
    }

    /// Like [`Self::gather`], with the numbers in an integer tensor `[R]`.
    #[must_use]
    #[track_caller]
    pub fn gather_by(self, dim: usize, rows: impl Into<Tensor>) -> Tensor {
        self.apply_with(Operation::Gather, [Some(rows.into())], &dim_of(dim))
    }

    /// The reverse of gather: zeros with `count` rows in a dimension, to which row `rows[i]` gains `a[i]`.
    #[must_use]
    #[track_caller]
    pub fn scatter(self, dim: usize, rows: &[u32], count: usize) -> Tensor {
        let rows = self.rows(rows);
        let attributes = sized!(ScatterTo {
            dim: dim as u32,
            reserved: 0,
            count: count as u64,
        });
        self.apply_with(Operation::Scatter, [Some(rows)], &attributes)
    }

    #[track_caller]
    fn rows(&self, rows: &[u32]) -> Tensor {
        let numbers: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
        let shape = shape_of(&[rows.len()]).unwrap_or_default();
        self.session().upload(&numbers, shape, Location::caller())
    }
}
