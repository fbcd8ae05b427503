//! Floating-point operations that a source asks for, from shapes alone.

use sextant_plugin_api::abi::Operation;

use super::{Request, Spec};

/// Floating-point operations of a matrix product, convolution or attention, forward and backward; 0 for everything else.
///
/// A multiplication and an addition are two. A product's gradient costs as much as the product for each of its two factors that
/// `needs_gradient`; attention's twice as much as attention, if any operand does.
pub(crate) fn work(request: &Request<'_>, output: &Spec, needs_gradient: impl Fn(usize) -> bool) -> u64 {
    let last = |index: usize| request.input(index).shape.last().copied().unwrap_or(0);
    let terms = match request.operation {
        // Of each element of the result.
        Operation::Matmul => last(0),
        Operation::Linear => last(1),
        Operation::Conv2d => request.input(1).shape[1..].iter().product(),
        Operation::Attention => {
            // Scores and mixing: both have a product for each pair of tokens.
            let pairs = output.elements() / last(2).max(1) * request.input(1).shape[2];
            let forward = 2 * (pairs * (last(0) + last(2))) as u64;
            return if (0..3).any(needs_gradient) {
                3 * forward
            } else {
                forward
            };
        }
        _ => return 0,
    };
    let factors = (0..2).filter(|index| needs_gradient(*index)).count();
    (2 * output.elements() as u64).saturating_mul(terms as u64) * (1 + factors as u64)
}
