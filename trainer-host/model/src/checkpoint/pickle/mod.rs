//! The pickle of a PyTorch checkpoint, read as data.
//!
//! A pickle is a program for a stack machine that may call any function of Python's. This machine knows the handful of
//! instructions and names with which `torch.save` writes tensors, dictionaries, numbers, text and `argparse.Namespace`; it calls
//! nothing, and refuses every other name. Values are entries of one list and refer to one another by index, so that what a file
//! can make is at most as long as the file: sharing copies nothing, and depth costs no stack.

mod error;
mod machine;
mod values;

pub use error::PickleError;
pub(super) use values::{Id, Pickle, StoredTensor, Value};
