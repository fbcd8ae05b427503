//! Shapes, rows and reductions.

use std::ops::Range;
use std::panic::Location;

use super::{Tensor, dim_of, dims_of};
use crate::Error;
use crate::abi::{NewShape, Operation, Shape};

/// None of more dimensions than a tensor can have.
fn new_shape(extents: impl AsRef<[usize]>) -> Option<NewShape> {
    Shape::of(extents.as_ref()).map(|shape| sized!(NewShape { shape }))
}

macro_rules! reduction {
    ($($name:literal $method:ident $keeping:ident $operation:ident;)+) => {
        impl Tensor {$(
            #[doc = concat!($name, " over dimensions, which disappear. Over no dimensions it is the tensor itself.")]
            #[track_caller]
            pub fn $method(self, dims: &[usize]) -> Tensor {
                self.reduced(Operation::$operation, dims, false)
            }

            #[doc = concat!($name, " over dimensions, which stay with extent 1, so that the result broadcasts.")]
            #[track_caller]
            pub fn $keeping(self, dims: &[usize]) -> Tensor {
                self.reduced(Operation::$operation, dims, true)
            }
        )+}
    };
}
reduction! {
    "Sum" sum sum_keep Sum;
    "Mean" mean mean_keep Mean;
    "Maximum" max max_keep Max;
    "Minimum" min min_keep Min;
}

impl Tensor {
    #[track_caller]
    fn reduced(self, operation: Operation, dims: &[usize], keep: bool) -> Tensor {
        match dims {
            [] => self,
            dims => self.ask(operation, [], &dims_of(dims, keep)),
        }
    }

    /// Mean over everything but the batch: `[B, …]` to `[B]`.
    #[track_caller]
    pub fn mean_per_sample(self) -> Tensor {
        let dims: Vec<usize> = (1..self.rank()).collect();
        self.mean(&dims)
    }

    /// The same elements, row by row, in another shape.
    #[track_caller]
    pub fn reshape(self, shape: impl AsRef<[usize]>) -> Tensor {
        self.ask(Operation::Reshape, [], &new_shape(shape))
    }

    /// A new dimension of extent 1 before dimension `dim`.
    #[track_caller]
    pub fn unsqueeze(self, dim: usize) -> Tensor {
        let mut shape = self.shape().to_vec();
        shape.insert(dim.min(shape.len()), 1);
        self.reshape(shape)
    }

    /// Dimension i of the result is dimension `dims[i]` of this.
    #[track_caller]
    pub fn permute(self, dims: impl AsRef<[usize]>) -> Tensor {
        self.ask(Operation::Permute, [], &dims_of(dims.as_ref(), false))
    }

    /// Two dimensions exchanged.
    #[track_caller]
    pub fn transpose(self, a: usize, b: usize) -> Tensor {
        let mut dims: Vec<usize> = (0..self.rank()).collect();
        if self.is_failed() {
            return self;
        }
        if a >= dims.len() || b >= dims.len() {
            let message = format!("transpose of {a} and {b} in shape {:?}", self.shape());
            return self.session().failure(Location::caller(), &message);
        }
        dims.swap(a, b);
        self.permute(dims)
    }

    /// Repeats dimensions of extent 1 to the extents given.
    #[track_caller]
    pub fn expand(self, shape: impl AsRef<[usize]>) -> Tensor {
        self.ask(Operation::Expand, [], &new_shape(shape))
    }

    /// Elements of a dimension from `range.start` up to, not including, `range.end`.
    #[track_caller]
    pub fn slice(self, dim: usize, range: Range<usize>) -> Tensor {
        self.slice_every(dim, range, 1)
    }

    /// Every `step`-th element of a range of a dimension.
    #[track_caller]
    pub fn slice_every(self, dim: usize, range: Range<usize>, step: usize) -> Tensor {
        let slice = sized!(Slice {
            dim: dim as u32,
            reserved: 0,
            start: range.start as u64,
            end: range.end as u64,
            step: step as u64,
        });
        self.ask(Operation::Slice, [], &slice)
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
    #[track_caller]
    pub fn gather(self, dim: usize, rows: &[u32]) -> Tensor {
        let rows = self.rows(rows);
        self.gather_by(dim, rows)
    }

    /// The reverse of gather: zeros with `count` rows in a dimension, to which row `rows[i]` gains `a[i]`.
    #[track_caller]
    pub fn scatter(self, dim: usize, rows: &[u32], count: usize) -> Tensor {
        let rows = self.rows(rows);
        let to = sized!(ScatterTo {
            dim: dim as u32,
            reserved: 0,
            count: count as u64,
        });
        self.ask(Operation::Scatter, [Some(rows)], &to)
    }

    #[track_caller]
    fn rows(&self, rows: &[u32]) -> Tensor {
        let numbers: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
        self.session().upload(&numbers, &[rows.len()], Location::caller())
    }
}
