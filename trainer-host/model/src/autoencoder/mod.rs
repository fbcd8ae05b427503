//! Autoencoders of images: diffusers' `AutoencoderKL`, in whose latents published diffusion transformers work (the VAE of
//! arXiv 2112.10752).
//!
//! A folder holds `config.json` and `diffusion_pytorch_model.safetensors`, as the Hugging Face hub has them; [`Autoencoder::load`]
//! reads it and [`Autoencoder::save`] writes it; [`train_autoencoder`] makes a small one, and such a one ships with the program. Images
//! are `[N, 3, H, W]` in [-1, 1]. Latents come in two scales:
//!
//! - the network's own z, which [`Autoencoder::encode`] gives the moments of and [`Autoencoder::decode`] takes;
//! - what a diffusion transformer is trained on, x = (z - shift factor) * scaling factor: [`Autoencoder::scaled`] and
//!   [`Autoencoder::unscaled`] go from one to the other.

mod base;
mod config;
mod decode;
mod encode;
mod error;
mod network;
mod objective;
mod reconstruct;
mod train;

pub use base::{Autoencoder, LAYOUT, Moments};
pub use config::AutoencoderConfig;
pub use error::AutoencoderError;
pub use reconstruct::psnr;
pub use train::{Origin, TrainedAutoencoder, check, train_autoencoder};
