//! Encoders of images, frozen: whose features a guidance source can align to, or samples be judged in. A [`Target`] is the one that
//! a recipe's `[encoder]` names: small and of our own, or published (DINOv2).
//!
//! Our own are trained by `sextant encoder train` on the training part of the data.
//!
//! The encoder (`configs/encoder.toml`) is a self-supervised convolution network whose features stand in for DINOv2's on the
//! embedded data; it sees no labels. The judge (`configs/judge.toml`) is a network of another family that was trained on
//! labels; judges measure samples in its features.

mod base;
mod error;
mod network;
mod objective;
mod published;
mod target;
mod train;
mod views;
mod warning;

pub use base::{EMBEDDED_ENCODER, Encoder, FEATURES, Origin, target_encoder};
pub use error::EncoderError;
pub(crate) use network::EXPANSION;
pub use network::{ConvolutionNetwork, Network, PatchNetwork};
pub use published::{ATTENTION, Published};
pub use target::{Target, weights_file};
pub use train::train_encoder;
pub use warning::EncoderWarning;
