//! Layers.

use super::{Tensor, sized};
use crate::abi::{Interpolation, Operation};

/// Shape of a convolution; each pair is vertical, horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Steps.
    pub stride: [usize; 2],
    /// Zeros around.
    pub padding: [usize; 2],
    /// Distance of the kernel's elements.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

impl Default for Convolution {
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

/// Settings for resizing images, always without antialiasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Interpolation of the pixels in between.
    pub mode: Interpolation,
    /// Fixes the centres of the corner pixels, rather than the outer corners.
    pub align_corners: bool,
}

impl Tensor {
    /// Matrix product over the last two dimensions; the dimensions before must agree or be 1.
    #[must_use]
    #[track_caller]
    pub fn matmul(self, other: impl Into<Tensor>) -> Tensor {
        self.with(Operation::Matmul, other.into())
    }

    /// `x @ weight^T + bias`; weight is `[out, in]` and bias `[out]`, as in PyTorch; this is `[…, in]`.
    #[must_use]
    #[track_caller]
    pub fn linear(self, weight: impl Into<Tensor>, bias: Option<Tensor>) -> Tensor {
        self.apply_with(Operation::Linear, [Some(weight.into()), bias], &())
    }

    /// `softmax(q k^T * scale) v`, of which this is q; all are `[B, heads, T, width]`.
    #[must_use]
    #[track_caller]
    pub fn attention(self, k: impl Into<Tensor>, v: impl Into<Tensor>, scale: f64) -> Tensor {
        self.apply_with(
            Operation::Attention,
            [Some(k.into()), Some(v.into())],
            &sized!(Scalar { value: scale }),
        )
    }

    /// `(x - mean) / sqrt(variance + eps)` over the last dimension, with the biased variance.
    #[must_use]
    #[track_caller]
    pub fn layer_norm(self, eps: f64) -> Tensor {
        self.apply_with(Operation::LayerNorm, [None, None], &sized!(Scalar { value: eps }))
    }

    /// [`Self::layer_norm`], then `* weight + bias`, each of the last dimension's extent.
    #[must_use]
    #[track_caller]
    pub fn layer_norm_affine(self, weight: &Tensor, bias: &Tensor, eps: f64) -> Tensor {
        self.apply_with(
            Operation::LayerNorm,
            [Some(weight.clone()), Some(bias.clone())],
            &sized!(Scalar { value: eps }),
        )
    }

    /// Softmax along a dimension.
    #[must_use]
    #[track_caller]
    pub fn softmax(self, dim: usize) -> Tensor {
        let dim = dim as u32;
        self.apply(Operation::Softmax, &sized!(Dim { dim, reserved: 0 }))
    }

    /// Logarithm of the softmax along a dimension.
    #[must_use]
    #[track_caller]
    pub fn log_softmax(self, dim: usize) -> Tensor {
        let dim = dim as u32;
        self.apply(Operation::LogSoftmax, &sized!(Dim { dim, reserved: 0 }))
    }

    /// 2-D convolution of `[B, C, H, W]` with weight `[out, C/groups, kh, kw]` and bias `[out]`.
    #[must_use]
    #[track_caller]
    pub fn conv2d(self, weight: impl Into<Tensor>, bias: Option<Tensor>, convolution: Convolution) -> Tensor {
        self.apply_with(
            Operation::Conv2d,
            [Some(weight.into()), bias],
            &sized!(Conv2d {
                stride: convolution.stride.map(|n| n as u64),
                padding: convolution.padding.map(|n| n as u64),
                dilation: convolution.dilation.map(|n| n as u64),
                groups: convolution.groups as u64,
            }),
        )
    }

    /// `[B, C, H, W]` resized to `height` by `width`.
    #[must_use]
    #[track_caller]
    pub fn interpolate(self, height: usize, width: usize, resize: Resize) -> Tensor {
        self.apply(
            Operation::Interpolate,
            &sized!(Interpolate {
                height: height as u64,
                width: width as u64,
                mode: resize.mode as u32,
                align_corners: u8::from(resize.align_corners),
                reserved: [0; 3],
            }),
        )
    }
}
