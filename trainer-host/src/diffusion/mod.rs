//! Diffusion: the path from data to noise, what a network predicts along it, and how samples are drawn back.
//!
//! Knows nothing of plugins, and of networks only that one maps `(x_t, t, labels)` to something of `x_t`'s shape. Time runs
//! from 0 (data) to 1 (noise).

pub mod path;
pub mod prediction;
pub mod sampler;
pub mod score;
pub mod time;

pub use path::{Path, PathCoefficients};
pub use prediction::Prediction;
pub use sampler::{Sampler, SamplerConfig, SamplerMethod};
pub use time::TimeSampling;
