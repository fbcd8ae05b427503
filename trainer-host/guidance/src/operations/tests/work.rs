//! Floating-point operations, counted from shapes.

use super::*;
use crate::traced;

/// Count of asking for this operation.
fn counted<A>(operation: Operation, inputs: &[DispatchTensor], attributes: &A) -> u64 {
    let mut bench = Bench::new();
    let handles: Vec<Handle> = inputs.iter().map(|input| bench.lend_raw(input.clone())).collect();
    traced(|| bench.one(operation, &handles, attributes)).1.work
}

fn constant<const D: usize>(shape: [usize; D]) -> DispatchTensor {
    tensor(shape, &cpu()).into_dispatch()
}

fn trained<const D: usize>(shape: [usize; D]) -> DispatchTensor {
    tensor(shape, &cpu()).require_grad().into_dispatch()
}

#[test]
fn should_count_a_product_and_one_more_for_each_factor_with_a_gradient() {
    let forward = 2 * 2 * 3 * 4 * 5;
    let product = |a, b| counted(Operation::Matmul, &[a, b], &());
    assert_eq!(product(constant([2, 3, 4]), constant([2, 4, 5])), forward);
    assert_eq!(product(trained([2, 3, 4]), constant([2, 4, 5])), 2 * forward);
    assert_eq!(product(constant([2, 3, 4]), trained([1, 4, 5])), 2 * forward);
    assert_eq!(product(trained([2, 3, 4]), trained([2, 4, 5])), 3 * forward);
    // Outside autodiff nothing has a gradient.
    let outside = |shape| lent(&tensor::<3>(shape, &Device::flex()));
    assert_eq!(product(outside([2, 3, 4]), outside([2, 4, 5])), forward);
    // A result of what is trained has a gradient as well.
    let result = (Tensor::<3>::from_dispatch(trained([2, 3, 4])) * 2.0).into_dispatch();
    assert_eq!(product(result, constant([2, 4, 5])), 2 * forward);
}

#[test]
fn should_count_layers() {
    let linear = [constant([2, 3, 4]), trained([5, 4]), trained([5])];
    assert_eq!(counted(Operation::Linear, &linear, &()), 2 * (2 * 2 * 3 * 4 * 5));
    let mut options = abi::Conv2d::blank();
    (options.stride, options.padding) = ([1, 1], [1, 1]);
    (options.dilation, options.groups) = ([1, 1], 2);
    // 4x4 pixels, 6 outputs, each of 2 channels and a kernel of 3x3.
    let conv = [trained([2, 4, 4, 4]), trained([6, 2, 3, 3])];
    assert_eq!(
        counted(Operation::Conv2d, &conv, &options),
        3 * (2 * 2 * 6 * 16 * 2 * 9)
    );
    // 2 samples, 3 heads, 4 queries, 5 keys of width 6, values of width 7.
    let forward = 2 * 2 * 3 * 4 * 5 * (6 + 7);
    let attention = |q| {
        let inputs = [q, constant([2, 3, 5, 6]), constant([2, 3, 5, 7])];
        counted(Operation::Attention, &inputs, &scalar(0.4))
    };
    assert_eq!(attention(constant([2, 3, 4, 6])), forward);
    assert_eq!(attention(trained([2, 3, 4, 6])), 3 * forward);
}

#[test]
fn should_not_count_what_is_linear_in_its_operands_nor_what_is_empty() {
    assert_eq!(counted(Operation::Add, &[trained([2, 3]), trained([2, 3])], &()), 0);
    let mut bench = Bench::new();
    let (a, b) = (bench.lend_empty(DType::F32, &[0, 3]), bench.lend_raw(trained([3, 2])));
    assert_eq!(traced(|| bench.one(Operation::Matmul, &[a, b], &())).1.work, 0);
}
