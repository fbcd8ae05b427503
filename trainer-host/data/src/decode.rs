//! From latents to pixels, by whoever has a network for it.

use std::fmt::Debug;

/// The decoder of an autoencoder: a network, which this crate does not know.
pub trait Decode: Debug + Send + Sync {
    /// Height and width of the picture of a latent of height and width `side`.
    fn side(&self, side: usize) -> usize;

    /// SHA-256 (hex) of the network.
    fn fingerprint(&self) -> &str;

    /// Pictures, 8-bit RGB `[N, H, W, 3]`, of latents `[N, C, h, w]` of `shape = [C, h, w]`, scaled as in training.
    fn decode(&self, latents: &[f32], shape: [usize; 3]) -> Vec<u8>;
}
