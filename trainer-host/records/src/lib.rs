//! A run on disk: what lies where, the journal, results, evaluations; files are written whole or not at all.
//!
//! This crate knows nothing of networks: tensors in a checkpoint are read by those who have some.

pub mod checkpoint;
mod cost;
mod error;
pub mod evaluation;
mod events;
mod facts;
mod history;
pub mod journal;
mod lock;
mod median;
mod run;
mod shell;
mod validation;
mod write;

pub use cost::{ComputeCost, EncoderCost, Operations, Parts, Seconds, TeacherCounters, duration};
pub use error::{FileError, RecordError, StorageFull};
pub use facts::{LibraryRecord, ReplacedLibrary, RunFailure, RunInfo, RunResult};
pub use history::{FileIdentity, Fork, NetworkFile, Place, RecipeChange};
pub use lock::{FolderLock, Holder, LOCK_FILE, LockError};
pub use median::median;
pub use run::RunFolder;
pub use shell::quoted;
pub use validation::ValidationLoss;
pub use write::{make_folder, remove_leftovers, sync_folder, write_synced, write_whole};
