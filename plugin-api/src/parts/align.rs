//! Distances of features, per sample.

use crate::{DType, Tensor};

/// Least length of a token in a cosine, as `torch.nn.functional.normalize` has it.
const EPS: f64 = 1e-12;

/// Minus the mean over tokens of the cosine of two tokens: `[B, …, D]` twice to f32 `[B]`.
///
/// With u' = u / max(|u|, 1e-12) it is `-mean(a' · b')`, REPA's loss (arXiv 2410.06940, equation 8). A token of
/// zeros has the cosine 0 and no gradient, not NaN.
#[track_caller]
pub fn cosine_alignment(a: impl Into<Tensor>, b: impl Into<Tensor>) -> Tensor {
    let (a, b) = (a.into().cast(DType::F32), b.into().cast(DType::F32));
    let last = [a.rank().saturating_sub(1)];
    // Limited before the root, whose gradient at 0 is infinite.
    let length = |u: &Tensor| (u * u).sum_keep(&last).clamp(EPS * EPS, f64::INFINITY).sqrt();
    let lengths = length(&a) * length(&b);
    -((a * b).sum_keep(&last) / lengths).mean_per_sample()
}

/// Mean over everything but the batch of `(a - b)^2`: `[B, …]` twice to f32 `[B]`.
#[track_caller]
pub fn squared_error(a: impl Into<Tensor>, b: impl Into<Tensor>) -> Tensor {
    let (a, b) = (a.into().cast(DType::F32), b.into().cast(DType::F32));
    (a - b).square().mean_per_sample()
}
