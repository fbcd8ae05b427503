//! The operations: one table gives their numbers, their documentation and what the host checks.

use super::layout::numbered;
use super::{Array, DTypeCode, MAX_RANK, NetworkCode, Shape, Text};

/// One row of the table of operations.
#[derive(Debug)]
pub struct OperationInfo {
    /// The number that crosses the boundary.
    pub code: u32,
    /// Its name, in snake case.
    pub name: &'static str,
    /// Names of its operands; one that ends in `?` may be left out, one that ends in `*` may repeat.
    pub inputs: &'static [&'static str],
    /// Name of its attribute struct; empty where it has none.
    pub attributes: &'static str,
    /// Names of its results.
    pub outputs: &'static [&'static str],
    /// Words on the computation.
    pub doc: &'static str,
}

macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $code:literal $variant:ident $name:literal
        ($($input:literal),*) [$($attributes:ident)?] -> ($($output:literal),*);)+) => {
        /// Operations that a plugin can ask of the host.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[doc = $doc])+ $variant = $code,)+ }

        /// Every operation, by number. `docs/operations.md` is generated from it.
        pub const OPERATIONS: &[OperationInfo] = &[$(OperationInfo {
            code: $code,
            name: $name,
            inputs: &[$($input),*],
            attributes: concat!($(stringify!($attributes))?),
            outputs: &[$($output),*],
            doc: concat!($($doc),+),
        }),+];

        impl Operation {
            /// The operation with this number, if there is one.
            pub fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

impl Operation {
    /// Its row of the table.
    pub fn info(self) -> &'static OperationInfo {
        OPERATIONS
            .iter()
            .find(|row| row.code == self as u32)
            .expect("the table has a row for every variant")
    }
}

operations! {
    /// `a + b`, with broadcasting of extents that are 1 (ranks must agree).
    1 Add "add" ("a", "b") [] -> ("sum");
    /// `a - b`, with broadcasting.
    2 Sub "sub" ("a", "b") [] -> ("difference");
    /// `a * b`, elementwise, with broadcasting.
    3 Mul "mul" ("a", "b") [] -> ("product");
    /// `a / b`, elementwise, with broadcasting.
    4 Div "div" ("a", "b") [] -> ("quotient");

    /// `a + value`.
    10 AddScalar "add_scalar" ("a") [Scalar] -> ("sum");
    /// `a * value`.
    11 MulScalar "mul_scalar" ("a") [Scalar] -> ("product");
    /// `a ^ value`; for a fractional power a must not be negative.
    12 PowScalar "pow_scalar" ("a") [Scalar] -> ("power");
    /// Elements limited to `[min, max]`; the gradient outside is 0.
    13 Clamp "clamp" ("a") [Range] -> ("limited");

    /// `-a`.
    20 Neg "neg" ("a") [] -> ("result");
    /// `e ^ a`.
    21 Exp "exp" ("a") [] -> ("result");
    /// Natural logarithm.
    22 Log "log" ("a") [] -> ("result");
    /// Square root.
    23 Sqrt "sqrt" ("a") [] -> ("result");
    /// Absolute value.
    24 Abs "abs" ("a") [] -> ("result");
    /// Sine, radians.
    25 Sin "sin" ("a") [] -> ("result");
    /// Cosine, radians.
    26 Cos "cos" ("a") [] -> ("result");
    /// Hyperbolic tangent.
    27 Tanh "tanh" ("a") [] -> ("result");
    /// `1 / (1 + e^-a)`.
    28 Sigmoid "sigmoid" ("a") [] -> ("result");
    /// `max(a, 0)`.
    29 Relu "relu" ("a") [] -> ("result");
    /// `a * sigmoid(a)`.
    30 Silu "silu" ("a") [] -> ("result");
    /// The exact GELU, with the error function.
    31 Gelu "gelu" ("a") [] -> ("result");
    /// The error function.
    32 Erf "erf" ("a") [] -> ("result");
    /// The largest whole number that is not above a; the gradient is 0. Since 1.2.
    33 Floor "floor" ("a") [] -> ("result");

    /// `a == b`, with broadcasting; truth values.
    40 Equal "equal" ("a", "b") [] -> ("mask");
    /// `a > b`, with broadcasting; truth values.
    41 Greater "greater" ("a", "b") [] -> ("mask");
    /// `a >= b`, with broadcasting; truth values.
    42 GreaterEqual "greater_equal" ("a", "b") [] -> ("mask");
    /// `a < b`, with broadcasting; truth values.
    43 Lower "lower" ("a", "b") [] -> ("mask");
    /// `a <= b`, with broadcasting; truth values.
    44 LowerEqual "lower_equal" ("a", "b") [] -> ("mask");
    /// `a and b` of two masks of one shape.
    45 And "and" ("a", "b") [] -> ("mask");
    /// `a or b` of two masks of one shape.
    46 Or "or" ("a", "b") [] -> ("mask");
    /// `not a` of a mask.
    47 Not "not" ("a") [] -> ("mask");
    /// `a` where the mask holds, else `b`; one shape for all three.
    48 Where "where" ("mask", "a", "b") [] -> ("chosen");

    /// Sum over dimensions; over none left, 0. Reduced dimensions stay with extent 1 if `keep`.
    60 Sum "sum" ("a") [Dims] -> ("result");
    /// Mean over dimensions, none of them empty.
    61 Mean "mean" ("a") [Dims] -> ("result");
    /// Maximum over dimensions, none of them empty.
    62 Max "max" ("a") [Dims] -> ("result");
    /// Minimum over dimensions, none of them empty.
    63 Min "min" ("a") [Dims] -> ("result");
    /// Index of the smallest element of a dimension that is not empty; the dimension disappears. Integers. Of equal
    /// elements the first on the CPU, any of them elsewhere. Since 1.2.
    64 Argmin "argmin" ("a") [Dim] -> ("index");
    /// Index of the largest element of a dimension that is not empty; as `argmin`. Since 1.2.
    65 Argmax "argmax" ("a") [Dim] -> ("index");

    /// The same elements, row by row, in another shape.
    80 Reshape "reshape" ("a") [NewShape] -> ("result");
    /// Dimension i of the result is dimension `dims[i]` of a.
    81 Permute "permute" ("a") [Dims] -> ("result");
    /// Repeats dimensions of extent 1 to the extents given.
    82 Expand "expand" ("a") [NewShape] -> ("result");
    /// Elements `start`, `start + step`, … below `end` of a dimension.
    83 Slice "slice" ("a") [Slice] -> ("part");
    /// Tensors joined along a dimension.
    84 Concat "concat" ("part*") [Dim] -> ("whole");
    /// Rows of a dimension, by number: `result[i] = a[rows[i]]`.
    85 Gather "gather" ("a", "rows") [Dim] -> ("chosen");
    /// The reverse of gather: zeros with `count` rows, to which row `rows[i]` gains `a[i]`.
    86 Scatter "scatter" ("a", "rows") [ScatterTo] -> ("result");

    /// Matrix product over the last two dimensions; the dimensions before must agree or be 1.
    100 Matmul "matmul" ("a", "b") [] -> ("product");
    /// `x @ weight^T + bias`; weight is `[out, in]`, as in PyTorch; x is `[…, in]`.
    101 Linear "linear" ("x", "weight", "bias?") [] -> ("y");
    /// softmax(q k^T * scale) v on `[B, heads, T, width]`.
    102 Attention "attention" ("q", "k", "v") [Scalar] -> ("result");
    /// (x - mean) / sqrt(variance + eps) over the last dimension (biased variance), then an optional affine map.
    103 LayerNorm "layer_norm" ("x", "weight?", "bias?") [Scalar] -> ("result");
    /// Softmax along a dimension.
    104 Softmax "softmax" ("a") [Dim] -> ("result");
    /// Logarithm of the softmax along a dimension.
    105 LogSoftmax "log_softmax" ("a") [Dim] -> ("result");
    /// 2-D convolution of `[B, C, H, W]` with weight `[out, C/groups, kh, kw]`.
    106 Conv2d "conv2d" ("x", "weight", "bias?") [Conv2d] -> ("y");
    /// `[B, C, H, W]` resized, without antialiasing.
    107 Interpolate "interpolate" ("x") [Interpolate] -> ("y");

    /// A tensor of one value.
    120 Full "full" () [Full] -> ("result");
    /// Numbers of the plugin's, copied to the device.
    121 Upload "upload" () [Upload] -> ("result");
    /// Draws for each sample of the batch, `[B, …]`, a function of seed, instance, step, sample id and tag alone.
    122 Random "random" () [Random] -> ("draws");
    /// Another element type. Differentiable between floats; masks become 0 and 1.
    123 Cast "cast" ("a") [Cast] -> ("result");
    /// The same numbers, outside the autodiff graph for good.
    124 Detach "detach" ("a") [] -> ("result");
    /// Copies a tensor to the plugin's memory. A SYNCHRONISATION: the device's queue drains first.
    125 Download "download" ("a") [Download] -> ();

    /// Activations of a frozen network, several taps in one pass and no deeper than the deepest; no gradients.
    /// Row i of the inputs belongs to sample `rows[i]` of the batch, whose condition is used as `conditions[i]` says.
    /// One result per depth, in the order asked; where its kind is the output, `[R, C, H, W]` instead of tokens.
    140 Forward "forward" ("x_t", "t") [Forward] -> ("features*");
    /// x_t of the path: `alpha(t) x + sigma(t) n`, for x and n `[R, …]` and t `[R]`.
    141 Diffuse "diffuse" ("x", "n", "t") [] -> ("x_t");
    /// alpha, sigma and their derivatives by t, each of t's shape `[R]`.
    142 PathCoefficients "path_coefficients" ("t") [] -> ("alpha", "sigma", "d_alpha", "d_sigma");
}

/// Attribute: one number.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scalar {
    /// `sizeof(Scalar)`.
    pub size: u64,
    /// The number: addend, factor, power, eps or scale.
    pub value: f64,
}

/// Attribute: a closed interval.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// `sizeof(Range)`.
    pub size: u64,
    /// Lower end; may be -inf.
    pub min: f64,
    /// Upper end; may be +inf.
    pub max: f64,
}

/// Attribute: one dimension, counted from 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Dim {
    /// `sizeof(Dim)`.
    pub size: u64,
    /// The dimension.
    pub dim: u32,
    /// Padding, 0.
    pub reserved: u32,
}

/// Attribute: several dimensions, counted from 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Dims {
    /// `sizeof(Dims)`.
    pub size: u64,
    /// Number of them.
    pub len: u32,
    /// 1 if reduced dimensions stay with extent 1.
    pub keep: u8,
    /// Padding, 0.
    pub reserved: [u8; 3],
    /// The dimensions.
    pub dims: [u32; MAX_RANK],
}

/// Attribute: a shape.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NewShape {
    /// `sizeof(NewShape)`.
    pub size: u64,
    /// The shape.
    pub shape: Shape,
}

/// Attribute: part of a dimension.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// `sizeof(Slice)`.
    pub size: u64,
    /// The dimension.
    pub dim: u32,
    /// Padding, 0.
    pub reserved: u32,
    /// First element.
    pub start: u64,
    /// One past the last element.
    pub end: u64,
    /// Distance of two elements, at least 1.
    pub step: u64,
}

/// Attribute: where rows go.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ScatterTo {
    /// `sizeof(ScatterTo)`.
    pub size: u64,
    /// The dimension.
    pub dim: u32,
    /// Padding, 0.
    pub reserved: u32,
    /// Its extent in the result.
    pub count: u64,
}

/// Attribute: a convolution's shape. Each pair is vertical, horizontal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    /// `sizeof(Conv2d)`.
    pub size: u64,
    /// Steps.
    pub stride: [u64; 2],
    /// Zeros around.
    pub padding: [u64; 2],
    /// Distance of the kernel's elements.
    pub dilation: [u64; 2],
    /// Groups of channels.
    pub groups: u64,
}

/// Reading between pixels for [`Operation::Interpolate`] ([`Interpolation`] as its number).
pub type InterpolationCode = u32;

/// Ways of interpolation.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Nearest pixel.
    Nearest = 0,
    /// Linear in both directions.
    Bilinear = 1,
    /// Cubic in both directions.
    Bicubic = 2,
}

/// Attribute: a new size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Interpolate {
    /// `sizeof(Interpolate)`.
    pub size: u64,
    /// New height.
    pub height: u64,
    /// New width.
    pub width: u64,
    /// An [`Interpolation`].
    pub mode: InterpolationCode,
    /// 1 if the centres of the corner pixels are fixed, 0 if the outer corners are.
    pub align_corners: u8,
    /// Padding, 0.
    pub reserved: [u8; 3],
}

/// Attribute: a tensor of one value.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Full {
    /// `sizeof(Full)`.
    pub size: u64,
    /// The value.
    pub value: f64,
    /// A [`super::DType`].
    pub dtype: DTypeCode,
    /// Padding, 0.
    pub reserved: u32,
    /// The shape.
    pub shape: Shape,
}

/// Attribute: numbers in the plugin's memory, row-major: f32 for floats, i64 for integers, u8 for masks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    /// `sizeof(Upload)`.
    pub size: u64,
    /// A [`super::DType`].
    pub dtype: DTypeCode,
    /// Padding, 0.
    pub reserved: u32,
    /// The shape.
    pub shape: Shape,
    /// The elements; only read during the call.
    pub data: Array,
}

/// A distribution ([`Distribution`] as its number).
pub type DistributionCode = u32;

/// Distributions of [`Operation::Random`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Standard normal.
    Normal = 0,
    /// Uniform on [0, 1).
    Uniform = 1,
}

/// Attribute: what to draw.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// `sizeof(Random)`.
    pub size: u64,
    /// A [`Distribution`].
    pub distribution: DistributionCode,
    /// Padding, 0.
    pub reserved: u32,
    /// Names the draw: the same tag gives the same numbers, whatever was drawn before.
    pub tag: Text,
    /// Shape of one sample, without the batch dimension.
    pub shape: Shape,
}

/// Attribute: an element type.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// `sizeof(Cast)`.
    pub size: u64,
    /// A [`super::DType`].
    pub dtype: DTypeCode,
    /// Padding, 0.
    pub reserved: u32,
}

/// Attribute: where a tensor's elements go: f32 for floats, i64 for integers, u8 for masks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Download {
    /// `sizeof(Download)`.
    pub size: u64,
    /// Memory for the elements.
    pub data: *mut u8,
    /// Its size in bytes; an error if it is not exactly the tensor's.
    pub bytes: u64,
}

/// The condition of a row of [`Operation::Forward`] ([`Condition`] as its number).
pub type ConditionCode = u32;

/// Conditions. What a condition is (a label now, text later) stays the host's.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The sample's own, before dropout.
    Own = 0,
    /// The null condition.
    Null = 1,
    /// The sample's own, or null where dropout took it.
    Dropped = 2,
}

numbered! {
    Interpolation { Nearest, Bilinear, Bicubic }
    Distribution { Normal, Uniform }
    Condition { Own, Null, Dropped }
}

/// Attribute: a forward pass of another network.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// `sizeof(Forward)`.
    pub size: u64,
    /// A [`super::Network`] that the plan declared, not the student.
    pub network: NetworkCode,
    /// Padding, 0.
    pub reserved: u32,
    /// `u32` depths, each declared as a tap of this network.
    pub depths: Array,
    /// `u32` numbers of the samples in the batch, one per row of the inputs.
    pub rows: Array,
    /// `u32` [`Condition`]s, one per row of the inputs.
    pub conditions: Array,
    /// `u32` [`super::TapKind`]s, one per depth: a block, or the output, whose depth is ignored. Empty where all are blocks.
    /// Since 1.2.
    pub kinds: Array,
}
