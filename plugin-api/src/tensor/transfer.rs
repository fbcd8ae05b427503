//! Numbers between the host's device and the plugin's memory.

use std::panic::Location;

use super::Tensor;
use crate::Error;
use crate::abi::DType;

/// Numbers that can be uploaded and downloaded: `f32` for floats, `i64` for integers, `u8` for masks.
pub trait Element: Copy + Default + sealed::Sealed {
    /// Type of the tensor that an upload makes.
    const DTYPE: DType;

    /// True if a tensor of this type is downloaded as these numbers.
    fn reads(dtype: DType) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for i64 {}
    impl Sealed for u8 {}
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;

    fn reads(dtype: DType) -> bool {
        matches!(dtype, DType::F32 | DType::BF16 | DType::F16 | DType::F64)
    }
}

impl Element for i64 {
    const DTYPE: DType = DType::Int;

    fn reads(dtype: DType) -> bool {
        dtype == DType::Int
    }
}

impl Element for u8 {
    const DTYPE: DType = DType::Bool;

    fn reads(dtype: DType) -> bool {
        dtype == DType::Bool
    }
}

impl Tensor {
    /// Copies the elements here, row by row. **A synchronisation**: the device's queue drains first, which costs
    /// more than most losses do. What the step knows without it: times, labels, sample ids.
    ///
    /// # Errors
    /// If the element type is another, or the operation fails.
    #[track_caller]
    pub fn download<E: Element>(self) -> Result<Vec<E>, Error> {
        let at = Location::caller();
        if !self.is_failed() && !E::reads(self.dtype()) {
            return Err(Error::new(format!(
                "a tensor of {:?} cannot be downloaded as {} ({}:{})",
                self.dtype(),
                std::any::type_name::<E>(),
                at.file(),
                at.line()
            )));
        }
        let session = self.session().clone();
        session
            .download(self, at)
            .ok_or_else(|| Error::new(format!("a download failed ({}:{})", at.file(), at.line())))
    }
}
