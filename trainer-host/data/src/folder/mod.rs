//! Sets that are folders with a file a sample: which files there are, and their classes.

mod document;
mod files;
mod listing;
mod open;

pub use document::LabelsFault;
pub(super) use open::{MOMENTS, images, latents, size_of_first};
