//! The residual connection of a gated branch.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{BlockOps, is_fused};

/// `x + gate branch`: tokens `[B, T, D]`, what a branch adds to them `[B, T, D]`, and a gate `[B, 1, D]` a sample.
///
/// With g the gradient of the value, that of x is g, that of the branch `g gate`, and that of the gate `g branch`, summed over the tokens.
pub fn gated_sum(x: Tensor<3>, branch: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    if !is_fused(&x) {
        return composed(x, branch, gate);
    }
    let [x, branch, gate] = [x, branch, gate].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::fused_gated_sum(x, branch, gate))
}

fn composed(x: Tensor<3>, branch: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
    x + branch * gate
}

#[cfg(feature = "flex")]
pub(super) use flex::GatedSum;

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::flex::FlexTensor;
    use macerator::Simd;

    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, rewrite, sum_by_sample, tensor, values};

    #[derive(Clone, Debug)]
    pub struct GatedSum;

    impl Operation<3> for GatedSum {
        type Kept = ();

        fn forward(&self, [x, branch, gate]: [FlexTensor; 3]) -> (FlexTensor, ()) {
            let [_, tokens, width] = x.layout().shape().dims();
            let [branch, gate] = [branch, gate].map(contiguous);
            let [branch, gate] = [values(&branch), values(&gate)];
            let (sum, _) = rewrite(x, [tokens, width], |row, x| {
                let branch = &branch[row * width..][..x.len()];
                add(x, branch, &gate[row / tokens * width..][..width]);
            });
            (sum, ())
        }

        fn backward(
            &self,
            [_, branch, gate]: [FlexTensor; 3],
            _: (),
            gradient: FlexTensor,
            _: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let [samples, tokens, width] = branch.layout().shape().dims();
            let [branch, gate] = [branch, gate].map(contiguous);
            let [branch, gate] = [values(&branch), values(&gate)];
            let (of_branch, parts) = rewrite(gradient.clone(), [tokens, width], |row, gradient| {
                let branch = &branch[row * width..][..gradient.len()];
                let mut sums = vec![0.0; width];
                gradients(gradient, branch, &gate[row / tokens * width..][..width], &mut sums);
                sums
            });
            let of_gate = tensor(sum_by_sample(&parts, samples, width), [samples, 1, width]);
            [Some(gradient), Some(of_branch), Some(of_gate)]
        }
    }

    #[macerator::with_simd]
    fn add<S: Simd>(x: &mut [f32], branch: &[f32], gate: &[f32]) {
        let width = gate.len();
        for (x, branch) in x.chunks_exact_mut(width).zip(branch.chunks_exact(width)) {
            for ((x, branch), gate) in x.iter_mut().zip(branch).zip(gate) {
                *x += branch * gate;
            }
        }
    }

    /// Turns the value's gradient into that of `branch`, and adds the rows of the gate's to `sums`.
    #[macerator::with_simd]
    fn gradients<S: Simd>(gradient: &mut [f32], branch: &[f32], gate: &[f32], sums: &mut [f32]) {
        let width = gate.len();
        for (gradient, branch) in gradient.chunks_exact_mut(width).zip(branch.chunks_exact(width)) {
            for (((gradient, branch), gate), sum) in gradient.iter_mut().zip(branch).zip(gate).zip(&mut *sums) {
                *sum += *gradient * branch;
                *gradient *= gate;
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
        fn should_be_the_composed_form(b in 1..4_usize, t in 1..70_usize, d in 1..40_usize, seed: u64) {
            let inputs = [tensor([b, t, d], 2.0, seed), tensor([b, t, d], 1.0, seed ^ 1), tensor([b, 1, d], 1.0, seed ^ 2)];
            let fused = |[x, branch, gate]: [Tensor<3>; 3]| gated_sum(x, branch, gate);
            assert_same_operation(inputs, fused, |[x, branch, gate]| composed(x, branch, gate), 1e-5);
        }
    }
}
