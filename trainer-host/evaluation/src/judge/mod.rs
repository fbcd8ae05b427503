//! Judges: networks in whose features samples are compared with the data.
//!
//! A [`Judge`] turns RGB bytes into one row of features an image. What does so underneath is a `Backbone`: an encoder that
//! was trained on the data's training part ([`sextant_model::encoder`]), convolutions that nobody trained, a published
//! DINOv2, or the Inception network of FID. Another network becomes a judge as one more backbone and one more name in [`load`]; resizing and normalisation are a
//! backbone's own business, and nothing else changes.
//!
//! A judge that guided a variant would find its own features in that variant's samples: [`refuse_target_encoder`].

mod base;
mod dinov2;
mod error;
mod inception;
mod load;
mod trained;
mod untrained;

pub use base::{CHUNK, Judge};
pub use error::JudgeError;
pub use load::{load, refuse_target_encoder};
