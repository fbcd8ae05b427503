//! Guidance in feature space.

use crate::Tensor;

/// `u + scale (c - u)`: classifier-free guidance on features (Self-Transcendence, arXiv 2601.07773).
#[track_caller]
pub fn feature_cfg(conditional: impl Into<Tensor>, unconditional: impl Into<Tensor>, scale: f64) -> Tensor {
    let u = unconditional.into();
    let difference = conditional.into() - &u;
    u + difference * scale
}
