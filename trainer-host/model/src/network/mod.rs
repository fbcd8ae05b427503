//! The network: SiT, a diffusion transformer conditioned by adaptive layer norm (arXiv 2401.08740, 2212.09748).
//!
//! Knows nothing of plugins, of data or of the training loop. Times run from 0 (data) to 1 (noise); a "depth" counts
//! blocks from 1, and depth 0 is the embedded patches.

pub mod attention;
pub mod block;
pub mod config;
pub mod ema;
pub mod embed;
pub mod init;
pub mod linear;
pub mod memory;
pub mod mlp;
pub mod naming;
pub mod norm;
pub mod patch;
pub mod recompute;
pub mod shapes;
pub mod sit;
pub mod tensor_file;
pub mod tensor_reader;
pub(crate) mod unfilled;
pub mod weights;

pub use config::SitConfig;
pub use ema::{ema_update, frozen_copy};
pub use naming::{param_id, parameter_ids};
pub use shapes::Shapes;
pub use sit::{Sit, SitOutput};
pub use tensor_file::{
    Metadata, TensorFileError, numbers, parse_safetensors, read_safetensors, read_weights, read_with_metadata,
    write_safetensors,
};
pub use tensor_reader::TensorReader;
pub use weights::{Difference, WeightsError, apply, collect, fingerprint, not_finite, value_not_finite};
