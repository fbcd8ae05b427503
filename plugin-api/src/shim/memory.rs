//! Reading and writing the other side's memory under the contract's rules: sizes first, arrays with strides,
//! no more than the smaller size.

use std::mem::{MaybeUninit, size_of};
use std::ptr;

use crate::Error;
use crate::abi::{self, Array, Text};

/// A `#[repr(C)]` type of the contract.
///
/// # Safety
/// All zeros must be a value of it, and so must everything that the contract lets the other side write.
pub(super) unsafe trait Raw: Sized {}

/// A [`Raw`] whose first field is its size, a `u64`.
///
/// # Safety
/// As said.
pub(super) unsafe trait Sized64: Raw {}

macro_rules! raw {
    ($($type:ty)+) => {$(
        // SAFETY: made of integers, floats, raw pointers and optional function pointers; zeros are a value.
        unsafe impl Raw for $type {}
    )+};
}
raw!(u64 u32 f32 i64 Text abi::NetworkInfo abi::FieldInfo abi::TensorRef);

macro_rules! size_first {
    ($($type:ident)+) => {$(
        raw!(abi::$type);
        // SAFETY: its first field is `size: u64`.
        unsafe impl Sized64 for abi::$type {}
    )+};
}
size_first!(Host Geometry Plan Step Guided Message);

/// Copies a struct of the other side, as much of it as both know; the rest is zero.
///
/// # Safety
/// `from` must be null or point to as many readable bytes as its first field says, suitably aligned.
pub(super) unsafe fn read<T: Sized64>(from: *const T, what: &str) -> Result<T, Error> {
    if from.is_null() {
        return Err(Error::new(format!("the host passed no {what}")));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the size is the first field (`Sized64`), so it is readable; no more than it is copied, nor more
    // than `T` holds; zeros and what the host wrote are values of `T` (`Raw`).
    unsafe {
        let bytes = from.cast::<u64>().read() as usize;
        let bytes = bytes.min(size_of::<T>());
        ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), bytes);
        Ok(value.assume_init())
    }
}

/// Fills a struct of the other side, as much of it as both know, leaving its size as it was.
///
/// # Safety
/// `to` must be null or point to as many writable bytes as its first field says, suitably aligned.
pub(super) unsafe fn write<T: Sized64>(to: *mut T, value: &T, what: &str) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::new(format!("the host passed no {what}")));
    }
    // SAFETY: the size is the first field, so it is readable; between it and the smaller of both ends the
    // bytes are writable there and readable here.
    unsafe {
        let bytes = to.cast::<u64>().read() as usize;
        let bytes = bytes.min(size_of::<T>());
        let head = size_of::<u64>();
        if bytes > head {
            ptr::copy_nonoverlapping(
                ptr::from_ref(value).cast::<u8>().add(head),
                to.cast::<u8>().add(head),
                bytes - head,
            );
        }
    }
    Ok(())
}

/// Copies an array of the other side, element by element.
///
/// # Safety
/// `array` must describe `len` readable elements, `stride` bytes apart, each aligned for `T`.
pub(super) unsafe fn elements<T: Raw>(array: &Array, what: &str) -> Result<Vec<T>, Error> {
    if array.len == 0 {
        return Ok(Vec::new());
    }
    if array.ptr.is_null() || array.stride == 0 {
        return Err(Error::new(format!("the host passed {what} without memory")));
    }
    let bytes = size_of::<T>().min(array.stride as usize);
    let element = |index: usize| {
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: the element lies inside the array, no more of it is read than its stride, and what is
        // missing stays zero, which is a value of `T` (`Raw`).
        unsafe {
            let from = array.ptr.cast::<u8>().add(index * array.stride as usize);
            ptr::copy_nonoverlapping(from, value.as_mut_ptr().cast::<u8>(), bytes);
            value.assume_init()
        }
    };
    Ok((0..array.len as usize).map(element).collect())
}

/// Copies `len` numbers.
///
/// # Safety
/// `from` must be null or point to `len` readable, aligned elements.
pub(super) unsafe fn numbers<T: Raw>(from: *const T, len: usize, what: &str) -> Result<Vec<T>, Error> {
    let (ptr, len, stride) = (from.cast(), len as u64, size_of::<T>() as u64);
    let array = Array { ptr, len, stride };
    // SAFETY: the caller's promise is that of `elements`.
    unsafe { elements(&array, what) }
}

/// Copies a text.
///
/// # Safety
/// `text` must describe readable bytes.
pub(super) unsafe fn string(text: &Text, what: &str) -> Result<String, Error> {
    if text.len == 0 {
        return Ok(String::new());
    }
    if text.ptr.is_null() {
        return Err(Error::new(format!("the host passed {what} without memory")));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len as usize) };
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::new(format!("the host passed {what} that is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::sized;

    #[test]
    fn a_shorter_struct_reads_as_zero_where_it_ends() {
        // A host that knows only the first half of `Guided`.
        let raw: [u64; 2] = [16, 7];
        // SAFETY: the array has the 16 bytes that its first element says.
        let guided = unsafe { read(raw.as_ptr().cast::<abi::Guided>(), "answer") }.unwrap();
        assert_eq!((guided.loss, guided.denoising_weight), (7, 0));
    }

    #[test]
    fn a_shorter_struct_is_written_no_further() {
        let mut raw: [u64; 3] = [16, 0, 99];
        let value = sized!(Guided {
            loss: 7,
            denoising_weight: 8,
            metrics: Array::of::<abi::Named>(&[]),
            buffers: Array::of::<abi::Named>(&[]),
        });
        // SAFETY: the array has more than the 16 bytes that its first element says.
        unsafe { write(raw.as_mut_ptr().cast(), &value, "answer") }.unwrap();
        assert_eq!(raw, [16, 7, 99]);
    }

    #[test]
    fn longer_elements_are_walked_by_their_stride() {
        let raw: [u64; 6] = [1, 91, 2, 92, 3, 93];
        let longer = Array {
            len: 3,
            stride: 16,
            ..Array::of(&raw)
        };
        // SAFETY: three elements of 16 bytes.
        let read = unsafe { elements::<u64>(&longer, "numbers") }.unwrap();
        assert_eq!(read, [1, 2, 3]);
    }

    #[test]
    fn text_that_is_not_utf8_is_an_error() {
        let bytes = [0xff, 0xfe];
        let raw = Text {
            ptr: bytes.as_ptr(),
            len: 2,
        };
        // SAFETY: two readable bytes.
        assert!(unsafe { string(&raw, "a name") }.is_err());
    }
}
