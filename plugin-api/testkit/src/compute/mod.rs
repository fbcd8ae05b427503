//! Every operation of the contract's table, on numbers in memory.

mod elementwise;
mod image;
mod layers;
mod shaping;

use sextant_plugin_api::abi::{self, Operation};
use sextant_plugin_api::{DType, Distribution, Error, Network};

use crate::{Tap, Value};

/// An operation's attributes, read out of the plugin's memory.
#[derive(Debug)]
pub(crate) enum Attributes {
    None,
    Scalar(f64),
    Range(f64, f64),
    Dim(usize),
    Dims { dims: Vec<usize>, keep: bool },
    Shape(Vec<usize>),
    Slice(abi::Slice),
    ScatterTo(abi::ScatterTo),
    Conv2d(abi::Conv2d),
    Interpolate(abi::Interpolate),
    Value(Value),
    Random(Random),
    Cast(DType),
    Download(abi::Download),
    Forward(Forward),
}

/// Numbers to draw for each sample.
#[derive(Debug)]
pub(crate) struct Random {
    pub distribution: Distribution,
    pub tag: String,
    pub shape: Vec<usize>,
}

/// A pass of another network.
#[derive(Debug)]
pub(crate) struct Forward {
    pub network: Network,
    /// Activations that are read: blocks by their depth, or the output.
    pub taps: Vec<Tap>,
    pub rows: Vec<u32>,
    pub conditions: Vec<u32>,
}

/// Operands in the order of the table.
pub(crate) struct Operands<'a> {
    pub operation: Operation,
    pub values: &'a [Option<Value>],
}

impl<'a> Operands<'a> {
    /// An operand that must be there.
    pub fn get(&self, index: usize) -> Result<&'a Value, Error> {
        self.optional(index)
            .ok_or_else(|| format!("operand {index} of {:?} is missing", self.operation.info().inputs).into())
    }

    /// An operand that may be left out.
    pub fn optional(&self, index: usize) -> Option<&'a Value> {
        self.values.get(index).and_then(Option::as_ref)
    }

    /// A float operand that must be there.
    pub fn float(&self, index: usize) -> Result<&'a Value, Error> {
        let value = self.get(index)?;
        match value.is_float() {
            true => Ok(value),
            false => Err(format!("operand {index} must have float elements: cast it first").into()),
        }
    }
}

/// The result of an operation that needs nothing of the step.
pub(crate) fn run(operands: &Operands<'_>, attributes: &Attributes) -> Result<Value, Error> {
    use Attributes as A;
    use Operation as O;
    let a = || operands.get(0);
    match (operands.operation, attributes) {
        (O::Add | O::Sub | O::Mul | O::Div, _) => elementwise::arithmetic(operands),
        (O::AddScalar | O::MulScalar | O::PowScalar, A::Scalar(value)) => elementwise::scalar(operands, *value),
        (O::Clamp, A::Range(min, max)) => elementwise::clamp(operands, *min, *max),
        (O::Equal | O::Greater | O::GreaterEqual | O::Lower | O::LowerEqual, _) => elementwise::compare(operands),
        (O::And | O::Or | O::Not, _) => elementwise::logic(operands),
        (O::Where, _) => elementwise::choose(operands),
        (O::Cast, A::Cast(dtype)) => Ok(elementwise::cast(a()?, *dtype)),
        (O::Detach, _) => Ok(a()?.clone()),
        (O::Full | O::Upload, A::Value(value)) => Ok(value.clone()),
        (O::Sum | O::Mean | O::Max | O::Min, A::Dims { dims, keep }) => shaping::reduce(operands, dims, *keep),
        (O::Argmin | O::Argmax, A::Dim(dim)) => shaping::index_of_extreme(operands, *dim),
        (O::Reshape, A::Shape(shape)) => shaping::reshape(a()?, shape),
        (O::Permute, A::Dims { dims, .. }) => shaping::permute(a()?, dims),
        (O::Expand, A::Shape(shape)) => shaping::expand(a()?, shape),
        (O::Slice, A::Slice(slice)) => shaping::slice(a()?, slice),
        (O::Concat, A::Dim(dim)) => shaping::concat(operands, *dim),
        (O::Gather, A::Dim(dim)) => shaping::gather(a()?, operands.get(1)?, *dim),
        (O::Scatter, A::ScatterTo(to)) => shaping::scatter(a()?, operands.get(1)?, to.dim as usize, to.count as usize),
        (O::Matmul, _) => layers::matmul(operands.float(0)?, operands.float(1)?),
        (O::Linear, _) => layers::linear(operands),
        (O::Attention, A::Scalar(scale)) => layers::attention(operands, *scale),
        (O::LayerNorm, A::Scalar(eps)) => layers::layer_norm(operands, *eps),
        (O::Softmax | O::LogSoftmax, A::Dim(dim)) => layers::softmax(operands, *dim),
        (O::Conv2d, A::Conv2d(convolution)) => image::conv2d(operands, convolution),
        (O::Interpolate, A::Interpolate(size)) => image::interpolate(operands, size),
        (operation, A::None) if operation.info().attributes.is_empty() => elementwise::unary(operands),
        (operation, _) => Err(format!("{} came without its attributes", operation.info().name).into()),
    }
}

/// The error of what does not hold.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

fn same_dtype(a: &Value, b: &Value) -> Result<(), Error> {
    let (a, b) = (a.dtype, b.dtype);
    ensure(a == b, || format!("element types {a:?} and {b:?} are mixed: cast one"))
}

/// The shape that two shapes broadcast to.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Error> {
    let fits = |(x, y): (&usize, &usize)| x == y || *x == 1 || *y == 1;
    if a.len() != b.len() || !a.iter().zip(b).all(fits) {
        return Err(format!("shapes {a:?} and {b:?} do not broadcast").into());
    }
    let extent = |(x, y): (&usize, &usize)| if *x == 1 { *y } else { *x };
    Ok(a.iter().zip(b).map(extent).collect())
}
