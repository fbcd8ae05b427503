//! Comparisons and masks. A comparison borrows: no mask could reuse the memory of what it compares.

use std::panic::Location;

use super::operator::{IntoTerm, Term};
use super::{Tensor, shape_of, sized};
use crate::abi::Operation;

macro_rules! comparison {
    ($($(#[$doc:meta])+ $method:ident $operation:ident;)+) => {
        impl Tensor {$(
            $(#[$doc])+
            #[must_use]
            #[track_caller]
            pub fn $method(&self, other: impl IntoTerm) -> Tensor {
                let other = self.term(other);
                self.clone().with(Operation::$operation, other)
            }
        )+}
    };
}

comparison! {
    /// The mask of `a == b`, where `b` is a tensor or a number.
    equal Equal;
    /// The mask of `a > b`, where `b` is a tensor or a number.
    greater Greater;
    /// The mask of `a >= b`, where `b` is a tensor or a number.
    greater_equal GreaterEqual;
    /// The mask of `a < b`, where `b` is a tensor or a number.
    lower Lower;
    /// The mask of `a <= b`, where `b` is a tensor or a number.
    lower_equal LowerEqual;
}

impl Tensor {
    /// A number as a tensor that broadcasts to this one.
    #[track_caller]
    fn term(&self, other: impl IntoTerm) -> Tensor {
        match other.into_term() {
            Term::Tensor(tensor) => tensor,
            Term::Number(value) => {
                let attributes = sized!(Full {
                    value,
                    dtype: self.dtype() as u32,
                    reserved: 0,
                    shape: shape_of(&vec![1; self.rank()]).unwrap_or_default(),
                });
                self.session()
                    .one(Operation::Full, &[], &attributes, Location::caller())
            }
        }
    }

    /// `a and b` of two masks of one shape.
    #[must_use]
    #[track_caller]
    pub fn and(self, other: impl Into<Tensor>) -> Tensor {
        self.with(Operation::And, other.into())
    }

    /// `a or b` of two masks of one shape.
    #[must_use]
    #[track_caller]
    pub fn or(self, other: impl Into<Tensor>) -> Tensor {
        self.with(Operation::Or, other.into())
    }

    /// `not a` of a mask.
    #[must_use]
    #[track_caller]
    #[allow(clippy::should_implement_trait)]
    pub fn not(self) -> Tensor {
        self.apply(Operation::Not, &())
    }

    /// `a` where this mask holds, else `b`; one shape for all three.
    #[must_use]
    #[track_caller]
    pub fn choose(self, a: impl Into<Tensor>, b: impl Into<Tensor>) -> Tensor {
        self.apply_with(Operation::Where, [Some(a.into()), Some(b.into())], &())
    }
}
