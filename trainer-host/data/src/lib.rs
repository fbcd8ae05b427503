//! Images, their split, and what a step reads: batches and random numbers as functions of (seed, step).
//!
//! Everything here lives on the CPU and knows nothing of models, guidance or devices.

mod batch;
mod codec;
mod dataset;
mod draws;
mod embedded;
mod error;
mod host_batch;
mod images;
mod index;
mod load;
mod loader;
mod shuffle;
mod split;
mod store;
mod stream;

pub use batch::{Batch, FieldBatch, Order};
pub use codec::{Codec, Standardisation};
pub use dataset::{Dataset, Field, hex};
pub use draws::{Draws, FormDraws};
pub use embedded::emoji;
pub use error::DataError;
pub use host_batch::HostBatch;
pub use images::Images;
pub use index::Index;
pub use load::load;
pub use loader::{StepLoader, Steps};
pub use split::Split;
pub use store::{Sample, SampleStore};
pub use stream::Stream;
