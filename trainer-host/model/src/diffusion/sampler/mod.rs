//! From noise back to data: Euler and Heun on the probability-flow ODE, Euler-Maruyama on the reverse SDE.
//!
//! State in f64 on the CPU, since some GPUs have no f64; the network in its own precision on its device.

pub mod integrate;
pub mod noise;

pub use integrate::{SampleError, Sampler, times};
pub use noise::{Latents, SampleStreams, StepNoise};
