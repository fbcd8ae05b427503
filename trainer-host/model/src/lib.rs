//! Networks and what surrounds them: the SiT, diffusion paths and samplers, encoders of images, the cost of all of them, devices.
//!
//! This crate knows nothing of guidance, of plugins or of the training loop. "Give me the tokens at these depths" is all that
//! guidance asks of it.

pub mod autoencoder;
mod batch;
pub mod checkpoint;
pub mod cost;
pub mod device;
pub mod diffusion;
pub mod dinov2;
pub mod encoder;
pub mod hub;
pub mod inception;
pub mod network;
pub mod ops;
pub mod precision;
pub mod pretraining;

pub use batch::TrainBatch;
pub use network::{
    Difference, Sit, SitConfig, SitOutput, TensorFileError, WeightsError, apply, collect, ema_update, fingerprint,
    frozen_copy, not_finite, param_id, parameter_ids, parse_safetensors, read_safetensors, read_weights,
    read_with_metadata, write_safetensors,
};
