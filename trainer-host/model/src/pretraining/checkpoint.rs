//! The checkpoint of a network's own training: one file, from which it goes on as if it had not stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::{Bytes, TensorData};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::run::LoggedStep;
use crate::network::{TensorFileError, apply, collect, read_with_metadata, write_safetensors};

/// Name of the tensor that holds the optimiser's bytes. No parameter has a name without a dot before it.
const OPTIMISER: &str = "optimiser";

/// The head of the file, which says what it goes on from.
#[derive(Serialize, Deserialize)]
struct Head<O> {
    step: u64,
    origin: O,
    /// The log up to that step. Files from before it was kept lack it.
    #[serde(default)]
    log: Vec<LoggedStep>,
}

/// A fault of the checkpoint of a network's own training.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is the checkpoint of another training.
    #[error(
        "{}: is left of a training by another recipe or on other data; delete it to begin anew, or give another --out",
        .0.display()
    )]
    Other(PathBuf),
    /// It is none.
    #[error("{}: is no checkpoint of such a training: {reason}; delete it to begin anew", path.display())]
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
pub(crate) struct State<M> {
    /// Steps done.
    pub step: u64,
    pub learner: M,
    pub optimiser: ModuleOptimizer,
    /// The steps that were reported so far.
    pub log: Vec<LoggedStep>,
}

/// The file of a training, and what it must be a training of.
pub(super) struct Checkpoint<'a, O> {
    pub path: &'a Path,
    pub origin: &'a O,
}

impl<O: Clone + PartialEq + Serialize + DeserializeOwned> Checkpoint<'_, O> {
    /// Writes the state.
    pub fn write<M: Module>(&self, state: &State<M>) -> Result<(), CheckpointError> {
        let mut tensors = collect(&state.learner);
        let moments = state.optimiser.to_record().into_bytes().map_err(|e| self.fault(e))?;
        let moments = moments.to_vec();
        let length = moments.len();
        tensors.insert(OPTIMISER.into(), TensorData::new(moments, [length]));
        let head = Head {
            step: state.step,
            origin: self.origin.clone(),
            log: state.log.clone(),
        };
        let head = serde_json::to_string(&head).map_err(|e| self.fault(e))?;
        let metadata = BTreeMap::from([("json".to_owned(), head)]);
        write_safetensors(self.path, &tensors, &metadata).map_err(CheckpointError::Unwritten)
    }

    /// The state that was written; the given one where nothing was.
    pub fn read<M: Module>(&self, begun: State<M>) -> Result<State<M>, CheckpointError> {
        if !self.path.exists() {
            return Ok(begun);
        }
        let (mut tensors, metadata) = read_with_metadata(self.path).map_err(CheckpointError::Unreadable)?;
        let head = metadata.get("json").map(String::as_str).unwrap_or_default();
        let head: Head<O> = serde_json::from_str(head).map_err(|e| self.fault(e))?;
        if head.origin != *self.origin {
            return Err(CheckpointError::Other(self.path.into()));
        }
        let moments = tensors.remove(OPTIMISER);
        let moments = moments.ok_or_else(|| self.fault("it holds no moments"))?;
        let moments = Bytes::from_bytes_vec(moments.as_bytes().to_vec());
        let moments = OptimizerRecord::from_bytes(moments).map_err(|e| self.fault(e))?;
        Ok(State {
            step: head.step,
            learner: apply(begun.learner, &tensors).map_err(|e| self.fault(e))?,
            optimiser: begun.optimiser.load_record(moments),
            log: head.log,
        })
    }

    fn fault(&self, reason: impl ToString) -> CheckpointError {
        CheckpointError::Format {
            path: self.path.into(),
            reason: reason.to_string(),
        }
    }
}
