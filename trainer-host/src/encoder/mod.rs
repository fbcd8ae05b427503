//! The guide: a small self-supervised encoder whose features stand in for DINOv2's on the embedded data.
//!
//! Trained by `sextant encoder train`, frozen afterwards. It sees the training part only and no labels.

mod base;
mod config;
mod error;
mod knn;
mod network;
mod objective;
mod operations;
mod train;
mod views;

pub use base::{EMBEDDED_GUIDE, Encoder, FEATURES, Origin, guide};
pub use config::{EncoderConfig, GuideConfig, NetworkConfig, ObjectiveConfig, TrainingConfig, ViewConfig};
pub use error::EncoderError;
pub use knn::{KnnAccuracy, Labelled, knn_accuracy, mean_pool};
pub use network::Network;
pub use train::{EncoderProgress, train_encoder};
