//! The norm of each head's queries and keys.

use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Tensor};

use super::norm::standardise;
use super::{BlockOps, is_fused};
use crate::precision::{full, is_half};

/// `LN(q) gain + offset` of every head's query and key (arXiv 2302.05442, section 2), values as they are: packed rows `[B*T, 3D]` as for
/// [`attention`](super::attention()), to the same shape and type, computed in f32. A gain and an offset `[D / heads]` for queries, and then for keys, serve all
/// heads.
pub fn head_norm(
    qkv: Tensor<2>,
    gains: [Tensor<1>; 2],
    offsets: [Tensor<1>; 2],
    heads: usize,
    epsilon: f64,
) -> Tensor<2> {
    let dtype = qkv.dtype();
    if is_half(dtype) {
        return head_norm(full(qkv), gains, offsets, heads, epsilon).cast(FloatDType::from(dtype));
    }
    if !is_fused(&qkv) {
        return composed(qkv, gains, offsets, heads, epsilon);
    }
    let ([gain_q, gain_k], [offset_q, offset_k]) =
        (gains.map(Tensor::into_dispatch), offsets.map(Tensor::into_dispatch));
    let qkv = qkv.into_dispatch();
    let normed = Dispatch::fused_head_norm(qkv, gain_q, offset_q, gain_k, offset_k, heads, epsilon as f32);
    Tensor::from_dispatch(normed)
}

fn composed(qkv: Tensor<2>, gains: [Tensor<1>; 2], offsets: [Tensor<1>; 2], heads: usize, epsilon: f64) -> Tensor<2> {
    let shape @ [rows, packed] = qkv.dims();
    let qkv = qkv.reshape([rows, 3, heads, packed / 3 / heads]);
    let part = |index| qkv.clone().narrow(1, index, 1);
    let affine = gains.into_iter().zip(offsets).enumerate();
    let normed =
        affine.map(|(index, (gain, offset))| standardise(part(index), epsilon) * gain.unsqueeze() + offset.unsqueeze());
    Tensor::cat(normed.chain([part(2)]).collect(), 1).reshape(shape)
}

#[cfg(feature = "flex")]
pub(super) use flex::HeadNorm;

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::flex::FlexTensor;
    use macerator::Simd;

    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, rewrite, sum_by_sample, tensor, values};
    use crate::ops::norm::{slopes, standardise_row, statistics};

    #[derive(Clone, Debug)]
    pub struct HeadNorm {
        pub heads: usize,
        pub epsilon: f32,
    }

    impl Operation<5> for HeadNorm {
        type Kept = ();

        fn forward(&self, [qkv, gain_q, offset_q, gain_k, offset_k]: [FlexTensor; 5]) -> (FlexTensor, ()) {
            let shape @ [_, packed] = qkv.layout().shape().dims();
            let affine = [gain_q, offset_q, gain_k, offset_k].map(contiguous);
            let [gain_q, offset_q, gain_k, offset_k] = affine.each_ref().map(values);
            let (normed, _) = rewrite(qkv, shape, |_, block| {
                for row in block.chunks_exact_mut(packed) {
                    let (queries, rest) = row.split_at_mut(packed / 3);
                    normalise(queries, gain_q, offset_q, self.epsilon);
                    normalise(&mut rest[..packed / 3], gain_k, offset_k, self.epsilon);
                }
            });
            (normed, ())
        }

        fn backward(
            &self,
            [qkv, gain_q, _, gain_k, _]: [FlexTensor; 5],
            _: (),
            gradient: FlexTensor,
            _: [bool; 5],
        ) -> [Option<FlexTensor>; 5] {
            let shape @ [_, packed] = qkv.layout().shape().dims();
            let (width, head) = (packed / 3, packed / 3 / self.heads);
            let [qkv, gain_q, gain_k] = [qkv, gain_q, gain_k].map(contiguous);
            let [qkv, gain_q, gain_k] = [&qkv, &gain_q, &gain_k].map(values);
            let (of_qkv, parts) = rewrite(gradient, shape, |row, block| {
                let mut sums = vec![0.0; 4 * head];
                let (of_queries, of_keys) = sums.split_at_mut(2 * head);
                let rows = block
                    .chunks_exact_mut(packed)
                    .zip(qkv[row * packed..].chunks_exact(packed));
                for (gradient, qkv) in rows {
                    let (queries, rest) = gradient.split_at_mut(width);
                    gradients(queries, &qkv[..width], gain_q, of_queries, self.epsilon);
                    gradients(
                        &mut rest[..width],
                        &qkv[width..2 * width],
                        gain_k,
                        of_keys,
                        self.epsilon,
                    );
                }
                sums
            });
            let sums = sum_by_sample(&parts, 1, 4 * head);
            let part = |index: usize| Some(tensor(sums[index * head..][..head].to_vec(), [head]));
            [Some(of_qkv), part(0), part(1), part(2), part(3)]
        }
    }

    #[macerator::with_simd]
    fn normalise<S: Simd>(heads: &mut [f32], gain: &[f32], offset: &[f32], epsilon: f32) {
        for head in heads.chunks_exact_mut(gain.len()) {
            let (mean, narrow) = statistics(head, epsilon);
            for ((x, gain), offset) in head.iter_mut().zip(gain).zip(offset) {
                *x = (*x - mean) * narrow * gain + offset;
            }
        }
    }

    /// Turns the value's gradient into that of `x`, and adds the heads' shares of the gain's and then the offset's to `sums`.
    #[macerator::with_simd]
    fn gradients<S: Simd>(gradient: &mut [f32], x: &[f32], gain: &[f32], sums: &mut [f32], epsilon: f32) {
        let width = gain.len();
        let (gains, offsets) = sums.split_at_mut(width);
        let mut normed = vec![0.0; width];
        for (gradient, x) in gradient.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let narrow = standardise_row(x, &mut normed, epsilon);
            let of_affine = gains.iter_mut().zip(&mut *offsets).zip(gain);
            for (((of_gain, of_offset), gain), (gradient, normed)) in of_affine.zip(gradient.iter_mut().zip(&normed)) {
                *of_gain += *gradient * normed;
                *of_offset += *gradient;
                *gradient *= gain;
            }
            slopes(gradient, &normed, narrow);
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
        fn should_be_the_composed_form(rows in 1..70_usize, heads in 1..4_usize, d in 2..20_usize, seed: u64) {
            let affine = |at: u64| tensor([1, d], 2.0, seed ^ at);
            let inputs = [tensor([rows, 3 * heads * d], 2.0, seed), affine(1), affine(2), affine(3), affine(4)];
            let applied = |norm: fn(_, _, _, _, _) -> Tensor<2>| {
                move |[qkv, gain_q, offset_q, gain_k, offset_k]: [Tensor<2>; 5]| {
                    let flat = |pair: [Tensor<2>; 2]| pair.map(|row| row.reshape([d]));
                    norm(qkv, flat([gain_q, gain_k]), flat([offset_q, offset_k]), heads, 1e-5)
                }
            };
            // Heads of two numbers can be nearly equal: their slopes are steep.
            assert_same_operation(inputs, applied(head_norm), applied(composed), 1e-3);
        }
    }
}
