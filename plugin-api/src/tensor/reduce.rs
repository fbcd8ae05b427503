//! Reductions.

use super::{Tensor, sized};
use crate::abi::{self, MAX_RANK, Operation};

macro_rules! reduction {
    ($($name:literal $method:ident $keeping:ident $operation:ident;)+) => {
        impl Tensor {$(
            #[doc = concat!($name, " over dimensions, which disappear. Over no dimensions it is the tensor itself.")]
            #[must_use]
            #[track_caller]
            pub fn $method(self, dims: &[usize]) -> Tensor {
                self.reduced(Operation::$operation, dims, false)
            }

            #[doc = concat!($name, " over dimensions, which stay with extent 1, so that the result broadcasts.")]
            #[must_use]
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
        if dims.is_empty() {
            return self;
        }
        match dims_of(dims, keep) {
            Some(dims) => self.apply(operation, &dims),
            None => self.refuse("a reduction over more dimensions than a tensor can have"),
        }
    }

    /// Index of the smallest element of a dimension, which disappears: integers, for [`Tensor::gather_by`]. Of equal elements
    /// the first on the CPU, any of them elsewhere. Needs minor version 2, which the plan must say.
    #[must_use]
    #[track_caller]
    pub fn argmin(self, dim: usize) -> Tensor {
        self.apply(Operation::Argmin, &dim_of(dim))
    }

    /// Index of the largest element of a dimension; otherwise as [`Self::argmin`].
    #[must_use]
    #[track_caller]
    pub fn argmax(self, dim: usize) -> Tensor {
        self.apply(Operation::Argmax, &dim_of(dim))
    }

    /// Mean over everything but the batch: `[B, …]` to `[B]`.
    #[must_use]
    #[track_caller]
    pub fn mean_per_sample(self) -> Tensor {
        let dims: Vec<usize> = (1..self.rank()).collect();
        self.mean(&dims)
    }
}

pub(super) fn dim_of(dim: usize) -> abi::Dim {
    sized!(Dim {
        dim: dim as u32,
        reserved: 0,
    })
}

pub(super) fn dims_of(dims: &[usize], keep: bool) -> Option<abi::Dims> {
    let mut list = [0; MAX_RANK];
    for (to, from) in list.get_mut(..dims.len())?.iter_mut().zip(dims) {
        *to = *from as u32;
    }
    Some(sized!(Dims {
        len: dims.len() as u32,
        keep: u8::from(keep),
        reserved: [0; 3],
        dims: list,
    }))
}
