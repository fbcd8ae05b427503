//! From pixels to latents, by whoever has a network for it.

use std::fmt::Debug;

use super::pictures::Pictures;

/// The encoder of an autoencoder: a network, which this crate does not know.
pub trait Encode: Debug + Send + Sync {
    /// `[C, h, w]` of the latents of a picture of height and width `side`.
    fn shape(&self, side: usize) -> [usize; 3];

    /// Factor between the network's own latents and those that are trained on.
    fn scale(&self) -> f64;

    /// SHA-256 (hex) of the network.
    fn fingerprint(&self) -> &str;

    /// Latents `[N, C, h, w]` of pictures, scaled as in training: the means of their posteriors.
    fn encode(&self, pictures: &Pictures) -> Vec<f32>;

    /// The posteriors of pictures, `[N, 2C, h, w]`: means, less what is subtracted before the scale, then standard deviations.
    fn moments(&self, pictures: &Pictures) -> Vec<f32>;
}
