//! Element types and shapes, as the contract has them and as burn does.

use std::fmt;

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{
    AutodiffBackend, BoolDType, Dispatch, DispatchAutodiffContext, DispatchDevice, DispatchTensor, FloatDType,
    IntDType, Scalar, TensorMetadata, get_or_init_device_settings,
};
use burn::tensor::Shape;
use sextant_plugin_api::abi::{self, DType};

use crate::fault::Fault;

/// Element type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Element type.
    pub dtype: DType,
    /// Extents; none for a scalar.
    pub shape: Vec<usize>,
    /// Smallest and largest element, where the host happens to know them (row numbers that a plugin uploaded).
    pub bounds: Option<(i64, i64)>,
}

impl Spec {
    /// A tensor whose elements are not known.
    pub fn new(dtype: DType, shape: Vec<usize>) -> Self {
        Self {
            dtype,
            shape,
            bounds: None,
        }
    }

    /// Knowledge of a tensor of burn's.
    pub fn of(tensor: &DispatchTensor) -> Self {
        use burn::tensor::DType as B;
        let dtype = match tensor.dtype() {
            B::F32 | B::Flex32 => DType::F32,
            B::BF16 => DType::BF16,
            B::F16 => DType::F16,
            B::F64 => DType::F64,
            B::Bool(_) => DType::Bool,
            _ => DType::Int,
        };
        Self::new(dtype, tensor.shape().to_vec())
    }

    /// Number of elements; the largest number there is where they are more.
    pub fn elements(&self) -> usize {
        match self.shape.contains(&0) {
            true => 0,
            false => self.shape.iter().fold(1, |n, extent| n.saturating_mul(*extent)),
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The same element type in another shape.
    pub(super) fn with_shape(&self, shape: Vec<usize>) -> Self {
        Self::new(self.dtype, shape)
    }

    /// Tells whether the elements are floats of any width.
    pub fn is_float(&self) -> bool {
        !matches!(self.dtype, DType::Int | DType::Bool)
    }

    /// As it crosses the boundary.
    pub(crate) fn reference(&self, handle: abi::Handle) -> abi::TensorRef {
        let mut shape = abi::Shape {
            rank: self.rank() as u32,
            ..abi::Shape::default()
        };
        let dims = shape.dims.iter_mut().zip(&self.shape);
        dims.for_each(|(to, from)| *to = *from as u64);
        abi::TensorRef {
            handle,
            dtype: self.dtype as u32,
            reserved: 0,
            shape,
        }
    }

    /// An error unless the elements are floats.
    pub(super) fn needs_float(&self, name: &str) -> Result<(), Fault> {
        let fault = || Fault::Operand(format!("{name} must have float elements: cast it first"));
        self.is_float().then_some(()).ok_or_else(fault)
    }

    /// An error unless there are `rank` dimensions.
    pub(super) fn needs_rank(&self, name: &str, rank: usize) -> Result<(), Fault> {
        let fault = || Fault::Operand(format!("{name} must have {rank} dimensions"));
        (self.rank() == rank).then_some(()).ok_or_else(fault)
    }

    /// An error unless the dimension exists.
    pub(super) fn needs_dim(&self, dim: usize) -> Result<(), Fault> {
        let fault = || Fault::Attribute(format!("dimension {dim} does not exist (they are counted from 0)"));
        (dim < self.rank()).then_some(()).ok_or_else(fault)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", dtype_name(self.dtype), self.shape)
    }
}

fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        DType::F64 => "f64",
        DType::Int => "int",
        DType::Bool => "bool",
    }
}

/// An error unless both have one element type.
pub(super) fn same_dtype(a: &Spec, b: &Spec) -> Result<(), Fault> {
    let fault = || Fault::Operand("element types differ: cast one of them".into());
    (a.dtype == b.dtype).then_some(()).ok_or_else(fault)
}

/// The common shape of two operands: equal ranks, and extents that are equal or 1.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Fault> {
    if a.len() != b.len() {
        return Err(Fault::Operand("ranks differ: reshape one of them".into()));
    }
    let common = |(dim, pair): (usize, (&usize, &usize))| match pair {
        (x, y) if x == y => Ok(*x),
        (1, y) => Ok(*y),
        (x, 1) => Ok(*x),
        (a, b) => Err(Fault::Operand(format!(
            "extents {a} and {b} of dimension {dim} neither agree nor are 1"
        ))),
    };
    a.iter().zip(b).enumerate().map(common).collect()
}

/// The shape in which burn holds a tensor: burn has no rank 0.
pub(crate) fn physical(shape: &[usize]) -> Shape {
    match shape {
        [] => Shape::from(vec![1]),
        shape => Shape::from(shape.to_vec()),
    }
}

/// A tensor of one value, outside autodiff. For masks, anything but 0 is true.
pub(crate) fn constant(spec: &Spec, value: f64, device: &DispatchDevice) -> DispatchTensor {
    let shape = physical(&spec.shape);
    match spec.dtype {
        DType::Int => Dispatch::int_full(shape, Scalar::Int(value as i64), device, int_dtype(device)),
        DType::Bool if value == 0.0 => Dispatch::bool_zeros(shape, device, bool_dtype(device)),
        DType::Bool => Dispatch::bool_ones(shape, device, bool_dtype(device)),
        dtype => Dispatch::float_full(shape, Scalar::Float(value), device, float_dtype(dtype)),
    }
}

/// burn's name of a float type. Must not be called for others.
pub(super) fn float_dtype(dtype: DType) -> FloatDType {
    match dtype {
        DType::BF16 => FloatDType::BF16,
        DType::F16 => FloatDType::F16,
        DType::F64 => FloatDType::F64,
        _ => FloatDType::F32,
    }
}

/// Integers as the device prefers them.
pub(super) fn int_dtype(device: &DispatchDevice) -> IntDType {
    get_or_init_device_settings::<Dispatch>(device).int_dtype
}

/// Masks as the device prefers them.
pub(super) fn bool_dtype(device: &DispatchDevice) -> BoolDType {
    get_or_init_device_settings::<Dispatch>(device).bool_dtype
}

/// The tensor outside autodiff, for good.
pub(crate) fn inner(tensor: DispatchTensor) -> DispatchTensor {
    if tensor.autodiff == DispatchAutodiffContext::Disabled {
        return tensor;
    }
    match Spec::of(&tensor).dtype {
        DType::Int => Dispatch::int_inner(tensor),
        DType::Bool => Dispatch::bool_inner(tensor),
        _ => Dispatch::inner(tensor),
    }
}

/// Calls the function of the tensor's family.
macro_rules! by_family {
    ($spec:expr, $float:expr, $int:expr, $bool:expr) => {
        match $spec.dtype {
            sextant_plugin_api::abi::DType::Int => $int,
            sextant_plugin_api::abi::DType::Bool => $bool,
            _ => $float,
        }
    };
}
pub(super) use by_family;

/// Another shape for the same elements; nothing is done where it is the same.
pub(super) fn reshaped(tensor: DispatchTensor, shape: Shape) -> DispatchTensor {
    if tensor.shape() == shape {
        return tensor;
    }
    by_family!(
        Spec::of(&tensor),
        Dispatch::float_reshape(tensor, shape),
        Dispatch::int_reshape(tensor, shape),
        Dispatch::bool_reshape(tensor, shape)
    )
}

/// Repeats extents of 1; nothing is done where the shape is the same.
pub(super) fn expanded(tensor: DispatchTensor, shape: Shape) -> DispatchTensor {
    if tensor.shape() == shape {
        return tensor;
    }
    by_family!(
        Spec::of(&tensor),
        Dispatch::float_expand(tensor, shape),
        Dispatch::int_expand(tensor, shape),
        Dispatch::bool_expand(tensor, shape)
    )
}
