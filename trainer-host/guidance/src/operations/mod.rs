//! Operations that a source may ask for, on burn's rank-free tensors, so that gradients flow through whatever backend is below.
//!
//! Each operation is first checked against the shapes and element types of its operands, which gives the specs of its
//! results and a closure that computes them; a backend is only called with what it accepts. Backends are never called
//! for tensors without elements: those have a spec only.

mod arithmetic;
mod comparison;
mod context;
mod conversion;
mod creation;
mod image;
mod linear_algebra;
mod normalisation;
mod reduction;
mod rows;
mod services;
mod shaping;
mod spec;
#[cfg(test)]
mod tests;

pub(super) use context::{Context, Frozen};
pub(super) use conversion::{data, element_bytes, host_bytes};
pub(super) use creation::from_data;
pub use spec::Spec;
pub(super) use spec::{constant, inner, physical};

use burn::backend::{Dispatch, DispatchAutodiffContext, DispatchTensor};
use sextant_model::cost::{attention, convolution, product, with_gradients};
use sextant_plugin_api::abi::Operation;

use super::boundary::Attributes;
use super::fault::Fault;

/// Operands for the closure of a checked operation; `None` where one was left out or has no elements.
pub(super) struct Operands(Vec<Option<DispatchTensor>>);

impl Operands {
    /// Operands, in the order of the table.
    pub fn new(tensors: Vec<Option<DispatchTensor>>) -> Self {
        Self(tensors)
    }

    /// Tells whether gradients flow to an operand.
    pub fn tracked(&self, index: usize) -> bool {
        let tensor = self.0.get(index).and_then(Option::as_ref);
        tensor
            .is_some_and(|tensor| tensor.autodiff != DispatchAutodiffContext::Disabled && Dispatch::is_tracked(tensor))
    }

    /// Moves out an operand that the check has seen, and whose elements it needs.
    fn take(&mut self, index: usize) -> DispatchTensor {
        self.optional(index).expect("the check has seen this operand")
    }

    /// Moves out an operand that may be missing.
    fn optional(&mut self, index: usize) -> Option<DispatchTensor> {
        self.0.get_mut(index).and_then(Option::take)
    }
}

type Run<'a> = Box<dyn FnOnce(Operands, &mut Context) -> Result<Vec<DispatchTensor>, Fault> + 'a>;

/// An operation that is known to be possible.
pub(super) struct Checked<'a> {
    /// Its results.
    pub outputs: Vec<Spec>,
    /// Computes the outputs, in their order. Only called where an output has elements, or there is none.
    pub run: Run<'a>,
    /// Tells whether the closure copes with operands without elements; the outputs are 0 otherwise.
    pub takes_empty: bool,
}

impl<'a> Checked<'a> {
    /// An operation with one result that cannot fail.
    fn one(output: Spec, run: impl FnOnce(Operands, &mut Context) -> DispatchTensor + 'a) -> Result<Self, Fault> {
        Ok(Self {
            outputs: vec![output],
            run: Box::new(move |operands, context| Ok(vec![run(operands, context)])),
            takes_empty: false,
        })
    }

    /// An operation with one operand and one result.
    fn unary(output: Spec, run: impl FnOnce(DispatchTensor) -> DispatchTensor + 'a) -> Result<Self, Fault> {
        Self::one(output, move |mut operands, _| run(operands.take(0)))
    }

    /// An operation with two operands and one result.
    fn binary(
        output: Spec,
        run: impl FnOnce(DispatchTensor, DispatchTensor) -> DispatchTensor + 'a,
    ) -> Result<Self, Fault> {
        Self::one(output, move |mut operands, _| {
            let a = operands.take(0);
            run(a, operands.take(1))
        })
    }
}

/// An operation as it is asked for: what a check may look at.
pub(super) struct Request<'a> {
    /// The operation.
    pub operation: Operation,
    /// Operands; `None` where an optional one was left out. The required ones are there.
    pub inputs: &'a [Option<&'a Spec>],
    /// Its attribute struct.
    pub attributes: Attributes,
}

impl<'a> Request<'a> {
    /// An operand that is required, or known to be there.
    fn input(&self, index: usize) -> &'a Spec {
        self.inputs[index].expect("required operands are there")
    }

    /// An operand that may have been left out.
    fn optional(&self, index: usize) -> Option<&'a Spec> {
        self.inputs.get(index).copied().flatten()
    }
}

/// Decides whether the operation is possible. The error says why not, without the operation's name and operands, which
/// the caller adds.
pub(super) fn check<'a>(request: &Request<'_>, context: &Context) -> Result<Checked<'a>, Fault> {
    use Operation as O;
    match request.operation {
        O::Add | O::Sub | O::Mul | O::Div => arithmetic::binary(request),
        O::AddScalar | O::MulScalar | O::PowScalar => arithmetic::scalar(request),
        O::Clamp => arithmetic::clamp(request),
        O::Neg
        | O::Exp
        | O::Log
        | O::Sqrt
        | O::Abs
        | O::Sin
        | O::Cos
        | O::Tanh
        | O::Sigmoid
        | O::Relu
        | O::Silu
        | O::Gelu
        | O::Erf
        | O::Floor => arithmetic::unary(request),
        O::Equal | O::Greater | O::GreaterEqual | O::Lower | O::LowerEqual => comparison::compare(request, context),
        O::And | O::Or | O::Not => comparison::logic(request),
        O::Where => comparison::choose(request),
        O::Sum | O::Mean | O::Max | O::Min => reduction::reduce(request),
        O::Argmin | O::Argmax => reduction::index_of_extreme(request, context),
        O::Reshape => shaping::reshape(request),
        O::Permute => shaping::permute(request),
        O::Expand => shaping::expand(request),
        O::Slice => shaping::slice(request),
        O::Concat => shaping::concat(request),
        O::Gather => rows::gather(request),
        O::Scatter => rows::scatter(request),
        O::Matmul => linear_algebra::matmul(request),
        O::Linear => linear_algebra::linear(request),
        O::Attention => linear_algebra::attention(request),
        O::LayerNorm => normalisation::layer_norm(request),
        O::Softmax | O::LogSoftmax => normalisation::softmax(request),
        O::Conv2d => image::conv2d(request),
        O::Interpolate => image::interpolate(request),
        O::Full => creation::full(request),
        O::Upload => creation::upload(request),
        O::Random => creation::random(request, context),
        O::Cast => conversion::cast(request, context),
        O::Detach => conversion::detach(request),
        O::Download => conversion::download(request),
        O::Forward => services::forward(request, context),
        O::Diffuse => services::diffuse(request),
        O::PathCoefficients => services::path_coefficients(request),
    }
}

/// Floating-point operations of a matrix product, convolution or attention, forward and backward, from shapes alone; 0 for
/// everything else. Attention has a gradient of both its products if any operand has one.
pub(super) fn work(request: &Request<'_>, output: &Spec, needs_gradient: impl Fn(usize) -> bool) -> u64 {
    let last = |index: usize| request.input(index).shape.last().copied().unwrap_or(0);
    let factors = (0..2).filter(|index| needs_gradient(*index)).count();
    let elements = output.elements();
    match request.operation {
        Operation::Matmul => with_gradients(product(elements, last(0), 1), factors),
        Operation::Linear => with_gradients(product(elements, last(1), 1), factors),
        Operation::Conv2d => {
            let [_, inputs, kernel @ ..] = &request.input(1).shape[..] else {
                return 0;
            };
            let forward = convolution(elements, *inputs, 1, kernel.iter().product());
            with_gradients(forward, factors)
        }
        Operation::Attention => {
            let (queries, keys) = (elements / last(2).max(1), request.input(1).shape[2]);
            let tracked = (0..3).any(needs_gradient);
            with_gradients(attention(queries, keys, last(0), last(2)), if tracked { 2 } else { 0 })
        }
        _ => 0,
    }
}
