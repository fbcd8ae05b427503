//! Attention of a sample's tokens to each other.

use burn::backend::Dispatch;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{FloatDType, Tensor, activation, module};

use super::{BlockOps, is_fused, is_on_flex, widened};
use crate::precision::full;

/// `softmax(Q K^T / sqrt(d)) V` for each head of each sample. `qkv` holds a row a token, `[B*T, 3D]`: all heads' queries, then keys,
/// then values, each of width `d = D / heads`. The value is `[B*T, D]`, the heads side by side.
///
/// As in FlashAttention (arXiv 2205.14135, 2307.08691): some rows of the scores are there at a time, and what is kept of the
/// probabilities P is the logarithm of each row's denominator, by which backward finds them again from the scores. With O the value
/// and G its gradient, `dV = P^T G`, and with `dS = P * (G V^T - rowsum(G * O)) / sqrt(d)`, `dQ = dS K` and `dK = dS^T Q`.
pub fn attention(qkv: Tensor<2>, tokens: usize, heads: usize) -> Tensor<2> {
    widened(qkv, |qkv| match is_fused(&qkv) {
        true => Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), tokens, heads)),
        false => composed(qkv, tokens, heads),
    })
}

fn composed(qkv: Tensor<2>, tokens: usize, heads: usize) -> Tensor<2> {
    let [query, key, value] = split_heads(qkv, tokens, heads);
    let mixed = scaled_dot_product(query, key, value);
    let [batch, heads, tokens, width] = mixed.dims();
    mixed.swap_dims(1, 2).reshape([batch * tokens, heads * width])
}

/// Queries, keys and values, each `[B, heads, T, d]`, of packed rows `[B*T, 3D]`.
pub fn split_heads(qkv: Tensor<2>, tokens: usize, heads: usize) -> [Tensor<4>; 3] {
    let [rows, packed] = qkv.dims();
    let qkv = qkv
        .reshape([rows / tokens, tokens, 3, heads, packed / 3 / heads])
        .permute([2, 0, 3, 1, 4]);
    std::array::from_fn(|part| qkv.clone().narrow(0, part, 1).squeeze_dim(0))
}

/// `softmax(Q K^T / sqrt(d)) V` on `[B, heads, T, d]`, composed of burn's operations: in f32, but for the product with V, which is in the type of V.
///
/// burn's own attention is asked on its CPU backend alone. On CUDA it takes tiles of f16 whatever the type (`blackbox_accelerated.rs` of
/// cubek-attention 0.3.1), in which f32 loses 13 bits and numbers above 65,504 are infinite, and there is no setting against it; under
/// autodiff it guards its softmax against fully masked rows, of which there are none here.
pub fn scaled_dot_product(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    if is_on_flex(&query) && !query.is_autodiff() {
        return module::attention(query, key, value, None, None, AttentionModuleOptions::default());
    }
    let dtype = FloatDType::from(value.dtype());
    attention_map(query, key).cast(dtype).matmul(value)
}

/// `softmax(Q K^T / sqrt(d))`, `[B, heads, T, T]`, of queries and keys `[B, heads, T, d]`, composed of burn's operations, in f32.
///
/// So are the scores: in bf16 one of 20 would be off by a twentieth, and so would the probability. The products of halves that are
/// added up there are exact in f32, and in TF32.
pub fn attention_map(query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
    let (query, key) = (full(query), full(key));
    // The scale is applied to the queries, of which there are fewer than of the scores.
    let scale = 1.0 / (query.dims()[3] as f64).sqrt();
    activation::softmax((query * scale).matmul(key.swap_dims(2, 3)), 3)
}

#[cfg(feature = "flex")]
pub(super) use flex::Attention;

#[cfg(feature = "flex")]
mod flex {
    use std::ops::Range;
    use std::sync::Arc;

    use burn::backend::flex::FlexTensor;
    use macerator::Simd;
    use rayon::prelude::*;

    use crate::ops::kernel::lanes::{exp, maximum, sum};
    use crate::ops::kernel::product::{Matrix, add_product_to, matrix, product_into};
    use crate::ops::kernel::record::Operation;
    use crate::ops::kernel::rows::{contiguous, fill, tensor};

    #[derive(Clone, Debug)]
    pub struct Attention {
        pub tokens: usize,
        pub heads: usize,
    }

    /// The needs of backward: the value, and of each head of each sample the logarithm of each row's denominator.
    #[derive(Clone, Debug)]
    pub struct Kept {
        value: FlexTensor,
        logarithms: Arc<Vec<Vec<f32>>>,
    }

    impl Operation<1> for Attention {
        type Kept = Kept;

        fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Kept) {
            let heads = self.heads(contiguous(qkv));
            let (mixed, logarithms): (Vec<_>, _) = heads.each(|head| head.forward()).into_iter().unzip();
            let value = heads.weave(&mixed);
            let kept = Kept {
                value: value.clone(),
                logarithms: Arc::new(logarithms),
            };
            (value, kept)
        }

        fn backward(
            &self,
            [qkv]: [FlexTensor; 1],
            Kept { value, logarithms }: Kept,
            gradient: FlexTensor,
            _: [bool; 1],
        ) -> [Option<FlexTensor>; 1] {
            let heads = self.heads(contiguous(qkv));
            let gradient = contiguous(gradient);
            let parts = heads.each(|head| head.backward(&value, &gradient, &logarithms[head.index()]));
            [Some(heads.weave(&parts))]
        }
    }

    impl Attention {
        fn heads(&self, qkv: FlexTensor) -> Heads {
            let [rows, packed] = qkv.layout().shape().dims();
            Heads {
                samples: rows / self.tokens,
                tokens: self.tokens,
                heads: self.heads,
                width: packed / 3 / self.heads,
                qkv,
            }
        }
    }

    /// Packed queries, keys and values.
    struct Heads {
        qkv: FlexTensor,
        samples: usize,
        tokens: usize,
        heads: usize,
        width: usize,
    }

    /// One head of one sample.
    struct Head<'a> {
        of: &'a Heads,
        sample: usize,
        head: usize,
    }

    impl Heads {
        /// Numbers of scores below which one thread is as fast as all.
        const PARALLEL: usize = 1 << 12;
        /// Numbers of scores that are there at a time: they stay in a core's cache.
        const TILE: usize = 1 << 16;

        /// The results of `work` for each head, those of the first sample first.
        fn each<R: Send>(&self, work: impl Fn(Head) -> R + Sync) -> Vec<R> {
            let count = self.samples * self.heads;
            let work = |index| {
                let (sample, head) = (index / self.heads, index % self.heads);
                work(Head { of: self, sample, head })
            };
            match count * self.tokens * self.tokens >= Self::PARALLEL {
                true => (0..count).into_par_iter().map(work).collect(),
                false => (0..count).map(work).collect(),
            }
        }

        /// Rows of which each is made of the heads' rows of the first part, then of the second, and so on.
        fn weave<const PARTS: usize>(&self, found: &[[Vec<f32>; PARTS]]) -> FlexTensor {
            let (tokens, width) = (self.tokens, self.width);
            let columns = PARTS * self.heads * width;
            let rows = self.samples * tokens;
            let (woven, _) = fill([tokens, columns], rows * columns, |first, block| {
                let found = &found[first / tokens * self.heads..][..self.heads];
                for token in (first % tokens..).take(block.room() / columns) {
                    for part in 0..PARTS {
                        for head in found {
                            block.push(&head[part][token * width..][..width]);
                        }
                    }
                }
            });
            tensor(woven, [rows, columns])
        }

        /// Rows of which the scores are there at once.
        fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
            let tokens = self.tokens;
            let tile = (Self::TILE / tokens).clamp(16, tokens.max(16));
            (0..tokens)
                .step_by(tile)
                .map(move |start| start..tokens.min(start + tile))
        }

        fn scale(&self) -> f32 {
            (self.width as f32).sqrt().recip()
        }
    }

    impl Head<'_> {
        fn index(&self) -> usize {
            self.sample * self.of.heads + self.head
        }

        /// Some tokens' rows and the head's columns of a matrix of all tokens and heads, side by side in one or, packed, three parts.
        fn view<'a>(&self, of: &'a FlexTensor, part: usize, tokens: &Range<usize>) -> Matrix<'a> {
            let Heads { heads, width, .. } = *self.of;
            let row = self.sample * self.of.tokens;
            let column = (part * heads + self.head) * width;
            matrix(of).part(row + tokens.start..row + tokens.end, column..column + width)
        }

        fn all(&self) -> Range<usize> {
            0..self.of.tokens
        }

        /// The value and the logarithms of the denominators.
        fn forward(&self) -> ([Vec<f32>; 1], Vec<f32>) {
            let Heads { tokens, width, .. } = *self.of;
            let [keys, values] = [1, 2].map(|part| self.view(&self.of.qkv, part, &self.all()));
            let mut mixed = Vec::with_capacity(tokens * width);
            let mut logarithms = Vec::with_capacity(tokens);
            let (mut scores, mut sums) = (Vec::new(), Vec::new());
            for tile in self.of.tiles() {
                let queries = self.view(&self.of.qkv, 0, &tile);
                product_into(queries, keys.transposed(), &mut scores);
                let mut denominators = vec![0.0; tile.len()];
                let mut levels = vec![0.0; tile.len()];
                exponentials(&mut scores, self.of.scale(), &mut levels, &mut denominators);
                product_into(Matrix::of_rows(&scores, tokens), values, &mut sums);
                divide(&mut sums, &denominators);
                mixed.extend_from_slice(&sums);
                logarithms.extend(levels.iter().zip(&denominators).map(|(level, sum)| level + sum.ln()));
            }
            ([mixed], logarithms)
        }

        /// The gradients of queries, keys and values.
        fn backward(&self, value: &FlexTensor, gradient: &FlexTensor, logarithms: &[f32]) -> [Vec<f32>; 3] {
            let Heads { tokens, width, .. } = *self.of;
            let scale = self.of.scale();
            let [keys, values] = [1, 2].map(|part| self.view(&self.of.qkv, part, &self.all()));
            let [mut of_queries, mut of_keys, mut of_values] = [(); 3].map(|()| vec![0.0; tokens * width]);
            let (mut probabilities, mut of_scores) = (Vec::new(), Vec::new());
            for tile in self.of.tiles() {
                let queries = self.view(&self.of.qkv, 0, &tile);
                let [value, gradient] = [value, gradient].map(|matrix| self.view(matrix, 0, &tile));
                product_into(queries, keys.transposed(), &mut probabilities);
                product_into(gradient, values.transposed(), &mut of_scores);
                recall(&mut probabilities, scale, &logarithms[tile.clone()]);
                slopes(&mut of_scores, &probabilities, scale, &row_products(value, gradient));
                let [probabilities, of_scores] = [&probabilities, &of_scores].map(|rows| Matrix::of_rows(rows, tokens));
                add_product_to(probabilities.transposed(), gradient, &mut of_values);
                add_product_to(of_scores.transposed(), queries, &mut of_keys);
                add_product_to(of_scores, keys, &mut of_queries[tile.start * width..tile.end * width]);
            }
            [of_queries, of_keys, of_values]
        }
    }

    /// Turns each row s into `exp(scale s - level)`, the level being its largest number, and adds it up.
    #[macerator::with_simd]
    fn exponentials<S: Simd>(scores: &mut [f32], scale: f32, levels: &mut [f32], sums: &mut [f32]) {
        let rows = scores.chunks_exact_mut(scores.len() / levels.len());
        for ((row, level), total) in rows.zip(levels).zip(sums) {
            *level = maximum(row) * scale;
            for score in &mut *row {
                *score = exp(*score * scale - *level);
            }
            *total = sum(row, row, |e, _| e);
        }
    }

    /// Divides each row.
    #[macerator::with_simd]
    fn divide<S: Simd>(rows: &mut [f32], denominators: &[f32]) {
        let width = rows.len() / denominators.len();
        for (row, denominator) in rows.chunks_exact_mut(width).zip(denominators) {
            for value in row {
                *value /= denominator;
            }
        }
    }

    /// Turns each row s into `exp(scale s - logarithm)`: the probabilities.
    #[macerator::with_simd]
    fn recall<S: Simd>(scores: &mut [f32], scale: f32, logarithms: &[f32]) {
        let rows = scores.chunks_exact_mut(scores.len() / logarithms.len());
        for (row, logarithm) in rows.zip(logarithms) {
            for score in row {
                *score = exp(*score * scale - logarithm);
            }
        }
    }

    /// Turns the gradient of the probabilities into that of the scores before they were scaled.
    #[macerator::with_simd]
    fn slopes<S: Simd>(gradient: &mut [f32], probabilities: &[f32], scale: f32, levels: &[f32]) {
        let width = gradient.len() / levels.len();
        let rows = gradient.chunks_exact_mut(width).zip(probabilities.chunks_exact(width));
        for ((gradient, probabilities), level) in rows.zip(levels) {
            for (gradient, probability) in gradient.iter_mut().zip(probabilities) {
                *gradient = probability * (*gradient - level) * scale;
            }
        }
    }

    /// The products of two matrices' rows.
    #[macerator::with_simd]
    fn row_products<'a, S: Simd>(a: Matrix<'a>, b: Matrix<'a>) -> Vec<f32> {
        let product = |index| sum(a.row(index), b.row(index), |a, b| a * b);
        (0..a.rows()).map(product).collect()
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
        fn should_be_the_composed_form(b in 1..4_usize, t in 1..40_usize, heads in 1..4_usize, d in 1..20_usize, seed: u64) {
            let qkv = tensor([b * t, 3 * heads * d], 2.0, seed);
            let fused = |[qkv]: [Tensor<2>; 1]| attention(qkv, t, heads);
            assert_same_operation([qkv], fused, |[qkv]| composed(qkv, t, heads), 2e-5);
        }
    }

    #[test]
    fn should_be_the_composed_form_where_rows_come_in_tiles() {
        let qkv = tensor([600, 24], 2.0, 7);
        let fused = |[qkv]: [Tensor<2>; 1]| attention(qkv, 600, 2);
        assert_same_operation([qkv], fused, |[qkv]| composed(qkv, 600, 2), 2e-5);
    }

    #[test]
    fn should_not_overflow_where_scores_are_large() {
        let qkv = tensor([6, 24], 100.0, 3);
        let fused = attention(qkv.clone(), 3, 2).into_data();
        crate::ops::tests::assert_close(&fused, &composed(qkv, 3, 2).into_data(), 1e-4);
    }
}
