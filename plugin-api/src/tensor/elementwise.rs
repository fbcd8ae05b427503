//! Functions of each element.

use super::{Tensor, sized};
use crate::abi::{DType, Operation};

macro_rules! unary {
    ($($(#[$doc:meta])+ $method:ident $operation:ident;)+) => {
        impl Tensor {$(
            $(#[$doc])+
            #[must_use]
            #[track_caller]
            pub fn $method(self) -> Tensor {
                self.apply(Operation::$operation, &())
            }
        )+}
    };
}

unary! {
    /// `e ^ a`.
    exp Exp;
    /// Natural logarithm.
    log Log;
    /// Square root. Its gradient at 0 is infinite: clamp before it where zeros may come.
    sqrt Sqrt;
    /// Absolute value.
    abs Abs;
    /// Sine, radians.
    sin Sin;
    /// Cosine, radians.
    cos Cos;
    /// Hyperbolic tangent.
    tanh Tanh;
    /// `1 / (1 + e^-a)`.
    sigmoid Sigmoid;
    /// `max(a, 0)`.
    relu Relu;
    /// `a * sigmoid(a)`.
    silu Silu;
    /// The exact GELU, with the error function.
    gelu Gelu;
    /// The error function.
    erf Erf;
    /// The largest whole number that is not above a. Its gradient is 0. Needs minor version 2, which the plan must say.
    floor Floor;
    /// The same numbers, outside the autodiff graph for good.
    detach Detach;
}

impl Tensor {
    /// `a ^ power`; for a fractional power no element may be negative.
    #[must_use]
    #[track_caller]
    pub fn powf(self, power: f64) -> Tensor {
        self.apply(Operation::PowScalar, &sized!(Scalar { value: power }))
    }

    /// `a * a`.
    #[must_use]
    #[track_caller]
    pub fn square(self) -> Tensor {
        &self * &self
    }

    /// Elements limited to `[min, max]`, either of which may be infinite; the gradient outside is 0.
    #[must_use]
    #[track_caller]
    pub fn clamp(self, min: f64, max: f64) -> Tensor {
        self.apply(Operation::Clamp, &sized!(Range { min, max }))
    }

    /// Another element type; itself if it has it. Differentiable between floats; a mask becomes 0 and 1.
    #[must_use]
    #[track_caller]
    pub fn cast(self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            return self;
        }
        let dtype = dtype as u32;
        self.apply(Operation::Cast, &sized!(Cast { dtype, reserved: 0 }))
    }
}
