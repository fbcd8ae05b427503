//! Diffusion: the path from data to noise, what a network predicts along it, and how samples are drawn back.
//!
//! Knows nothing of plugins, and of networks only that one maps `(x_t, t, labels)` to something of `x_t`'s shape. Time runs
//! from 0 (data) to 1 (noise).

pub mod path;
pub mod prediction;
pub mod sampler;
pub mod score;

pub use path::Interpolant;
pub use prediction::Target;
pub use sampler::{SampleError, Sampler};
pub use sextant_recipe::{Path, PathCoefficients, Prediction, SamplerConfig, SamplerMethod, TimeSampling};
