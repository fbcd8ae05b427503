//! The packed layout: samples and their fields in a few large files, written once, read at random.
//!
//! A folder holds `index.json`, shards of records (`shard-00000.bin`) and a file for each thing that is known of every sample
//! (`labels.bin`, `train.bin`, …). A record holds the sample and its fields, and their mirrored forms where there are any, each
//! behind its own CRC-32C. Records have one size, so that nothing has to be read to find one.
//!
//! Columns are mapped. Shards are read at an offset instead: a map of a terabyte that is gone through at random counts as resident
//! memory until the system wants it back, and a disk that fails would end the process where a read gives an error.

mod columns;
mod header;
mod index;
mod open;
mod pack;
mod verify;

pub(super) use columns::open as open_file;
pub(super) use header::{HEADER, Header, Kind};
pub(super) use index::{INDEX, PackedIndex, Part, PartType};
pub(super) use open::packed;
pub use pack::{PackOptions, Packed, pack};
pub use verify::verify;

/// True if checksums that lie beside data are compared with them: always but under a fuzzer, which finds nothing behind a checksum.
pub(super) const CHECKED: bool = !cfg!(fuzzing);
