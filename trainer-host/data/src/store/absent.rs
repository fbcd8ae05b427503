//! Data that are not here, for a network alone.

use super::base::{Sample, SampleStore};
use crate::error::DataError;

/// No sample, and the shape that one would have.
#[derive(Debug)]
pub(crate) struct Absent(pub [usize; 3]);

impl SampleStore for Absent {
    fn shape(&self) -> [usize; 3] {
        self.0
    }

    fn sample(&self, id: usize, _flipped: bool) -> Result<Sample, DataError> {
        Err(DataError::Unusable(format!(
            "there is no sample {id}: the data are not here"
        )))
    }

    fn resident_bytes(&self) -> u64 {
        0
    }
}
