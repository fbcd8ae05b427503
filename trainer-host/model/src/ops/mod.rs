//! What is done to whole tensors at once, each as one operation.
//!
//! Composed of burn's operations, each of these is many passes over whole tensors, most of them on one thread. So on the CPU backend, in
//! f32, they are written out: one pass, on all threads, in place where a tensor has one owner. Elsewhere the same formula is composed of
//! burn's operations, which the backend may fuse.
//!
//! **Reproducible.** How work is cut depends on shapes alone, and sums over parts are added in their order: no result depends on the
//! number of threads.

mod update;

pub use update::{AdamStep, adam_step, moved_average, square_sum};

/// Tells whether a tensor's operations are written out here.
#[cfg(feature = "flex")]
fn is_fused<const D: usize>(x: &burn::tensor::Tensor<D>) -> bool {
    use burn::tensor::{DType, Device};
    x.dtype() == DType::F32 && x.device().inner() == Device::flex()
}

/// Tells whether a tensor's operations are written out here.
#[cfg(not(feature = "flex"))]
fn is_fused<const D: usize>(_: &burn::tensor::Tensor<D>) -> bool {
    false
}
