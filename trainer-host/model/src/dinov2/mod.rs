//! DINOv2 (arXiv 2304.07193), with and without registers (arXiv 2309.16588): a vision transformer whose patch tokens REPA aligns
//! to, whose attention HASTE aligns to, and in whose features samples are judged.
//!
//! A folder holds `config.json` and `model.safetensors`, in transformers' layout, as the Hugging Face hub has them.

mod base;
mod block;
mod config;
mod positions;

pub use base::{Dinov2, Dinov2Output, LAYOUT};
pub use config::Dinov2Config;
pub use positions::Resampling;
