//! The checkpoint of an encoder's training: one file, from which it goes on as if it had not stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, TensorData};
use serde::{Deserialize, Serialize};

use super::Origin;
use super::error::EncoderError;
use super::objective::Learner;
use crate::network::{TensorFileError, apply, collect, read_with_metadata, write_safetensors};

/// Name of the tensor that holds the optimiser's bytes. No parameter has a name without a dot before it.
const OPTIMISER: &str = "optimiser";

/// The head of the file, which says what it goes on from.
#[derive(Serialize, Deserialize)]
struct Head {
    step: u64,
    origin: Origin,
}

/// Why a checkpoint of an encoder's training cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is the checkpoint of another training.
    #[error(
        "{}: is left of a training by another recipe or on other data; delete it to begin anew, or name another file with --out",
        .0.display()
    )]
    Other(PathBuf),
    /// It is none.
    #[error("{}: is no checkpoint of an encoder's training: {reason}; delete it to begin anew", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// It is cut, or cannot be read.
    #[error("{0}; delete it to begin anew")]
    Unreadable(TensorFileError),
    /// It cannot be written.
    #[error(transparent)]
    Unwritten(TensorFileError),
}

/// The state of a training after some of its steps.
pub(super) struct Checkpoint<'a> {
    pub path: &'a Path,
    pub origin: &'a Origin,
}

impl Checkpoint<'_> {
    /// Writes the state after `step` steps.
    pub fn write(&self, step: u64, learner: &Learner, optimiser: &ModuleOptimizer) -> Result<(), EncoderError> {
        let mut tensors = collect(learner);
        let moments = optimiser.to_record().into_bytes().map_err(|e| self.fault(e))?;
        let moments = moments.to_vec();
        let length = moments.len();
        tensors.insert(OPTIMISER.into(), TensorData::new(moments, [length]));
        let origin = self.origin.clone();
        let head = serde_json::to_string(&Head { step, origin }).map_err(|e| self.fault(e))?;
        let metadata = BTreeMap::from([("json".to_owned(), head)]);
        write_safetensors(self.path, &tensors, &metadata).map_err(CheckpointError::Unwritten)?;
        Ok(())
    }

    /// The state that was written, with the steps that it is after; the given one, after none, where nothing was.
    pub fn read(
        &self,
        learner: Learner,
        optimiser: ModuleOptimizer,
    ) -> Result<(u64, Learner, ModuleOptimizer), EncoderError> {
        if !self.path.exists() {
            return Ok((0, learner, optimiser));
        }
        let (mut tensors, metadata) = read_with_metadata(self.path).map_err(CheckpointError::Unreadable)?;
        let head = metadata.get("json").map(String::as_str).unwrap_or_default();
        let head: Head = serde_json::from_str(head).map_err(|e| self.fault(e))?;
        if head.origin != *self.origin {
            return Err(CheckpointError::Other(self.path.into()).into());
        }
        let moments = tensors.remove(OPTIMISER);
        let moments = moments.ok_or_else(|| self.fault("it holds no moments"))?;
        let moments = Bytes::from_bytes_vec(moments.as_bytes().to_vec());
        let moments = OptimizerRecord::from_bytes(moments).map_err(|e| self.fault(e))?;
        let learner = apply(learner, &tensors).map_err(|e| self.fault(e))?;
        Ok((head.step, learner, optimiser.load_record(moments)))
    }

    fn fault(&self, reason: impl ToString) -> CheckpointError {
        CheckpointError::Format {
            path: self.path.into(),
            reason: reason.to_string(),
        }
    }
}
