//! Methods that ask for one operation each: a table of their names, what they take, and what the host is asked.

use super::{Tensor, dim_of};
use crate::abi::{DType, Interpolation, Operation};

/// Shape of a convolution; each pair is vertical, horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Steps.
    pub stride: [usize; 2],
    /// Zeros around.
    pub padding: [usize; 2],
    /// Distance of the kernel's elements.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

impl Default for Convolution {
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

/// Settings for resizing images, always without antialiasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Interpolation of the pixels in between.
    pub mode: Interpolation,
    /// Fixes the centres of the corner pixels, rather than the outer corners.
    pub align_corners: bool,
}

/// `method(arguments) => Operation [other operands] { attributes };`
macro_rules! methods {
    ($($(#[$doc:meta])+ $name:ident($($argument:ident: $type:ty),*) =>
        $operation:ident $([$($operand:expr),+])? $({ $attributes:expr })?;)+) => {
        impl Tensor {$(
            $(#[$doc])+
            #[track_caller]
            pub fn $name(self, $($argument: $type),*) -> Tensor {
                self.ask(Operation::$operation, [$($($operand),+)?], &methods!(@ $($attributes)?))
            }
        )+}
    };
    (@) => { () };
    (@ $attributes:expr) => { $attributes };
}

methods! {
    /// `e ^ a`.
    exp() => Exp;
    /// Natural logarithm.
    log() => Log;
    /// Square root. Its gradient at 0 is infinite: clamp before it where zeros may come.
    sqrt() => Sqrt;
    /// Absolute value.
    abs() => Abs;
    /// Sine, radians.
    sin() => Sin;
    /// Cosine, radians.
    cos() => Cos;
    /// Hyperbolic tangent.
    tanh() => Tanh;
    /// `1 / (1 + e^-a)`.
    sigmoid() => Sigmoid;
    /// `max(a, 0)`.
    relu() => Relu;
    /// `a * sigmoid(a)`.
    silu() => Silu;
    /// The exact GELU, with the error function.
    gelu() => Gelu;
    /// The error function.
    erf() => Erf;
    /// The largest whole number that is not above a. Its gradient is 0. Needs minor version 2, which the plan must say.
    floor() => Floor;
    /// The same numbers, outside the autodiff graph for good.
    detach() => Detach;
    /// `a ^ power`; for a fractional power no element may be negative.
    powf(power: f64) => PowScalar { sized!(Scalar { value: power }) };
    /// Elements limited to `[min, max]`, either of which may be infinite; the gradient outside is 0.
    clamp(min: f64, max: f64) => Clamp { sized!(Range { min, max }) };

    /// `a and b` of two masks of one shape.
    and(other: impl Into<Tensor>) => And [Some(other.into())];
    /// `a or b` of two masks of one shape.
    or(other: impl Into<Tensor>) => Or [Some(other.into())];
    /// `not a` of a mask.
    #[allow(clippy::should_implement_trait)]
    not() => Not;
    /// `a` where this mask holds, else `b`; one shape for all three.
    choose(a: impl Into<Tensor>, b: impl Into<Tensor>) => Where [Some(a.into()), Some(b.into())];

    /// Index of the smallest element of a dimension, which disappears: integers, for [`Tensor::gather_by`]. Of equal elements
    /// the first on the CPU, any of them elsewhere. Needs minor version 2, which the plan must say.
    argmin(dim: usize) => Argmin { dim_of(dim) };
    /// Index of the largest element of a dimension; otherwise as [`Self::argmin`].
    argmax(dim: usize) => Argmax { dim_of(dim) };

    /// Like [`Self::gather`], with the numbers in an integer tensor `[R]`.
    gather_by(dim: usize, rows: impl Into<Tensor>) => Gather [Some(rows.into())] { dim_of(dim) };

    /// Matrix product over the last two dimensions; the dimensions before must agree or be 1.
    matmul(other: impl Into<Tensor>) => Matmul [Some(other.into())];
    /// `x @ weight^T + bias`; weight is `[out, in]` and bias `[out]`, as in PyTorch; this is `[…, in]`.
    linear(weight: impl Into<Tensor>, bias: Option<Tensor>) => Linear [Some(weight.into()), bias];
    /// `softmax(q k^T * scale) v`, of which this is q; all are `[B, heads, T, width]`.
    attention(k: impl Into<Tensor>, v: impl Into<Tensor>, scale: f64) =>
        Attention [Some(k.into()), Some(v.into())] { sized!(Scalar { value: scale }) };
    /// `(x - mean) / sqrt(variance + eps)` over the last dimension, with the biased variance.
    layer_norm(eps: f64) => LayerNorm [None, None] { sized!(Scalar { value: eps }) };
    /// [`Self::layer_norm`], then `* weight + bias`, each of the last dimension's extent.
    layer_norm_affine(weight: &Tensor, bias: &Tensor, eps: f64) =>
        LayerNorm [Some(weight.clone()), Some(bias.clone())] { sized!(Scalar { value: eps }) };
    /// Softmax along a dimension.
    softmax(dim: usize) => Softmax { dim_of(dim) };
    /// Logarithm of the softmax along a dimension.
    log_softmax(dim: usize) => LogSoftmax { dim_of(dim) };
    /// 2-D convolution of `[B, C, H, W]` with weight `[out, C/groups, kh, kw]` and bias `[out]`.
    conv2d(weight: impl Into<Tensor>, bias: Option<Tensor>, convolution: Convolution) =>
        Conv2d [Some(weight.into()), bias] { sized!(Conv2d {
            stride: convolution.stride.map(|n| n as u64),
            padding: convolution.padding.map(|n| n as u64),
            dilation: convolution.dilation.map(|n| n as u64),
            groups: convolution.groups as u64,
        }) };
    /// `[B, C, H, W]` resized to `height` by `width`.
    interpolate(height: usize, width: usize, resize: Resize) => Interpolate { sized!(Interpolate {
        height: height as u64,
        width: width as u64,
        mode: resize.mode as u32,
        align_corners: u8::from(resize.align_corners),
        reserved: [0; 3],
    }) };
}

impl Tensor {
    /// `a * a`.
    #[track_caller]
    pub fn square(self) -> Tensor {
        &self * &self
    }

    /// Another element type; itself if it has it. Differentiable between floats; a mask becomes 0 and 1.
    #[track_caller]
    pub fn cast(self, dtype: DType) -> Tensor {
        if self.dtype() == dtype {
            return self;
        }
        let dtype = dtype as u32;
        self.ask(Operation::Cast, [], &sized!(Cast { dtype, reserved: 0 }))
    }
}
