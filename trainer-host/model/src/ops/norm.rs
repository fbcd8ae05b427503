//! The norm before a branch, modulated by the conditioning.

use burn::backend::Dispatch;
use burn::tensor::{Tensor, module};

use super::{BlockOps, is_fused};

/// `LN(x) (1 + scale) + shift` with `LN(x) = (x - mean) / sqrt(var + epsilon)` over the last axis, the biased variance and no
/// affine map of its own: tokens `[B, T, D]`, a shift and a scale `[B, 1, D]` a sample.
///
/// With `g` the gradient of the value and `n = LN(x)`, that of the shift is `g` and that of the scale `g n`, summed over the tokens;
/// that of x is `(h - mean(h) - n mean(h n)) / sqrt(var + epsilon)` with `h = g (1 + scale)`. Mean and variance are found again.
pub fn modulated_norm(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, epsilon: f64) -> Tensor<3> {
    if !is_fused(&x) {
        return composed(x, shift, scale, epsilon);
    }
    let [x, shift, scale] = [x, shift, scale].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::fused_modulated_norm(x, shift, scale, epsilon as f32))
}

fn composed(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>, epsilon: f64) -> Tensor<3> {
    standardise(x, epsilon) * (scale + 1.0) + shift
}

/// `(x - mean) / sqrt(var + epsilon)` over the last axis, with the biased variance and no affine map.
pub fn standardise<const D: usize>(x: Tensor<D>, epsilon: f64) -> Tensor<D> {
    if !x.is_autodiff() {
        let width = x.dims()[D - 1];
        let gamma = Tensor::ones([width], &x.device());
        return module::layer_norm(x, gamma, None, epsilon);
    }
    // Under autodiff burn takes its layer norm apart, with a division and a gain that is not needed here.
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    centred * (variance + epsilon).sqrt().recip()
}

#[cfg(feature = "flex")]
pub(super) use flex::{ModulatedNorm, slopes, standardise_row, statistics};

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::flex::FlexTensor;
    use macerator::Simd;

    use crate::ops::kernel::lanes::sum;
    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, rewrite, sum_by_sample, tensor, values};

    #[derive(Clone, Debug)]
    pub struct ModulatedNorm {
        pub epsilon: f32,
    }

    impl Operation<3> for ModulatedNorm {
        type Kept = ();

        fn forward(&self, [x, shift, scale]: [FlexTensor; 3]) -> (FlexTensor, ()) {
            let [_, tokens, width] = x.layout().shape().dims();
            let [shift, scale] = [shift, scale].map(contiguous);
            let [shift, scale] = [values(&shift), values(&scale)];
            let (normed, _) = rewrite(x, [tokens, width], |row, x| {
                let sample = row / tokens * width;
                normalise(x, &shift[sample..][..width], &scale[sample..][..width], self.epsilon);
            });
            (normed, ())
        }

        fn backward(
            &self,
            [x, _, scale]: [FlexTensor; 3],
            _: (),
            gradient: FlexTensor,
            _: [bool; 3],
        ) -> [Option<FlexTensor>; 3] {
            let [samples, tokens, width] = x.layout().shape().dims();
            let [x, scale] = [x, scale].map(contiguous);
            let [x, scale] = [values(&x), values(&scale)];
            let (of_x, parts) = rewrite(gradient, [tokens, width], |row, gradient| {
                let x = &x[row * width..][..gradient.len()];
                let scale = &scale[row / tokens * width..][..width];
                let mut sums = vec![0.0; 2 * width];
                gradients(gradient, x, scale, &mut sums, self.epsilon);
                sums
            });
            let sums = sum_by_sample(&parts, samples, 2 * width);
            let part = |at: usize| {
                let rows = sums.chunks_exact(2 * width).flat_map(|sums| &sums[at..][..width]);
                tensor(rows.copied().collect(), [samples, 1, width])
            };
            [Some(of_x), Some(part(0)), Some(part(width))]
        }
    }

    /// A row's mean, and the reciprocal of its standard deviation.
    #[inline(always)]
    pub fn statistics(row: &[f32], epsilon: f32) -> (f32, f32) {
        let width = row.len() as f32;
        let mean = sum(row, row, |x, _| x) / width;
        let variance = sum(row, row, |x, _| (x - mean) * (x - mean)) / width;
        (mean, 1.0 / (variance + epsilon).sqrt())
    }

    /// Writes a row, normed, and answers the reciprocal of its standard deviation.
    #[inline(always)]
    pub fn standardise_row(row: &[f32], normed: &mut [f32], epsilon: f32) -> f32 {
        let (mean, narrow) = statistics(row, epsilon);
        for (normed, x) in normed.iter_mut().zip(row) {
            *normed = (x - mean) * narrow;
        }
        narrow
    }

    #[macerator::with_simd]
    fn normalise<S: Simd>(x: &mut [f32], shift: &[f32], scale: &[f32], epsilon: f32) {
        for x in x.chunks_exact_mut(shift.len()) {
            let (mean, narrow) = statistics(x, epsilon);
            for ((x, shift), scale) in x.iter_mut().zip(shift).zip(scale) {
                *x = (*x - mean) * narrow * (1.0 + scale) + shift;
            }
        }
    }

    /// Turns the value's gradient into that of `x`, and adds the rows of the shift's and then the scale's to `sums`.
    #[macerator::with_simd]
    fn gradients<S: Simd>(gradient: &mut [f32], x: &[f32], scale: &[f32], sums: &mut [f32], epsilon: f32) {
        let width = scale.len();
        let (shifts, scales) = sums.split_at_mut(width);
        let mut normed = vec![0.0; width];
        for (gradient, x) in gradient.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let narrow = standardise_row(x, &mut normed, epsilon);
            for ((sum, gradient), normed) in scales.iter_mut().zip(&*gradient).zip(&normed) {
                *sum += gradient * normed;
            }
            for ((sum, gradient), scale) in shifts.iter_mut().zip(&mut *gradient).zip(scale) {
                *sum += *gradient;
                *gradient *= 1.0 + scale;
            }
            slopes(gradient, &normed, narrow);
        }
    }

    /// Turns h, the gradient of a normed row n, into that of the row itself: `(h - mean(h) - n mean(h n)) narrow`.
    #[inline(always)]
    pub fn slopes(gradient: &mut [f32], normed: &[f32], narrow: f32) {
        let width = gradient.len() as f32;
        let level = sum(gradient, gradient, |h, _| h) / width;
        let along = sum(gradient, normed, |h, normed| h * normed) / width;
        for (gradient, normed) in gradient.iter_mut().zip(normed) {
            *gradient = (*gradient - level - normed * along) * narrow;
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
        fn should_be_the_composed_form(b in 1..4_usize, t in 1..70_usize, d in 2..40_usize, seed: u64) {
            let inputs = [tensor([b, t, d], 2.0, seed), tensor([b, 1, d], 1.0, seed ^ 1), tensor([b, 1, d], 1.0, seed ^ 2)];
            let fused = |[x, shift, scale]: [Tensor<3>; 3]| modulated_norm(x, shift, scale, 1e-6);
            // Rows of two numbers can be nearly equal: their slopes are steep.
            assert_same_operation(inputs, fused, |[x, shift, scale]| composed(x, shift, scale, 1e-6), 1e-3);
        }
    }
}
