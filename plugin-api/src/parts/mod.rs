//! Ready parts of guidance losses, each made of the public operations only.

mod align;
mod features;
mod guide;
mod mask;
mod mlp;
mod patch;

pub use align::{cosine_alignment, squared_error};
pub use features::feature_width;
pub use guide::feature_cfg;
pub use mask::{Mask, TimeMask};
pub use mlp::Mlp;
pub use patch::patchify;
