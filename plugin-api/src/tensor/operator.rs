//! `+ - * /` and comparisons, between tensors, and between tensors and numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;

use super::Tensor;
use crate::abi::{Operation, Shape};

/// The right-hand side of an operator.
#[derive(Debug)]
pub enum Term {
    /// A tensor; extents of 1 are broadcast, ranks must agree.
    Tensor(Tensor),
    /// A number.
    Number(f64),
}

/// A value that can stand on the right of an operator: a tensor, a borrowed tensor, an `f32` or an `f64`.
pub trait IntoTerm {
    /// The term that it is.
    fn into_term(self) -> Term;
}

macro_rules! term {
    ($($type:ty: |$value:ident| $term:expr;)+) => {$(
        impl IntoTerm for $type {
            fn into_term(self) -> Term {
                let $value = self;
                $term
            }
        }
    )+};
}
term! {
    Tensor: |tensor| Term::Tensor(tensor);
    &Tensor: |tensor| Term::Tensor(tensor.clone());
    f64: |number| Term::Number(number);
    f32: |number| Term::Number(f64::from(number));
}

impl Tensor {
    #[track_caller]
    fn shifted(self, value: f64) -> Tensor {
        self.ask(Operation::AddScalar, [], &sized!(Scalar { value }))
    }

    #[track_caller]
    fn scaled(self, value: f64) -> Tensor {
        self.ask(Operation::MulScalar, [], &sized!(Scalar { value }))
    }

    /// A term as a tensor; a number as one that broadcasts to this.
    #[track_caller]
    fn term(&self, other: impl IntoTerm) -> Tensor {
        match other.into_term() {
            Term::Tensor(tensor) => tensor,
            Term::Number(value) => {
                let full = sized!(Full {
                    value,
                    dtype: self.dtype() as u32,
                    reserved: 0,
                    shape: Shape::of(&vec![1; self.rank()]).unwrap_or_default(),
                });
                self.session().one(Operation::Full, &[], &full, Location::caller())
            }
        }
    }
}

/// A trait's method for each side that a tensor and a number can take.
macro_rules! operator {
    ($trait:ident $method:ident: |$tensor:ident, $number:ident| $right:expr, $left:expr) => {
        impl<R: IntoTerm> $trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                match right.into_term() {
                    Term::Tensor(right) => self.ask(Operation::$trait, [Some(right)], &()),
                    Term::Number($number) => {
                        let $tensor = self;
                        $right
                    }
                }
            }
        }

        impl<R: IntoTerm> $trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                $trait::$method(self.clone(), right)
            }
        }

        impl $trait<Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, $tensor: Tensor) -> Tensor {
                let $number = self;
                $left
            }
        }

        impl $trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: &Tensor) -> Tensor {
                $trait::$method(self, right.clone())
            }
        }
    };
}

operator!(Add add: |tensor, number| tensor.shifted(number), tensor.shifted(number));
operator!(Sub sub: |tensor, number| tensor.shifted(-number), (-tensor).shifted(number));
operator!(Mul mul: |tensor, number| tensor.scaled(number), tensor.scaled(number));
operator!(Div div: |tensor, number| tensor.scaled(1.0 / number), tensor.powf(-1.0).scaled(number));

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.ask(Operation::Neg, [], &())
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        -self.clone()
    }
}

/// A comparison borrows: no mask could reuse the memory of what it compares.
macro_rules! comparison {
    ($($symbol:literal $method:ident $operation:ident;)+) => {
        impl Tensor {$(
            #[doc = concat!("The mask of `a ", $symbol, " b`, where `b` is a tensor or a number.")]
            #[track_caller]
            pub fn $method(&self, other: impl IntoTerm) -> Tensor {
                self.clone().ask(Operation::$operation, [Some(self.term(other))], &())
            }
        )+}
    };
}
comparison! {
    "==" equal Equal;
    ">" greater Greater;
    ">=" greater_equal GreaterEqual;
    "<" lower Lower;
    "<=" lower_equal LowerEqual;
}
