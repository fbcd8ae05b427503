//! `+ - * /` between tensors, and between tensors and numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Tensor, sized};
use crate::abi::Operation;

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

impl IntoTerm for Tensor {
    fn into_term(self) -> Term {
        Term::Tensor(self)
    }
}

impl IntoTerm for &Tensor {
    fn into_term(self) -> Term {
        Term::Tensor(self.clone())
    }
}

impl IntoTerm for f64 {
    fn into_term(self) -> Term {
        Term::Number(self)
    }
}

impl IntoTerm for f32 {
    fn into_term(self) -> Term {
        Term::Number(f64::from(self))
    }
}

impl Tensor {
    #[track_caller]
    fn shifted(self, value: f64) -> Tensor {
        self.apply(Operation::AddScalar, &sized!(Scalar { value }))
    }

    #[track_caller]
    fn scaled(self, value: f64) -> Tensor {
        self.apply(Operation::MulScalar, &sized!(Scalar { value }))
    }

    #[track_caller]
    pub(super) fn with(self, operation: Operation, other: Tensor) -> Tensor {
        self.apply_with(operation, [Some(other)], &())
    }
}

macro_rules! operator {
    ($trait:ident $method:ident $operation:ident, |$tensor:ident, $number:ident| $scalar:expr) => {
        impl<R: IntoTerm> $trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: R) -> Tensor {
                match right.into_term() {
                    Term::Tensor(right) => self.with(Operation::$operation, right),
                    Term::Number($number) => {
                        let $tensor = self;
                        $scalar
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

        impl $trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, right: &Tensor) -> Tensor {
                $trait::$method(self, right.clone())
            }
        }
    };
}

operator!(Add add Add, |tensor, number| tensor.shifted(number));
operator!(Sub sub Sub, |tensor, number| tensor.shifted(-number));
operator!(Mul mul Mul, |tensor, number| tensor.scaled(number));
operator!(Div div Div, |tensor, number| tensor.scaled(1.0 / number));

impl Add<Tensor> for f64 {
    type Output = Tensor;
    #[track_caller]
    fn add(self, right: Tensor) -> Tensor {
        right.shifted(self)
    }
}

impl Sub<Tensor> for f64 {
    type Output = Tensor;
    #[track_caller]
    fn sub(self, right: Tensor) -> Tensor {
        (-right).shifted(self)
    }
}

impl Mul<Tensor> for f64 {
    type Output = Tensor;
    #[track_caller]
    fn mul(self, right: Tensor) -> Tensor {
        right.scaled(self)
    }
}

impl Div<Tensor> for f64 {
    type Output = Tensor;
    #[track_caller]
    fn div(self, right: Tensor) -> Tensor {
        right.powf(-1.0).scaled(self)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.apply(Operation::Neg, &())
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        -self.clone()
    }
}
