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
}

macro_rules! element {
    ($($type:ty: $dtype:ident $(or $other:ident)*;)+) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;

            fn reads(dtype: DType) -> bool {
                [DType::$dtype $(, DType::$other)*].contains(&dtype)
            }
        }
    )+};
}
element! {
    f32: F32 or BF16 or F16 or F64;
    i64: Int;
    u8: Bool;
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
            let (from, to) = (self.dtype(), std::any::type_name::<E>());
            return Err(Error::at(
                at,
                &format!("a tensor of {from:?} cannot be downloaded as {to}"),
            ));
        }
        let session = self.session().clone();
        let numbers = session.download(self, at);
        numbers.ok_or_else(|| Error::at(at, "a download failed"))
    }
}
