//! The affine map of rows.

use burn::backend::Dispatch;
use burn::tensor::{Tensor, module};

use super::{BlockOps, is_fused};

/// `x W^T + b`: rows `[N, in]` by a weight `[out, in]`, plus a bias `[out]`.
///
/// With `g` the gradient of the value, that of x is `g W`, that of the bias the sum of g's rows, and that of the weight `g^T x`, which
/// lies in memory as the weight does. (Autodiff's own is that of the transposed weight: whatever reads it together with the weight
/// walks one of the two in strides.)
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    if !is_fused(&x) {
        return composed(x, weight, bias);
    }
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_linear(x, weight, bias))
}

fn composed(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    module::linear(x, weight.transpose(), Some(bias))
}

#[cfg(feature = "flex")]
pub(super) use flex::Linear;

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::ops::FloatTensorOps;
    use macerator::Simd;

    use crate::ops::record::Operation;
    use crate::ops::rows::{contiguous, read, rewrite, sum_by_sample, tensor, values};

    #[derive(Clone, Debug)]
    pub struct Linear;

    impl Operation<3> for Linear {
        type Kept = ();

        fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> (FlexTensor, ()) {
            let product = Flex::float_matmul(x, weight.transpose(0, 1));
            let [rows, width] = product.layout().shape().dims();
            let bias = contiguous(bias);
            let bias = values(&bias);
            (rewrite(product, [rows, width], |_, rows| add(rows, bias)).0, ())
        }

        fn backward(
            &self,
            [x, weight, _]: [FlexTensor; 3],
            _: (),
            gradient: FlexTensor,
            [of_x, of_weight, of_bias]: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let gradient = contiguous(gradient);
            let [rows, width] = gradient.layout().shape().dims();
            let sums = || {
                let parts = read(values(&gradient), [rows, width], |_, rows| {
                    let mut sums = vec![0.0; width];
                    sum_rows(rows, &mut sums);
                    sums
                });
                tensor(sum_by_sample(&parts, 1, width), [width])
            };
            [
                of_x.then(|| Flex::float_matmul(gradient.clone(), weight)),
                of_weight.then(|| Flex::float_matmul(gradient.transpose(0, 1), x)),
                of_bias.then(sums),
            ]
        }
    }

    #[macerator::with_simd]
    fn add<S: Simd>(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            for (value, bias) in row.iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }

    #[macerator::with_simd]
    fn sum_rows<S: Simd>(rows: &[f32], sums: &mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
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
        fn should_be_the_composed_form(n in 1..70_usize, inputs in 1..20_usize, outputs in 1..20_usize, seed: u64) {
            let inputs = [tensor([n, inputs], 1.0, seed), tensor([outputs, inputs], 1.0, seed ^ 1), tensor([1, outputs], 1.0, seed ^ 2)];
            let fused = |[x, weight, bias]: [Tensor<2>; 3]| linear(x, weight, bias.squeeze_dim(0));
            assert_same_operation(inputs, fused, |[x, weight, bias]| composed(x, weight, bias.squeeze_dim(0)), 1e-5);
        }
    }
}
