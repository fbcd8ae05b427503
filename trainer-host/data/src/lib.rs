//! Images, their split, and what a step reads: batches and random numbers as functions of (seed, step).
//!
//! Everything here lives on the CPU and knows nothing of models, guidance or devices.

mod batch;
mod dataset;
mod draws;
mod embedded;
mod error;
mod host_batch;
pub mod image;
mod images;
mod load;
mod loader;
mod shuffle;
mod split;
mod stream;

pub use batch::{Batch, FieldBatch, Order};
pub use dataset::{Dataset, Field, Standardisation, hex};
pub use draws::Draws;
pub use embedded::emoji;
pub use error::DataError;
pub use host_batch::HostBatch;
pub use images::Images;
pub use load::load;
pub use loader::{StepLoader, Steps};
pub use split::Split;
pub use stream::Stream;
