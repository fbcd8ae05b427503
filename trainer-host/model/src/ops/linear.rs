//! The affine map of rows.

use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Tensor, module};

use super::{BlockOps, is_fused, widened};

/// `x W^T + b`: rows `[N, in]`, a weight `[out, in]`, an offset `[out]`.
///
/// With g the gradient of the value, that of x is `g W`, that of W `g^T x`, and that of b the sum of g's rows. burn's backward pass finds
/// `x^T g` and shows it transposed, so that every pass over the gradients of the weights would walk through memory in strides.
///
/// Halves on burn's CPU backend are rounded once, after the sum, as PyTorch's `addmm` does; burn rounds the product, and then the sum.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    widened(x, |x| {
        let dtype = FloatDType::from(x.dtype());
        let (weight, bias) = (weight.cast(dtype), bias.cast(dtype));
        if !is_fused(&x) {
            return composed(x, weight, bias);
        }
        let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        Tensor::from_dispatch(Dispatch::fused_linear(x, weight, bias))
    })
}

fn composed(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    module::linear(x, weight.transpose(), Some(bias))
}

#[cfg(feature = "flex")]
pub(super) use flex::Linear;

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::flex::FlexTensor;

    use crate::ops::kernel::product::{matrix, product, product_plus};
    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, sum_of_rows, tensor, values};

    #[derive(Clone, Debug)]
    pub struct Linear;

    impl Operation<3> for Linear {
        type Kept = ();

        fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> (FlexTensor, ()) {
            let bias = contiguous(bias);
            let shape = [x.layout().shape()[0], weight.layout().shape()[0]];
            let mapped = product_plus(matrix(&x), matrix(&weight).transposed(), values(&bias));
            (tensor(mapped, shape), ())
        }

        fn backward(
            &self,
            [x, weight, _]: [FlexTensor; 3],
            _: (),
            gradient: FlexTensor,
            [to_x, to_weight, to_bias]: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let gradient = contiguous(gradient);
            let g = matrix(&gradient);
            let ([rows, inputs], [outputs, _]) = (x.layout().shape().dims(), weight.layout().shape().dims());
            let of_bias = to_bias.then(|| tensor(sum_of_rows(values(&gradient), outputs), [outputs]));
            let of_weight = to_weight.then(|| tensor(product(g.transposed(), matrix(&x)), [outputs, inputs]));
            let of_x = to_x.then(|| tensor(product(g, matrix(&weight)), [rows, inputs]));
            [of_x, of_weight, of_bias]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_same_operation, tensor};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn should_be_the_composed_form(rows in 1..70_usize, from in 1..20_usize, to in 1..20_usize, seed: u64) {
            let inputs = [tensor([rows, from], 1.0, seed), tensor([to, from], 1.0, seed ^ 1), tensor([1, to], 1.0, seed ^ 2)];
            let flat = |bias: Tensor<2>| bias.reshape([to]);
            let fused = |[x, weight, bias]: [Tensor<2>; 3]| linear(x, weight, flat(bias));
            assert_same_operation(inputs, fused, |[x, weight, bias]| composed(x, weight, flat(bias)), 1e-5);
        }

        #[test]
        fn should_round_the_sum_of_halves_once(rows in 1..20_usize, from in 1..20_usize, to in 1..20_usize, seed: u64) {
            for half in [FloatDType::F16, FloatDType::BF16] {
                let [x, weight, bias] = [([rows, from], seed), ([to, from], seed ^ 1), ([1, to], seed ^ 2)]
                    .map(|(shape, seed)| tensor(shape, 1.0, seed).cast(half));
                let found = linear(x.clone(), weight.clone(), bias.clone().reshape([to]));
                let [x, weight, bias] = [x, weight, bias].map(|halves| halves.cast(FloatDType::F32));
                let wanted = linear(x, weight, bias.reshape([to])).cast(half);
                assert_eq!(found.into_data(), wanted.into_data());
            }
        }
    }
}
