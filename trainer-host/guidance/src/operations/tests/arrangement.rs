//! Reductions, shapes and rows.

use super::*;

#[test]
fn should_reduce_over_any_dimensions() {
    use Operation::{Max, Mean, Min, Sum};
    let total = |a: Tensor<3>| a.sum_dims(&[1, 2]).reshape([2]);
    agrees(Sum, a(), &[], &dims(&[1, 2], false), total);
    agrees(Sum, a(), &[], &dims(&[0, 2], true), |a| a.sum_dims(&[0, 2]));
    agrees(Mean, a(), &[], &dims(&[2, 1], true), |a| a.mean_dims(&[1, 2]));
    agrees(Mean, a(), &[], &dims(&[0], false), |a| a.mean_dim(0).reshape([3, 4]));
    agrees(Max, a(), &[], &dims(&[2], false), |a| a.max_dim(2).reshape([2, 3]));
    let lowest = |a: Tensor<3>| a.min_dim(2).min_dim(1).reshape([2]);
    agrees(Min, a(), &[], &dims(&[1, 2], false), lowest);
    agrees(Sum, a(), &[], &dims(&[], false), |a| a);
}

#[test]
fn should_find_where_extremes_stand() {
    use Operation::{Argmax, Argmin};
    let mut bench = Bench::new();
    let numbers = [[3.0, 1.0, 3.0], [5.0, 1.0, 1.0f32]];
    let tracked = Tensor::<2>::from_data(numbers, &cpu()).require_grad();
    let whole = Tensor::<2, Int>::from_data([[3, 1, 3], [5, 1, 1]], &Device::flex());
    for lent in [tracked.into_dispatch(), whole.into_dispatch()] {
        let a = bench.lend_raw(lent);
        // Of equal elements the first, on this device.
        for (operation, dimension, wanted) in [
            (Argmin, 1, vec![1, 1]),
            (Argmax, 1, vec![0, 0]),
            (Argmin, 0, vec![0, 0, 1]),
            (Argmax, 0, vec![1, 0, 0]),
        ] {
            let index = bench.one(operation, &[a], &dim(dimension));
            let spec = bench.spec(index);
            assert_eq!((spec.dtype, &spec.shape), (DType::Int, &vec![wanted.len()]));
            assert_eq!(spec.bounds, Some((0, [1, 2][dimension as usize])));
            let found = Tensor::<1, Int>::from_dispatch(bench.raw(index)).into_data();
            let found: Vec<i64> = found.iter().collect();
            assert_eq!(found, wanted, "{operation:?} of {dimension}");
            // It can choose rows.
            bench.one(Operation::Gather, &[a, index], &dim(dimension));
        }
        bench.refuses(Argmin, &[a], &dim(2), "dimension 2");
    }
    let empty = bench.lend_empty(DType::F32, &[2, 0]);
    bench.refuses(Argmax, &[empty], &dim(1), "is empty");
    let none = bench.one(Argmax, &[empty], &dim(0));
    assert_eq!(bench.spec(none).shape, [0]);
}

#[test]
fn should_treat_a_tensor_without_dimensions_as_a_number() {
    let mut bench = Bench::new();
    let h = bench.lend(&a());
    let sum = bench.one(Operation::Sum, &[h], &dims(&[0, 1, 2], false));
    assert_eq!(bench.spec(sum).shape, [0; 0]);
    let twice = bench.one(Operation::Add, &[sum, sum], &());
    let column = bench.one(Operation::Reshape, &[twice], &new_shape(&[1, 1]));
    let wide = bench.one(Operation::Expand, &[column], &new_shape(&[2, 3]));
    let wanted = Tensor::ones([2, 3], &cpu()) * a().sum().unsqueeze() * 2.0;
    close(bench.float::<2>(wide), wanted);
}

#[test]
fn should_arrange_elements() {
    use Operation::{Concat, Expand, Permute, Reshape, Slice};
    agrees(Reshape, a(), &[], &new_shape(&[4, 6]), |a| a.reshape([4, 6]));
    let turned = dims(&[2, 0, 1], false);
    agrees(Permute, a(), &[], &turned, |a| a.permute([2, 0, 1]));
    let thin: Tensor<3> = tensor([2, 1, 4], &cpu());
    agrees(Expand, thin, &[], &new_shape(&[2, 5, 4]), |a| a.expand([2, 5, 4]));
    let slice = |start, end, step| {
        let mut slice = abi::Slice::blank();
        (slice.dim, slice.start, slice.end, slice.step) = (2, start, end, step);
        slice
    };
    agrees(Slice, a(), &[], &slice(1, 3, 1), |a| a.narrow(2, 1, 2));
    agrees(Slice, a(), &[], &slice(0, 4, 3), |a| {
        Tensor::cat(vec![a.clone().narrow(2, 0, 1), a.narrow(2, 3, 1)], 2)
    });
    let b: Tensor<3> = tensor([2, 2, 4], &cpu());
    agrees(Concat, a(), &[lent(&b)], &dim(1), |a| {
        Tensor::cat(vec![a, b.clone()], 1)
    });
}

#[test]
fn should_gather_and_scatter_rows() {
    let rows = Tensor::<1, Int>::from_data([1, 0, 1], &cpu());
    let lent = [rows.clone().into_dispatch()];
    agrees(Operation::Gather, a(), &lent, &dim(0), |a| a.select(0, rows.clone()));
    agrees(Operation::Scatter, a(), &lent, &scatter_to(1, 5), |a| {
        let part = |i| a.clone().narrow(1, i, 1);
        let zeros = Tensor::zeros([2, 3, 4], &cpu());
        Tensor::cat(vec![part(1), part(0) + part(2), zeros], 1)
    });
}
