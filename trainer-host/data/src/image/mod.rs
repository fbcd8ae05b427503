//! Images of users: files of any size and colour mode to square RGB.
//!
//! Pixels are treated as the published trainers treat them with Pillow (guided-diffusion's `center_crop_arr`, which REPA and SiT
//! inherit), so that data prepared here and there is the same. Where Pillow's way is hardly meant, [`decode`] says what is done
//! instead.

mod crop;
mod decode;
mod error;
mod resample;

pub use crop::centre_crop;
pub use decode::{MAX_BYTES, decode, png, read};
pub use error::ImageError;
