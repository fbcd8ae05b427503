//! Operations on whole tensors that are repeated again and again: those of a transformer's blocks, each with a backward pass of its own, and
//! those of an update of all weights.
//!
//! Composed of burn's operations, each of these is many passes over whole tensors, most of them on one thread, and autodiff keeps
//! what lies between. So on the CPU backend, in f32, they are written out: one pass, on all threads, that keeps as little as
//! possible, in place where a tensor has one owner. Elsewhere the same formula is composed of burn's operations, which the backend may
//! fuse. A file holds an operation, or two of a kind: its formula, its composed form, and its form on `flex`, which tests compare with the composed one.
//!
//! **Reproducible.** How work is cut depends on shapes alone, and sums over parts are added in their order: no result depends on
//! the number of threads or on which of them was first, and none of a sample's on other samples of its batch, but in the last bits of
//! products, whose order of additions depends on how many rows there are.

// Kernels name a set of instructions, which plain loops do not mention.
#![allow(clippy::extra_unused_type_parameters)]

mod attention;
mod gate;
mod head_norm;
#[cfg(feature = "flex")]
mod kernel;
mod linear;
mod norm;
mod residual;
mod update;

pub(crate) use attention::{attention, attention_map, scaled_dot_product, split_heads};
pub(crate) use gate::gelu_tanh;
pub use gate::silu;
pub(crate) use head_norm::head_norm;
pub use linear::linear;
pub(crate) use norm::{modulated_norm, standardise};
pub(crate) use residual::gated_sum;
pub use update::{AdamStep, adam_step, moved_average, square_sum};

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use burn::tensor::{DType, FloatDType, Tensor};
use gate::Gate;

use crate::precision::{full, is_half};

/// The operations of blocks on a backend's own tensors, as `Dispatch` finds them.
#[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
trait BlockOps: Backend {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    fn fused_gate(x: FloatTensor<Self>, gate: Gate) -> FloatTensor<Self>;

    fn fused_head_norm(
        qkv: FloatTensor<Self>,
        gain_q: FloatTensor<Self>,
        offset_q: FloatTensor<Self>,
        gain_k: FloatTensor<Self>,
        offset_k: FloatTensor<Self>,
        heads: usize,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    fn fused_attention(qkv: FloatTensor<Self>, tokens: usize, heads: usize) -> FloatTensor<Self>;

    fn fused_modulated_norm(
        x: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    fn fused_gated_sum(x: FloatTensor<Self>, branch: FloatTensor<Self>, gate: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Tells whether a tensor's operations are written out here, in f32.
#[cfg(feature = "flex")]
fn is_on_flex<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().inner() == burn::tensor::Device::flex()
}

/// Tells whether a tensor's operations are written out here, in f32.
#[cfg(not(feature = "flex"))]
fn is_on_flex<const D: usize>(_: &Tensor<D>) -> bool {
    false
}

/// Tells whether the operation on a tensor is the one that is written out here.
fn is_fused<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && is_on_flex(x)
}

/// `function` of x in f32, its value in the type of x, where x is a half on burn's CPU backend: products of halves are computed so there,
/// and what is written out here knows f32 alone. Elsewhere `function` itself.
fn widened<const D: usize, const E: usize>(x: Tensor<D>, function: impl FnOnce(Tensor<D>) -> Tensor<E>) -> Tensor<E> {
    let dtype = x.dtype();
    if !is_half(dtype) || !is_on_flex(&x) {
        return function(x);
    }
    function(full(x)).cast(FloatDType::from(dtype))
}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::flex::FlexTensor;
    use burn::backend::{Autodiff, Flex};

    use super::kernel::record::{Operation, record};
    use super::*;
    use attention::Attention;
    use head_norm::HeadNorm;
    use linear::Linear;
    use norm::ModulatedNorm;
    use residual::GatedSum;

    impl BlockOps for Flex {
        fn fused_linear(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
            Linear.forward([x, weight, bias]).0
        }

        fn fused_gate(x: FlexTensor, gate: Gate) -> FlexTensor {
            gate.forward([x]).0
        }

        fn fused_head_norm(
            qkv: FlexTensor,
            gain_q: FlexTensor,
            offset_q: FlexTensor,
            gain_k: FlexTensor,
            offset_k: FlexTensor,
            heads: usize,
            epsilon: f32,
        ) -> FlexTensor {
            let inputs = [qkv, gain_q, offset_q, gain_k, offset_k];
            HeadNorm { heads, epsilon }.forward(inputs).0
        }

        fn fused_attention(qkv: FlexTensor, tokens: usize, heads: usize) -> FlexTensor {
            Attention { tokens, heads }.forward([qkv]).0
        }

        fn fused_modulated_norm(x: FlexTensor, shift: FlexTensor, scale: FlexTensor, epsilon: f32) -> FlexTensor {
            ModulatedNorm { epsilon }.forward([x, shift, scale]).0
        }

        fn fused_gated_sum(x: FlexTensor, branch: FlexTensor, gate: FlexTensor) -> FlexTensor {
            GatedSum.forward([x, branch, gate]).0
        }
    }

    impl<C: CheckpointStrategy> BlockOps for Autodiff<Flex, C> {
        fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            record::<_, C, 3>(Linear, [x, weight, bias])
        }

        fn fused_gate(x: FloatTensor<Self>, gate: Gate) -> FloatTensor<Self> {
            record::<_, C, 1>(gate, [x])
        }

        fn fused_head_norm(
            qkv: FloatTensor<Self>,
            gain_q: FloatTensor<Self>,
            offset_q: FloatTensor<Self>,
            gain_k: FloatTensor<Self>,
            offset_k: FloatTensor<Self>,
            heads: usize,
            epsilon: f32,
        ) -> FloatTensor<Self> {
            let inputs = [qkv, gain_q, offset_q, gain_k, offset_k];
            record::<_, C, 5>(HeadNorm { heads, epsilon }, inputs)
        }

        fn fused_attention(qkv: FloatTensor<Self>, tokens: usize, heads: usize) -> FloatTensor<Self> {
            record::<_, C, 1>(Attention { tokens, heads }, [qkv])
        }

        fn fused_modulated_norm(
            x: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            epsilon: f32,
        ) -> FloatTensor<Self> {
            record::<_, C, 3>(ModulatedNorm { epsilon }, [x, shift, scale])
        }

        fn fused_gated_sum(
            x: FloatTensor<Self>,
            branch: FloatTensor<Self>,
            gate: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            record::<_, C, 3>(GatedSum, [x, branch, gate])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Numbers in [-bound, bound].
    pub fn tensor<const D: usize>(shape: [usize; D], bound: f32, seed: u64) -> Tensor<D> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values = (0..shape.iter().product()).map(|_| rng.random_range(-bound..=bound));
        Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), shape), &Device::flex())
    }

    /// Fails where two numbers differ by more than `tolerance` times the largest of all, or of 1.
    pub fn assert_close(found: &TensorData, wanted: &TensorData, tolerance: f32) {
        assert_eq!(found.shape(), wanted.shape());
        let largest = wanted
            .iter::<f32>()
            .fold(1.0, |largest: f32, value| largest.max(value.abs()));
        for (i, (found, wanted)) in found.iter::<f32>().zip(wanted.iter::<f32>()).enumerate() {
            let close = (found - wanted).abs() <= tolerance * largest;
            assert!(close, "at {i}: {found}, not {wanted}; the largest is {largest}");
        }
    }

    /// The value of a function, and the gradients of a weighted sum of it.
    fn value_and_gradients<const N: usize, const D: usize, const E: usize>(
        inputs: &[Tensor<D>; N],
        function: impl Fn([Tensor<D>; N]) -> Tensor<E>,
    ) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let tracked = |input: &Tensor<D>| Tensor::from_data(input.to_data(), &device).require_grad();
        let inputs = inputs.each_ref().map(tracked);
        let value = function(inputs.clone());
        let weights = Tensor::from_data(tensor(value.dims(), 1.0, 0).into_data(), &device);
        let gradients = (value.clone() * weights).sum().backward();
        let gradients = inputs.iter().map(|input| input.grad(&gradients).unwrap().into_data());
        [value.into_data()].into_iter().chain(gradients).collect()
    }

    /// Fails where two functions differ in value or gradients, or the first in its value without autodiff.
    pub fn assert_same_operation<const N: usize, const D: usize, const E: usize>(
        inputs: [Tensor<D>; N],
        fused: impl Fn([Tensor<D>; N]) -> Tensor<E>,
        composed: impl Fn([Tensor<D>; N]) -> Tensor<E>,
        tolerance: f32,
    ) {
        let found = value_and_gradients(&inputs, &fused);
        for (found, wanted) in found.iter().zip(value_and_gradients(&inputs, composed)) {
            assert_close(found, &wanted, tolerance);
        }
        assert_eq!(fused(inputs).into_data(), found[0]);
    }

    /// The parts of a block one after the other, for samples of 100 tokens: the value and the gradients.
    fn block(samples: &[u64]) -> Vec<Vec<f32>> {
        let (tokens, width) = (100, 24);
        let stacked = |rows: usize, seed: u64| -> Tensor<3> {
            let parts = samples
                .iter()
                .map(|sample| tensor([1, rows, width], 1.0, 10 * sample + seed));
            Tensor::cat(parts.collect(), 0)
        };
        let inputs = [stacked(tokens, 0), stacked(1, 1), stacked(1, 2), stacked(1, 3)];
        let weight = tensor([3 * width, width], 1.0, 4).into_data();
        let found = value_and_gradients(&inputs, |[x, shift, scale, gate]| {
            let device = x.device();
            let weight = Tensor::<2>::from_data(weight.clone(), &device);
            let normed = modulated_norm(x.clone(), shift, scale, 1e-6);
            let rows = normed.reshape([samples.len() * tokens, width]);
            let qkv = linear(rows, weight, Tensor::ones([3 * width], &device));
            let affine = || [(); 2].map(|()| Tensor::ones([width / 3], &device));
            let qkv = head_norm(qkv, affine(), affine(), 3, 1e-5);
            let branch = gelu_tanh(attention(qkv, tokens, 3));
            gated_sum(x, branch.reshape([samples.len(), tokens, width]), gate)
        });
        found.into_iter().map(|data| data.try_to_vec().unwrap()).collect()
    }

    #[test]
    fn should_not_depend_on_the_number_of_threads() {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| block(&[0, 1, 2, 3, 4, 5, 6, 7]))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn should_not_depend_on_other_samples_of_the_batch() {
        for (alone, among) in block(&[3]).into_iter().zip(block(&[3, 1, 4, 1, 5, 9, 2, 6])) {
            assert_eq!(alone, among[..alone.len()]);
        }
    }
}
