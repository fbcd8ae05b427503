//! Images, their split, and what a step reads: batches and random numbers as functions of (seed, step).
//!
//! Everything here lives on the CPU and knows nothing of models, guidance or devices.

mod batch;
mod codec;
mod column;
mod dataset;
mod decode;
mod draws;
mod embedded;
mod encode;
mod error;
mod folder;
mod held_out;
mod host_batch;
pub mod image;
mod images;
mod index;
mod inspect;
#[cfg(test)]
mod layout_tests;
mod load;
mod loader;
pub mod npy;
mod packed;
#[cfg(test)]
mod picture_tests;
mod pictures;
mod random;
mod shuffle;
mod split;
mod store;
mod stream;

pub use batch::{Batch, Clean, FieldBatch, Order};
pub use codec::{Codec, Standardisation};
pub use column::{Column, MappedColumn, Names};
pub use dataset::{Dataset, Field, hex};
pub use decode::Decode;
pub use draws::{Draws, FormDraws};
pub use embedded::emoji;
pub use encode::Encode;
pub use error::DataError;
pub use folder::{DOCUMENT, FoundFile, LabelsFault, Listing, MOMENTS, pictures};
pub use host_batch::HostBatch;
pub use images::Images;
pub use index::Index;
pub use inspect::{DataFacts, Statistics, facts, read_all, recognise};
pub use load::load;
pub use loader::{StepLoader, Steps};
pub use packed::{PackOptions, Packed, pack, verify};
pub use pictures::Pictures;
pub use random::RandomShapes;
pub use split::Split;
pub use store::{Sample, SampleStore};
pub use stream::Stream;
