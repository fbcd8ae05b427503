//! Sets that are folders with a file a sample: which files there are, and their classes.

mod document;
mod files;
mod listing;
mod open;

pub use document::{DOCUMENT, LabelsFault};
pub use files::FoundFile;
pub use listing::{Listing, pictures};
pub use open::MOMENTS;
pub(super) use open::{PICTURES, images, latents, picture_names, side_of, size_of_first};
