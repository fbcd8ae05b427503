//! Types of the numbers that a training computes with, and what it keeps of a forward pass.

use serde::{Deserialize, Serialize};

/// Precision and memory of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComputeRecipe {
    /// Type of the student's products, and of the layers that sources train, forward and backward.
    pub precision: Precision,
    /// Type in which the frozen networks of a step, teacher and DINOv2, hold their matrices and compute products.
    pub frozen: Precision,
    /// The part of the student's forward pass that is computed again in the backward pass, to save memory.
    pub recompute: Recompute,
    /// The memory in which the moving averages live.
    pub averages: Place,
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of mantissa.
    #[default]
    F32,
    /// 8 bits of mantissa, and the range of f32.
    Bf16,
    /// 11 bits of mantissa, and no number beyond 65,504: the loss is scaled.
    F16,
}

impl Precision {
    /// As a recipe writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

/// A place for tensors that a step only adds to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The device that trains.
    #[default]
    Device,
    /// The host's memory.
    Cpu,
}

/// The part of a forward pass that is computed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// None: all that backward needs is kept.
    #[default]
    Off,
    /// Each block, of which only the input is kept.
    Blocks,
}
